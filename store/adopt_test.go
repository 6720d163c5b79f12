package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// rawManifest is of vectors of no declared model.
func rawManifest(dim int, engine compat.Engine) compat.Manifest {
	m := testManifest(dim, 9)
	m.Space.Encoder, m.Space.Tokenizer, m.Space.Pooling = "raw/1", compat.Digest{}, compat.PoolingNone
	m.Index.Engine = engine
	m.Provenance = compat.Provenance{Program: "test"}
	return m
}

// everyText draws documents by the text that they have.
func everyText(d *Document) (string, bool) { return d.Text, d.HasText }

// adoption is of the test's model, proved by nothing.
func adoption(c *Collection) Adoption {
	m := testManifest(c.Manifest().Space.Dimension, 1)
	return Adoption{
		From: c.Manifest().Space.Fingerprint(), Space: m.Space, Provenance: m.Provenance,
		Draw: DrawQuery{N: 1 << 20, Text: everyText},
		Prove: func(context.Context, Drawn) (compat.Evidence, error) {
			return compat.Evidence{ModelCard: "proved"}, nil
		},
	}
}

// adopt adopts, and waits for the end.
func adopt(ctx context.Context, c *Collection, a Adoption) error {
	end, err := c.Adopt(ctx, a)
	if err != nil {
		return err
	}
	return end()
}

// chunksOf gives an error unless there are exactly the chunks that the header
// names, all of them of the generation's space.
func chunksOf(c *Collection) error {
	g := c.serving()
	record, err := get(c.store.db, checkpointKey(c.number, g.number))
	if err != nil || record == nil {
		return err
	}
	header, err := decodeCheckpoint(record)
	if err != nil {
		return err
	}
	for i, number := range header.written {
		chunk, err := get(c.store.db, chunkKey(c.number, g.number, number, uint32(i)))
		if err != nil {
			return err
		}
		seal, _, err := index.Unseal(chunk)
		if err != nil || seal.Fingerprint != g.config.Stored {
			return fmt.Errorf("chunk %d is of %.12s, the generation of %.12s: %w", i, seal.Fingerprint, g.config.Stored, err)
		}
	}
	return nil
}

func TestAdopt(t *testing.T) {
	for _, engine := range []compat.Engine{compat.EngineHNSW, compat.EngineExact, compat.EngineAuto, compat.EngineCoder} {
		t.Run(string(engine), func(t *testing.T) {
			ctx := t.Context()
			fs := vfs.NewMem()
			s := open(t, testOptionsFor(t, fs))
			raw := rawManifest(4, engine)
			c := create(t, s, "c", raw)
			put(t, c, 1, 0, 60)
			if err := c.checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
			put(t, c, 2, 10, 30)
			if _, _, err := c.Delete(ctx, []ID{NumID(40), NumID(41)}); err != nil {
				t.Fatal(err)
			}
			want := map[int]int{}
			for id := range 60 {
				if want[id] = 1; id >= 10 && id < 30 {
					want[id] = 2
				}
			}
			delete(want, 40)
			delete(want, 41)
			sequence := c.Sequence()
			a := adoption(c)
			if err := adopt(ctx, c, a); err != nil {
				t.Fatal(err)
			}
			adopted := c.Manifest()
			if adopted.Space != a.Space || adopted.Evidence.ModelCard != "proved" || adopted.Metric != raw.Metric || adopted.Index != raw.Index || c.Generation() != 1 {
				t.Errorf("the manifest is %+v, generation %d", adopted, c.Generation())
			}
			if c.Sequence() != sequence {
				t.Errorf("sequence %d, was %d: the adoption wrote documents", c.Sequence(), sequence)
			}
			old := stamp(t, raw, vectorOf(3, 1, 4))
			if _, err := c.Search(ctx, old, SearchQuery{Limit: 1}); !errors.Is(err, index.ErrSpace) {
				t.Errorf("a raw query: %v", err)
			}
			if _, err := c.Put(ctx, []Document{documentOf(3, 3)}, old); !errors.Is(err, index.ErrSpace) {
				t.Errorf("a raw write: %v", err)
			}
			if err := adopt(ctx, c, a); !errors.Is(err, ErrAdopted) {
				t.Errorf("once more: %v", err)
			}
			for round := range 3 {
				if err := errors.Join(expect(c, want), chunksOf(c)); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				closeStore(t, s)
				s = open(t, testOptionsFor(t, fs))
				if _, err := s.OpenCollection(ctx, "c", raw.Space); !errors.As(err, new(*compat.MismatchError)) {
					t.Errorf("opened as raw: %v", err)
				}
				c = reopen(t, s, "c", adopted)
				if c.rebuilt || c.dropped || c.reinserted > 0 && round == 0 {
					t.Errorf("round %d: rebuilt %v, dropped %v, %d inserted again", round, c.rebuilt, c.dropped, c.reinserted)
				}
				put(t, c, 5+round, 100+round, 101+round)
				want[100+round] = 5 + round
			}
			closeStore(t, s)
		})
	}
}

// TestAdoptKilled: a store that ends right after the adoption, without a
// checkpoint, opens in the new space and loads the graph.
func TestAdoptKilled(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, testOptionsFor(t, fs))
	c := create(t, s, "c", rawManifest(4, compat.EngineHNSW))
	put(t, c, 1, 0, 50)
	if err := adopt(t.Context(), c, adoption(c)); err != nil {
		t.Fatal(err)
	}
	put(t, c, 2, 50, 60)
	adopted := c.Manifest()
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	s = open(t, testOptionsFor(t, left))
	defer closeStore(t, s)
	c = reopen(t, s, "c", adopted)
	want := map[int]int{}
	for id := range 60 {
		want[id] = 1 + id/50
	}
	if err := errors.Join(expect(c, want), chunksOf(c)); err != nil {
		t.Error(err)
	}
	if c.rebuilt || c.dropped || c.reinserted != 10 {
		t.Errorf("rebuilt %v, dropped %v, %d inserted again: want the 10 behind the adoption", c.rebuilt, c.dropped, c.reinserted)
	}
}

// TestAdoptRefuses: whatever ends an adoption leaves the collection raw, and
// its next checkpoint good.
func TestAdoptRefuses(t *testing.T) {
	ctx := t.Context()
	fs := vfs.NewMem()
	s := open(t, testOptionsFor(t, fs))
	raw := rawManifest(4, compat.EngineHNSW)
	c := create(t, s, "c", raw)
	put(t, c, 1, 0, 20)
	refused := errors.New("not the model's")
	for name, change := range map[string]func(a *Adoption) error{
		"not proved": func(a *Adoption) error {
			a.Prove = func(context.Context, Drawn) (compat.Evidence, error) { return compat.Evidence{}, refused }
			return refused
		},
		"other dimension": func(a *Adoption) error {
			a.Space.Dimension, a.Space.FullDimension = 5, 5
			return compat.ErrDimension
		},
		"other length": func(a *Adoption) error {
			a.Space.Normalization = compat.NormalizeL2
			return compat.ErrNorm
		},
		"invalid evidence": func(a *Adoption) error {
			a.Prove = func(context.Context, Drawn) (compat.Evidence, error) {
				return compat.Evidence{Adoption: &compat.Adoption{}}, nil
			}
			return compat.ErrInvalid
		},
		"other space": func(a *Adoption) error { a.From[0]++; return ErrAdopted },
	} {
		a := adoption(c)
		want := change(&a)
		if err := adopt(ctx, c, a); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := adopt(canceled, c, adoption(c)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	number, err := c.StartStandby(ctx, targetManifest(), Record{})
	if err != nil {
		t.Fatal(err)
	}
	if err := adopt(ctx, c, adoption(c)); !errors.Is(err, ErrMigrating) {
		t.Errorf("during a migration: %v", err)
	}
	if err := c.Retire(ctx, number, Record{}); err != nil {
		t.Fatal(err)
	}
	put(t, c, 2, 20, 30)
	want := map[int]int{}
	for id := range 30 {
		want[id] = 1 + id/20
	}
	for range 2 {
		if err := errors.Join(expect(c, want), chunksOf(c)); err != nil {
			t.Error(err)
		}
		closeStore(t, s)
		s = open(t, testOptionsFor(t, fs))
		c = reopen(t, s, "c", raw)
		if c.rebuilt || c.dropped {
			t.Error("a refused adoption cost the checkpoint")
		}
	}
	closeStore(t, s)
}

// TestFitNamesThePoints: every vector is looked at, and the first that can't be
// of the space are named.
func TestFitNamesThePoints(t *testing.T) {
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := rawManifest(2, compat.EngineExact)
	c := create(t, s, "c", m)
	var docs []Document
	var rows []float32
	for id := range 100 {
		docs = append(docs, documentOf(id, 1))
		if row := []float32{0.6, 0.8}; id%25 != 7 {
			rows = append(rows, row...)
		} else {
			rows = append(rows, 3, 4)
		}
	}
	if _, err := c.Put(t.Context(), docs, stamp(t, m, rows)); err != nil {
		t.Fatal(err)
	}
	space := testManifest(2, 1).Space
	if next, err := c.Fit(t.Context(), space); err != nil || next != 100 {
		t.Errorf("without normalization: %d, %v", next, err)
	}
	space.Normalization = compat.NormalizeL2
	var unfit *UnfitError
	if _, err := c.Fit(t.Context(), space); !errors.As(err, &unfit) || unfit.Count != 4 || unfit.Of != 100 || !errors.Is(err, compat.ErrNorm) {
		t.Fatalf("with normalization: %v", err)
	}
	if want := []ID{NumID(7), NumID(32), NumID(57), NumID(82)}; !slices.Equal(unfit.IDs, want) {
		t.Errorf("named are %v, want %v", unfit.IDs, want)
	}
}

// TestDrawIsEven: documents that have a text are drawn alike, wherever they
// were written; the others never.
func TestDrawIsEven(t *testing.T) {
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	c := create(t, s, "c", rawManifest(4, compat.EngineExact))
	put(t, c, 1, 0, 200)
	put(t, c, 2, 0, 20) // the first ones have the last ordinals
	texts := func(d *Document) (string, bool) {
		id, _ := d.ID.Number()
		return d.Text, id%4 == 0
	}
	times := map[uint64]int{}
	const rounds, n = 2000, 10
	for seed := range uint64(rounds) {
		d, err := c.Draw(t.Context(), DrawQuery{N: n, Seed: seed, Text: texts})
		if err != nil || len(d.Docs) != n || len(d.Texts) != n || d.Of != 200 || d.Next != 220 {
			t.Fatalf("%d documents of %d, next %d, %v", len(d.Docs), d.Of, d.Next, err)
		}
		met := map[uint64]bool{}
		for i, doc := range d.Docs {
			id, _ := doc.ID.Number()
			version := 1
			if id < 20 {
				version = 2
			}
			if met[id] || d.Texts[i] != doc.Text || !slices.Equal(doc.Vector, vectorOf(int(id), version, 4)) {
				t.Fatalf("drew %s twice, or with another vector", doc.ID)
			}
			met[id] = true
			times[id]++
		}
	}
	// Each of 50 is drawn with p = 1/5: 400 times, standard deviation 17.9.
	for id := uint64(0); id < 200; id++ {
		if got := times[id]; id%4 == 0 && (got < 400-90 || got > 400+90) || id%4 != 0 && got != 0 {
			t.Errorf("document %d was drawn %d times", id, got)
		}
	}
	all, err := c.Draw(t.Context(), DrawQuery{N: 1000, Text: texts})
	if err != nil || len(all.Docs) != 50 {
		t.Errorf("all: %d documents, %v", len(all.Docs), err)
	}
	put(t, c, 3, 300, 304)
	late, err := c.Draw(t.Context(), DrawQuery{From: all.Next, N: 1000, Text: everyText})
	if err != nil || len(late.Docs) != 4 || late.Of != 4 {
		t.Errorf("of what was written since: %d documents of %d, %v", len(late.Docs), late.Of, err)
	}
}

// TestAdoptBesideWriters: writers bring raw vectors, one of them a foreign one
// at an uncertain moment, while the collection is adopted and searched. The
// foreign one is seen by a draw, or refused; it never is in an adopted
// collection. Searches are answered in one space.
func TestAdoptBesideWriters(t *testing.T) {
	const seed, rounds = 11, 30
	ctx := t.Context()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	rng := rand.New(rand.NewPCG(seed, 0))
	foreign := documentOf(1<<20, 77)
	outcomes := map[string]int{}
	for round := range rounds {
		name := fmt.Sprintf("c%d", round)
		raw := rawManifest(4, compat.EngineHNSW)
		raw.Space.Weights[5] = byte(round)
		c := create(t, s, name, raw)
		put(t, c, 1, 0, 30)
		var over atomic.Bool
		var group sync.WaitGroup
		// The adoption begins about when the foreign vector comes.
		at, begin := 40+rng.IntN(60), rng.IntN(16)-15
		var written atomic.Int64
		group.Go(func() {
			for id := 30; ; id++ {
				doc, row := documentOf(id, 1), vectorOf(id, 1, 4)
				if id == at {
					doc, row = foreign, vectorOf(7, 7, 4)
				}
				_, err := c.Put(ctx, []Document{doc}, mustStampFor(raw, row))
				switch {
				case errors.Is(err, index.ErrSpace):
					return
				case err != nil:
					t.Errorf("seed %d: %v", seed, err)
					return
				case over.Load() && id > at: // refused, so raw vectors are taken for ever
					return
				}
				written.Store(int64(id))
			}
		})
		group.Go(func() {
			for !over.Load() {
				g := c.serving()
				answer, err := c.Search(ctx, mustStamp(g.stamper, vectorOf(3, 1, 4)), SearchQuery{Limit: 1, WithVector: true})
				if errors.Is(err, index.ErrSpace) {
					continue // adopted since
				}
				if err != nil || answer.Fingerprint != g.config.Fingerprint || len(answer.Hits) != 1 || answer.Hits[0].ID != NumID(3) {
					t.Errorf("seed %d: asked in %.12s: %+v, %v", seed, g.config.Fingerprint, answer, err)
					return
				}
			}
		})
		for written.Load() < int64(at+begin) && !t.Failed() {
			time.Sleep(50 * time.Microsecond)
		}
		err := adoptUnless(ctx, c, foreign.ID)
		over.Store(true)
		group.Wait()
		there, getErr := c.Get(ctx, []ID{foreign.ID}, false)
		if getErr != nil {
			t.Fatal(getErr)
		}
		switch {
		case err == nil && len(there) > 0:
			t.Errorf("seed %d, round %d: a foreign vector slipped in", seed, round)
		case err == nil:
			outcomes["adopted"]++
		case errors.Is(err, errForeign) && len(there) == 1:
			outcomes["refused"]++
		default:
			t.Errorf("seed %d, round %d: %v, foreign is there: %v", seed, round, err, len(there) > 0)
		}
		if raw := c.Manifest().Space.Raw(); raw == (err == nil) {
			t.Errorf("raw %v after %v", raw, err)
		}
	}
	t.Logf("seed %d: %v", seed, outcomes)
	if outcomes["adopted"] == 0 || outcomes["refused"] == 0 {
		t.Errorf("seed %d: %v: the race was always won by the same", seed, outcomes)
	}
}

func mustStampFor(m compat.Manifest, row []float32) compat.Vectors {
	stamper, err := m.Stamper()
	if err != nil {
		panic(err)
	}
	return mustStamp(stamper, row)
}

var errForeign = errors.New("a foreign vector")

// adoptUnless adopts unless a draw has the vector of a point.
func adoptUnless(ctx context.Context, c *Collection, foreign ID) error {
	check := func(d Drawn) error {
		for _, doc := range d.Docs {
			if doc.ID == foreign {
				return errForeign
			}
		}
		return nil
	}
	first, err := c.Draw(ctx, DrawQuery{N: 1 << 20, Text: everyText})
	if err = errors.Join(err, check(first)); err != nil {
		return err
	}
	a := adoption(c)
	a.Draw.From, a.Fitted = first.Next, first.Next
	a.Prove = func(_ context.Context, fresh Drawn) (compat.Evidence, error) { return compat.Evidence{}, check(fresh) }
	return adopt(ctx, c, a)
}
