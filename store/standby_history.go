package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// GenerationInfo is one generation that a collection has or had.
type GenerationInfo struct {
	Number    uint64
	CreatedAt time.Time
	Manifest  compat.Manifest
	Serving   bool
	Standby   bool
}

// Generations is every generation that there was, the oldest first. Errors are
// those of Get.
func (c *Collection) Generations(ctx context.Context) (list []GenerationInfo, err error) {
	err = c.readServing(ctx, func(snapshot *pebble.Snapshot, serving *generation) error {
		standby := c.generations.Load().standby
		return scan(snapshot, prefixKey(familyGeneration, c.number), nil, func(key, value []byte) error {
			number, err := lastUint64(key)
			if err != nil {
				return readError(c.name, "generations", err)
			}
			record, err := decodeGeneration(value)
			if err != nil {
				return readError(c.name, fmt.Sprintf("manifest of generation %d", number), err)
			}
			list = append(list, GenerationInfo{
				Number: number, CreatedAt: record.createdAt, Manifest: record.manifest,
				Serving: number == serving.number, Standby: standby != nil && number == standby.number,
			})
			return nil
		})
	})
	return list, err
}

// lastGeneration is the greatest number that a generation had.
func (c *Collection) lastGeneration() (last uint64, err error) {
	err = scan(c.store.db, prefixKey(familyGeneration, c.number), nil, func(key, _ []byte) error {
		var err error
		last, err = lastUint64(key)
		return err
	})
	return last, err
}

// SetRecord keeps a record of a migration. Errors: ErrFailed, ErrNotFound,
// ErrClosed.
func (c *Collection) SetRecord(ctx context.Context, r Record) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := errors.Join(ctx.Err(), c.store.failed()); err != nil {
		return err
	}
	if err := c.store.db.Set(migrationKey(c.number, r.Migration), r.Value, c.store.sync()); err != nil {
		c.store.fail(err)
		return c.store.failed()
	}
	return nil
}

// Records is every record of a migration, by number. Errors are those of Get.
func (c *Collection) Records(ctx context.Context) (list []Record, err error) {
	err = c.read(ctx, func(snapshot *pebble.Snapshot) error {
		return scan(snapshot, prefixKey(familyMigration, c.number), nil, func(key, value []byte) error {
			number, err := lastUint64(key)
			if err != nil {
				return readError(c.name, "migrations", err)
			}
			list = append(list, Record{Migration: number, Value: append([]byte(nil), value...)})
			return nil
		})
	})
	return list, err
}

// SampleVectors is up to n stored vectors of a generation, drawn evenly; 0: of
// the one that serves. Errors: ErrGeneration and those of Get.
func (c *Collection) SampleVectors(ctx context.Context, number uint64, n int) (compat.Vectors, error) {
	if err := c.begin(); err != nil {
		return compat.Vectors{}, err
	}
	defer c.end()
	g, err := c.generation(number)
	if err != nil {
		return compat.Vectors{}, err
	}
	defer g.leave()
	drawn, _, err := c.sample(ctx, g, n, 0)
	if err != nil {
		return compat.Vectors{}, err
	}
	var rows []float32
	for _, v := range drawn {
		rows = append(rows, v.Row(0)...)
	}
	return g.stamper.Stamp(rows)
}

// Retune gives the serving generation a manifest that needs no new vectors and
// no new graph: other search defaults, another query prompt, labels, evidence
// (compat.Verdict.Opens). Its graph is read again under the new manifest, and
// writes wait for that. What is made for the former query prompt is refused
// from then on. end waits for what reads the former graph and frees it: call it when
// encoders follow the new manifest. Errors: *compat.MismatchError for a manifest
// that asks for more, ErrMigrating, *compat.InvalidError, ErrFailed, ErrNotFound,
// ErrClosed.
func (c *Collection) Retune(ctx context.Context, m compat.Manifest, r Record) (end func() error, err error) {
	m = m.WithDefaults()
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("collection %q: retune: %w", c.name, err)
	}
	var former *generation
	err = c.change(ctx, func(all *generations, s *transition) error {
		if all.standby != nil {
			return fmt.Errorf("collection %q: %w to generation %d; finish or abort that first", c.name, ErrMigrating, all.standby.number)
		}
		former = all.serving
		have := *all.serving.manifest.Load()
		if mismatch := compat.NewMismatch(c.name, have, m, compat.Facts{Documents: int(s.state.live)}); !mismatch.Plan.Verdict.Opens() {
			return mismatch
		}
		g, err := newGeneration(all.serving.number, all.serving.createdAt, m)
		if err != nil {
			return err
		}
		g.header, g.filled = all.serving.header, all.serving.filled
		if g.graph, err = reread(ctx, all.serving.graph, g.config); err != nil {
			return fmt.Errorf("collection %q: retune: %w", c.name, err)
		}
		s.rewritten, s.record = g, r
		s.all, err = newGenerations(g, nil, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	return func() error {
		former.retire()
		return former.end()
	}, nil
}

// reread is a graph under another configuration of the same vectors.
func reread(ctx context.Context, graph index.Index, cfg index.Config) (index.Index, error) {
	if err := settle(ctx, graph); err != nil {
		return nil, err
	}
	var chunks index.Chunks
	err := graph.Save(func(chunk index.Chunk) error {
		chunks = append(chunks, slices.Clone(chunk))
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return loadIndex(cfg, chunks)
}
