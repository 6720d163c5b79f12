package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Checked is what Check found in one collection.
type Checked struct {
	Name       string
	Generation uint64
	Manifest   compat.Manifest
	Points     int
	// Checkpoint is what is to be had of the saved graph.
	Checkpoint CheckpointState
	// Replayed is how many vectors are put into the graph at a start, because
	// they came after the checkpoint or there is none.
	Replayed int
	Index    index.Stats
	Seconds  float64
	Damage   error // a *CorruptionError; nil: sound
}

// CheckpointState says what a start finds.
type CheckpointState string

// The states.
const (
	CheckpointNone     CheckpointState = "none"     // the graph is built from the vectors at a start
	CheckpointSound    CheckpointState = "sound"    // it is loaded
	CheckpointUnusable CheckpointState = "unusable" // it is left, and the graph built from the vectors: nothing is lost
)

// Check reads everything in the data directory of a stopped store and changes
// nothing: blocks by their checksums and their order, counts and digests of
// collections, the high-water marks, every document by its hash, every vector
// by the rules of its space, and the checkpoint of every graph, which it opens;
// of a collection with two generations both.
// Options.Create is ignored. Damage of a collection is in its Checked; damage
// of the store as a whole is the error, and then what was checked before is
// given beside it. Errors are those of Open.
func Check(ctx context.Context, o Options) ([]Checked, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	o.Create, o.readOnly = false, true
	o.Logger = slog.New(slog.DiscardHandler) // what it has to say is in the answer
	s := newStore(o)
	if _, err := s.openEngine(); err != nil {
		return nil, err
	}
	list, err := s.check(ctx)
	for _, c := range s.sorted() {
		err = errors.Join(err, c.endGraphs())
	}
	return list, errors.Join(err, s.db.Close())
}

// check verifies the store as a start does, and then deeper.
func (s *Store) check(ctx context.Context) ([]Checked, error) {
	if err := s.recover(ctx, false); err != nil {
		return nil, err
	}
	collections := s.sorted()
	list := make([]Checked, len(collections))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range collections {
		group.Go(func() error {
			begun := time.Now()
			list[i] = c.checked(ctx)
			list[i].Seconds = time.Since(begun).Seconds()
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return list, err
	}
	if err := s.db.CheckLevels(nil); err != nil {
		return list, &CorruptionError{Object: "order of its tables", Detail: err.Error()}
	}
	return list, nil
}

// checked looks at what a start does not: the contents.
func (c *Collection) checked(ctx context.Context) Checked {
	out := Checked{Name: c.name, Damage: c.damage}
	if c.serving() == nil {
		return out
	}
	out.Generation, out.Manifest, out.Points = c.serving().number, c.Manifest(), int(c.state.live)
	if c.damage != nil {
		return out
	}
	switch {
	case c.dropped:
		out.Checkpoint = CheckpointUnusable
	case c.rebuilt || len(c.serving().header.written) == 0:
		out.Checkpoint = CheckpointNone
	default:
		out.Checkpoint = CheckpointSound
	}
	out.Replayed, out.Index = c.reinserted, c.serving().graph.Stats()
	out.Damage = c.checkDocuments(ctx)
	for _, g := range c.generations.Load().each() {
		if out.Damage == nil {
			out.Damage = c.checkVectors(ctx, g)
		}
	}
	return out
}

// checkDocuments compares every document with its own hash.
func (c *Collection) checkDocuments(ctx context.Context) error {
	prefix := prefixKey(familyDocument, c.number)
	return c.checkAll(ctx, "documents", prefix, func(key, value []byte) error {
		id, err := decodeID(key[len(prefix):])
		if err != nil {
			return err
		}
		h, _, _, payload, err := splitDocument(value)
		switch {
		case err != nil:
			return fmt.Errorf("document %s: %w", id, err)
		case sha256.Sum256(value[headFlags:]) != h.hash:
			return fmt.Errorf("%w: document %s is not what was stored: its hash is another", errRecord, id)
		case payload != nil && !json.Valid(payload):
			return fmt.Errorf("%w: the payload of document %s is no JSON", errRecord, id)
		}
		return nil
	})
}

// checkVectors holds every vector against the rules of its space.
func (c *Collection) checkVectors(ctx context.Context, g *generation) error {
	var row []float32
	return c.checkAll(ctx, "vectors", vectorPrefix(c.number, g.number), func(key, value []byte) error {
		var err error
		if row, err = appendVector(row[:0], value, g.config.Dimension); err == nil {
			_, err = g.stamper.Stamp(row)
		}
		if err != nil {
			ordinal, _ := lastUint32(key, vectorKeyLength)
			return fmt.Errorf("%w: vector %d: %w", errRecord, ordinal, err)
		}
		return nil
	})
}

// checkAll calls f for all keys with a prefix; what it finds is damage.
func (c *Collection) checkAll(ctx context.Context, object string, prefix []byte, f func(key, value []byte) error) error {
	n := 0
	err := scan(c.store.db, prefix, nil, func(key, value []byte) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return f(key, value)
	})
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, errRecord) || errors.Is(err, ErrID) || pebble.IsCorruptionError(err):
		return &CorruptionError{Collection: c.name, Object: object, Detail: err.Error()}
	}
	return fmt.Errorf("collection %q: read %s: %w", c.name, object, err)
}
