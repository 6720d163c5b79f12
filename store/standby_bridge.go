package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
)

// Pairs are documents that have a vector in both generations of a migration:
// row i of Serving and of Standby, and Texts[i], belong to one document.
type Pairs struct {
	Serving, Standby compat.Vectors
	Texts            []string // "": none was kept
}

// SamplePairs draws up to n such documents at random; the same seed draws the
// same of the same collection. Each is of one moment. Errors: ErrGeneration
// where the generation of that number does not stand by, and those of Get.
func (c *Collection) SamplePairs(ctx context.Context, number uint64, n int, seed uint64) (p Pairs, err error) {
	if err := c.begin(); err != nil {
		return Pairs{}, err
	}
	defer c.end()
	all := c.generations.Load()
	if all.standby == nil || all.standby.number != number {
		return Pairs{}, c.noStandby(number)
	}
	c.mu.Lock()
	both := roaring.And(all.serving.filled, all.standby.filled)
	c.mu.Unlock()
	var serving, standby []float32
	for _, ordinal := range drawOrdinals(both, n, seed) {
		if err := ctx.Err(); err != nil {
			return Pairs{}, err
		}
		snapshot := c.store.db.NewSnapshot()
		doc, row, ok, err := c.unfilled(all.serving, snapshot, ordinal, true)
		if ok && err == nil {
			serving = append(serving, row...)
			standby, err = c.appendRow(all.standby, snapshot, standby, ordinal)
			p.Texts = append(p.Texts, doc.Text)
		}
		if err = errors.Join(err, snapshot.Close()); err != nil {
			return Pairs{}, err
		}
	}
	var err2 error
	p.Serving, err = all.serving.stamper.Stamp(serving)
	p.Standby, err2 = all.standby.stamper.Stamp(standby)
	return p, errors.Join(err, err2)
}

// drawOrdinals draws up to n of a set, ascending.
func drawOrdinals(set *roaring.Bitmap, n int, seed uint64) []uint32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	drawn := make([]uint32, 0, min(uint64(max(n, 0)), set.GetCardinality()))
	seen := 0
	for it := set.Iterator(); it.HasNext(); seen++ {
		ordinal := it.Next()
		if len(drawn) < cap(drawn) {
			drawn = append(drawn, ordinal)
		} else if at := rng.IntN(seen + 1); at < len(drawn) { // Vitter 1985, algorithm R
			drawn[at] = ordinal
		}
	}
	slices.Sort(drawn)
	return drawn
}

// PositionAt is where a walk over the documents has a share of their ordinals,
// 0 to 1, behind it.
func (c *Collection) PositionAt(share float64) Position {
	return Position(share * float64(c.current().next))
}

// SetBridge keeps what carries queries over during a migration, bytes that the
// store does not read, and the migration's record with it, in one batch. They
// go with the generation that Retire ends. Errors: those of SetRecord.
func (c *Collection) SetBridge(ctx context.Context, bridge []byte, r Record) (err error) {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := errors.Join(ctx.Err(), c.store.room(), c.store.failed()); err != nil {
		return err
	}
	batch := c.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	if err := errors.Join(batch.Set(bridgeKey(c.number, r.Migration), bridge, nil), batch.Set(migrationKey(c.number, r.Migration), r.Value, nil)); err != nil {
		return err
	}
	if err := c.store.db.Apply(batch, c.store.sync()); err != nil {
		c.store.fail(err)
		return c.store.failed()
	}
	return nil
}

// Bridge is what SetBridge kept of a migration, or nil.
func (c *Collection) Bridge(ctx context.Context, migration uint64) (bridge []byte, err error) {
	err = c.read(ctx, func(snapshot *pebble.Snapshot) error {
		if bridge, err = get(snapshot, bridgeKey(c.number, migration)); err != nil {
			return readError(c.name, fmt.Sprintf("bridge of migration %d", migration), err)
		}
		return nil
	})
	return bridge, err
}
