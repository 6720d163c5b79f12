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
	return x.vectors.SaveAs(compat.EngineCoder, put)
}

// Load reads what Save wrote for the same space and builds the graph again,
// which takes as long as inserting all. A damaged checkpoint is
// index.ErrCorrupt, one of another space index.ErrSpace.
func Load(cfg index.Config, source index.Source) (*Index, error) {
	vectors, err := exact.LoadAs(cfg, compat.EngineCoder, source)
	if err != nil {
		return nil, err
	}
	x := over(cfg.WithDefaults(), vectors)
	// Without an end to its context it has no error.
	_ = x.rebuildLocked(context.Background())
	return x, nil
}
