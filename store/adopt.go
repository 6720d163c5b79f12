package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Raw vectors are adopted when it has been proved that a model made them: the
// serving generation gets that model's space, and keeps its vectors and links.
//
//	Draw     documents at random, for the caller to embed again
//	Fit      whether every vector is one that the space allows
//	Adopt    what was written since is drawn, too, and then one batch: the
//	         manifest, and the graph's chunks sealed for the new space
//
// The new chunks are written first, under the number of the checkpoint to come,
// as those of any checkpoint are (checkpoint.go): a crash leaves the manifest
// and the chunks of the one space or those of the other. Vectors of the former
// space are refused from then on, also by writes that began before it.

// DrawQuery says what is drawn.
type DrawQuery struct {
	From Position // only vectors that were written since; 0: all
	N    int      // documents that are wanted
	Seed uint64   // the same one draws the same of the same collection
	// Text is what a document is embedded as; ok is false for one that can't be.
	Text func(d *Document) (text string, ok bool)
}

// Drawn is documents that have a text, with their vectors in the serving
// generation: all of them, or as many as were wanted, each as likely as another.
type Drawn struct {
	Docs  []Stored
	Texts []string // of Docs
	Of    int      // vectors that there were to draw from, with and without a text
	Live  int      // documents that there were in all
	Next  Position // what is written later lies from here on
}

// Draw draws documents at random, all of one moment. Errors are those of Get.
func (c *Collection) Draw(ctx context.Context, q DrawQuery) (Drawn, error) {
	if err := c.begin(); err != nil {
		return Drawn{}, err
	}
	defer c.end()
	g, err := c.generation(0)
	if err != nil {
		return Drawn{}, err
	}
	defer g.leave()
	return c.draw(ctx, g, q)
}

func (c *Collection) draw(ctx context.Context, g *generation, q DrawQuery) (d Drawn, err error) {
	left, s, snapshot := c.since(g, q.From)
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	d = Drawn{Of: int(left.GetCardinality()), Live: int(s.live), Next: Position(s.next)}
	rng := rand.New(rand.NewPCG(q.Seed, 1))
	seen := 0
	for len(d.Docs) < q.N && !left.IsEmpty() {
		// As many as will have the missing texts if they go on as they have.
		want := (q.N - len(d.Docs)) * (seen + 1) / (len(d.Docs) + 1)
		ordinals := drawOrdinals(left, min(want, d.Of), rng.Uint64())
		for _, ordinal := range ordinals {
			if err := ctx.Err(); err != nil {
				return Drawn{}, err
			}
			left.Remove(ordinal)
			doc, row, ok, err := c.unfilled(g, snapshot, ordinal, true)
			if err != nil {
				return Drawn{}, err
			}
			seen++
			if !ok {
				continue
			}
			if text, ok := q.Text(&doc.Document); ok {
				d.Docs, d.Texts = append(d.Docs, Stored{Document: doc.Document, Vector: row}), append(d.Texts, text)
			}
		}
	}
	rng.Shuffle(len(d.Docs), func(i, j int) {
		d.Docs[i], d.Docs[j] = d.Docs[j], d.Docs[i]
		d.Texts[i], d.Texts[j] = d.Texts[j], d.Texts[i]
	})
	n := min(len(d.Docs), max(q.N, 0))
	d.Docs, d.Texts = d.Docs[:n], d.Texts[:n]
	return d, nil
}

// since is the ordinals of a generation from a position on, and the collection
// at that moment.
func (c *Collection) since(g *generation, from Position) (*roaring.Bitmap, state, *pebble.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ordinals := g.filled.Clone()
	ordinals.RemoveRange(0, uint64(from))
	return ordinals, c.state, c.store.db.NewSnapshot()
}

// UnfitError says which stored vectors are none of a space. It wraps what is
// wrong with the first.
type UnfitError struct {
	Collection string
	Count      int  // of vectors that are none
	Of         int  // that were looked at
	IDs        []ID // of the first, up to 10
	Err        error
}

// Error names the first.
func (e *UnfitError) Error() string {
	return fmt.Sprintf("collection %q: %d of %d stored vectors can't be of the space, that of point %s for one: %v", e.Collection, e.Count, e.Of, e.IDs[0], e.Err)
}

// Unwrap gives the reason.
func (e *UnfitError) Unwrap() error { return e.Err }

// maxUnfitIDs bounds UnfitError.IDs.
const maxUnfitIDs = 10

// Fit looks whether every vector of the serving generation could be of a space,
// under the collection's metric: its dimension, and its length where the space
// is normalized. What is written later lies from next on. Errors: *UnfitError,
// *compat.InvalidError, and those of Get.
func (c *Collection) Fit(ctx context.Context, space compat.Space) (next Position, err error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.end()
	g, err := c.generation(0)
	if err != nil {
		return 0, err
	}
	defer g.leave()
	return c.fit(ctx, g, space, 0)
}

func (c *Collection) fit(ctx context.Context, g *generation, space compat.Space, from Position) (next Position, err error) {
	m := *g.manifest.Load()
	m.Space, m.Evidence = space, compat.Evidence{}
	stamper, err := m.Stamper()
	if err != nil {
		return 0, fmt.Errorf("collection %q: %w", c.name, err)
	}
	_, s, snapshot := c.since(g, from)
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	next = Position(s.next)
	unfit := UnfitError{Collection: c.name}
	if from > math.MaxUint32 {
		return next, nil // every ordinal was handed out
	}
	var row []float32
	err = scan(snapshot, vectorPrefix(c.number, g.number), vectorKey(c.number, g.number, uint32(from)), func(key, value []byte) error {
		if unfit.Of++; unfit.Of%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ordinal, ok := lastUint32(key, vectorKeyLength)
		var err error
		if row, err = appendVector(row[:0], value, g.config.Dimension); err != nil || !ok {
			return readError(c.name, fmt.Sprintf("vector %d", ordinal), errors.Join(err, errRecordUnless(ok)))
		}
		if _, err = stamper.Stamp(row); err == nil {
			return nil
		}
		if unfit.Count++; unfit.Count > maxUnfitIDs {
			return nil
		}
		id, _, err2 := c.owner(snapshot, ordinal)
		if unfit.IDs = append(unfit.IDs, id); unfit.Err == nil {
			unfit.Err = err
		}
		return err2
	})
	if err == nil && unfit.Count > 0 {
		err = &unfit
	}
	return next, err
}

// Adoption says what raw vectors become, and what was looked at.
type Adoption struct {
	From       compat.Fingerprint // the space that they are in
	Space      compat.Space
	Provenance compat.Provenance
	Fitted     Position // what Fit gave: vectors from there on are looked at
	// Draw are those documents that the caller has not compared: From is the
	// Next of what it drew last.
	Draw DrawQuery
	// Prove compares what was drawn of them, while writes wait, and gives the
	// evidence of the new manifest. An error ends the adoption. It calls nothing of
	// the collection but Manifest, which would wait for itself.
	Prove func(ctx context.Context, fresh Drawn) (compat.Evidence, error)
}

// Adopt gives the serving generation the space of the model that made its
// vectors. Its graph is read again, and writes wait for that; searches under way
// end in the former space, and end, which has to be called, waits for them and
// lets the former graph go. When Adopt returns an error nothing has changed,
// except with ErrFailed, when the disk decides. Errors: ErrMigrating, ErrAdopted,
// *UnfitError, *compat.InvalidError, those of Prove, ErrDiskFull, ErrFailed,
// ErrNotFound, ErrClosed.
func (c *Collection) Adopt(ctx context.Context, a Adoption) (end func() error, err error) {
	if err := c.Settle(ctx); err != nil { // writes would wait for it below
		return nil, err
	}
	var former, adopted *generation
	err = c.change(ctx, func(all *generations, s *transition) (err error) {
		former = all.serving
		if err := c.adoptable(all, a); err != nil {
			return err
		}
		if _, err := c.fit(ctx, former, a.Space, a.Fitted); err != nil {
			return err
		}
		fresh, err := c.draw(ctx, former, a.Draw)
		if err != nil {
			return err
		}
		m := *former.manifest.Load()
		m.Space, m.Provenance = a.Space, a.Provenance
		if m.Evidence, err = a.Prove(ctx, fresh); err != nil {
			return err
		}
		if adopted, err = newGeneration(former.number, former.createdAt, m); err != nil {
			return fmt.Errorf("collection %q: adopt: %w", c.name, err)
		}
		adopted.filled = former.filled
		if err := c.reseal(ctx, former, adopted, s.state.sequence); err != nil {
			return fmt.Errorf("collection %q: adopt: %w", c.name, err)
		}
		s.rewritten, s.resealed = adopted, former
		s.all, err = newGenerations(adopted, nil, false)
		return err
	})
	if err != nil {
		if adopted != nil {
			err = errors.Join(err, adopted.end())
		}
		return nil, err
	}
	return func() error {
		former.retire()
		return former.end()
	}, nil
}

// adoptable refuses what can't be adopted as it is.
func (c *Collection) adoptable(all *generations, a Adoption) error {
	g := all.serving
	switch {
	case all.standby != nil:
		return fmt.Errorf("collection %q: %w to generation %d; finish or abort that first", c.name, ErrMigrating, all.standby.number)
	case !g.manifest.Load().Space.Raw() || !g.config.Fingerprint.Matches(a.From):
		return fmt.Errorf("collection %q: %w: it is of %.12s; look at its manifest", c.name, ErrAdopted, g.config.Fingerprint)
	case c.behind.Load():
		return fmt.Errorf("collection %q: adopt: its graph lacks a stored vector; restart, which brings it in", c.name)
	}
	return errors.Join(c.store.room(), c.store.failed())
}

// reseal writes the graph of from for the space of to, in chunks of the next
// checkpoint that don't count yet, and loads it. The caller holds checkpointMu
// and writing.
func (c *Collection) reseal(ctx context.Context, from, to *generation, sequence uint64) error {
	header := checkpointHeader{number: from.header.number + 1, sequence: sequence}
	db := c.store.db
	// An attempt that was cut short left chunks of this number or above.
	if err := db.DeleteRange(chunkPrefix(c.number, from.number, header.number), prefixEnd(chunkGeneration(c.number, from.number)), pebble.NoSync); err != nil {
		return err
	}
	resealer, err := index.NewResealer(from.config, to.config, func(number int, chunk index.Chunk) error {
		header.written = append(header.written, header.number)
		return db.Set(chunkKey(c.number, from.number, header.number, uint32(number)), chunk, pebble.NoSync)
	})
	if err != nil {
		return err
	}
	if err := settle(ctx, from.graph); err != nil {
		return err
	}
	err = from.graph.Save(func(chunk index.Chunk) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return resealer.Take(chunk)
	})
	if err != nil {
		return err
	}
	to.header = header
	graph, err := loadIndex(to.config, chunkSource{ctx: ctx, reader: db, collection: c.number, generation: to.number, header: header})
	if err != nil {
		return err
	}
	to.graph = graph
	if engine, ok := index.As[index.Incremental](graph); ok {
		to.saved = engine.Loaded()
	}
	return nil
}
