package coder

import (
	"context"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
)

// Save writes the vectors, as the exact engine does, under this engine's name;
// see index.Index.
func (x *Index) Save(put func(chunk index.Chunk) error) error {
	return x.vectors.Save(func(chunk index.Chunk) error {
		sealed, err := rename(chunk, compat.EngineExact, compat.EngineCoder)
		if err != nil {
			return err
		}
		return put(sealed)
	})
}

// Load reads what Save wrote for the same space and builds the graph again,
// which takes as long as inserting all. A damaged checkpoint is
// index.ErrCorrupt, one of another space index.ErrSpace.
func Load(cfg index.Config, source index.Source) (*Index, error) {
	vectors, err := exact.Load(cfg, func() (index.Chunk, error) {
		chunk, err := source()
		if err != nil {
			return nil, err
		}
		return rename(chunk, compat.EngineCoder, compat.EngineExact)
	})
	if err != nil {
		return nil, err
	}
	x := over(cfg.WithDefaults(), vectors)
	// Without an end to its context it has no error.
	_ = x.rebuildLocked(context.Background())
	return x, nil
}

// rename seals a chunk of one engine as one of another. A chunk of a third
// stays what it is, for the reader to refuse.
func rename(chunk index.Chunk, from, to compat.Engine) (index.Chunk, error) {
	seal, payload, err := index.Unseal(chunk)
	if err != nil {
		return nil, err
	}
	switch seal.Engine {
	case from:
		seal.Engine = to
	case to:
		seal.Engine = from
	}
	return seal.Close(payload), nil
}
