package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// targetDim is the dimension of the second generation in these tests.
const targetDim = 6

// targetManifest is of another model than testManifest.
func targetManifest() compat.Manifest {
	m := testManifest(targetDim, 2)
	m.Index.Engine = compat.EngineHNSW
	return m
}

// targetRow is what the target's encoder makes of a text of documentOf.
func targetRow(text string) []float32 {
	var id, version int
	if _, err := fmt.Sscanf(text, "text %d of version %d", &id, &version); err != nil {
		panic(err)
	}
	return vectorOf(id, version+1<<20, targetDim)
}

// putBoth puts versions of points into both generations; serving is that whose
// rows are of vectorOf.
func putBoth(ctx context.Context, c *Collection, model, target compat.Manifest, version int, ids ...int) error {
	var docs []Document
	var rows, other [][]float32
	for _, id := range ids {
		d := documentOf(id, version)
		docs, rows, other = append(docs, d), append(rows, vectorOf(id, version, model.Space.Dimension)), append(other, targetRow(d.Text))
	}
	a, err := model.Stamper()
	if err != nil {
		return err
	}
	b, err := target.Stamper()
	if err != nil {
		return err
	}
	_, err = c.PutBoth(ctx, docs, mustStamp(a, slices.Concat(rows...)), Other{Space: b.Fingerprint(), Vectors: mustStamp(b, slices.Concat(other...))})
	return err
}

// fillAll is a backfill: batch after batch until nothing is lacking.
func fillAll(ctx context.Context, c *Collection, number uint64, batch int) (filled int, err error) {
	from := Position(0)
	for {
		docs, _, next, done, err := c.Unfilled(ctx, number, from, batch, false)
		if done || err != nil {
			return filled, err
		}
		n, err := fillSome(ctx, c, number, docs)
		if filled += n; err != nil {
			return filled, err
		}
		from = next
	}
}

func fillSome(ctx context.Context, c *Collection, number uint64, docs []Unfilled) (int, error) {
	var rows [][]float32
	for _, d := range docs {
		rows = append(rows, targetRow(d.Text))
	}
	target := targetManifest()
	stamper, err := target.Stamper()
	if err != nil {
		return 0, err
	}
	return c.Fill(ctx, number, docs, mustStamp(stamper, slices.Concat(rows...)), nil)
}

// expectGeneration compares one generation with a model: every point that it
// should have is the nearest to its own vector, at no distance, and there are
// no others.
func expectGeneration(ctx context.Context, c *Collection, number uint64, row func(text string) []float32, model map[int]int) error {
	g := c.generations.Load().of(number)
	if g == nil {
		return fmt.Errorf("there is no generation %d", number)
	}
	for id, version := range model {
		want := documentOf(id, version)
		vector := row(want.Text)
		answer, err := c.Search(ctx, mustStamp(g.stamper, slices.Clone(vector)), SearchQuery{Limit: 1, WithVector: true, Generation: number})
		if err != nil {
			return err
		}
		if len(answer.Hits) != 1 || answer.Hits[0].ID != want.ID || answer.Hits[0].Text != want.Text || answer.Hits[0].Score > 1e-3 {
			return fmt.Errorf("generation %d: search for the vector of point %d version %d gives %+v", number, id, version, answer.Hits)
		}
		if !slices.Equal(answer.Hits[0].Vector, vector) {
			return fmt.Errorf("generation %d: point %d has another vector", number, id)
		}
		if answer.Generation != number || answer.Fingerprint != g.config.Fingerprint {
			return fmt.Errorf("generation %d: the answer says that it is of %d", number, answer.Generation)
		}
	}
	all, err := c.Search(ctx, mustStamp(g.stamper, vectorOf(-1, 0, g.config.Dimension)), SearchQuery{Limit: len(model) + 100, Exact: true, Generation: number})
	if err != nil {
		return err
	}
	if len(all.Hits) != len(model) {
		return fmt.Errorf("generation %d: exact search finds %d points, want %d", number, len(all.Hits), len(model))
	}
	return nil
}

// servingRow is what testManifest's encoder makes of a text of documentOf.
func servingRow(dim int) func(text string) []float32 {
	return func(text string) []float32 {
		var id, version int
		if _, err := fmt.Sscanf(text, "text %d of version %d", &id, &version); err != nil {
			panic(err)
		}
		return vectorOf(id, version, dim)
	}
}

// keysOf counts a generation's keys of vectors and chunks.
func keysOf(t *testing.T, c *Collection, number uint64) (n int) {
	t.Helper()
	for _, prefix := range [][]byte{vectorPrefix(c.number, number), chunkGeneration(c.number, number)} {
		if err := scan(c.store.db, prefix, nil, func(_, _ []byte) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestStandby is a migration from end to end, over restarts at each step.
func TestStandby(t *testing.T) {
	ctx := t.Context()
	fs := vfs.NewMem()
	s := open(t, testOptionsFor(t, fs))
	model, target := hnswManifest(4), targetManifest()
	c := create(t, s, "c", model)
	put(t, c, 1, 0, 40)
	want := map[int]int{}
	for id := range 40 {
		want[id] = 1
	}
	again := func(m compat.Manifest) {
		t.Helper()
		closeStore(t, s)
		s = open(t, testOptionsFor(t, fs))
		c = reopen(t, s, "c", m)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SwitchTo(ctx, 2, Record{}); !errors.Is(err, ErrGeneration) {
		t.Errorf("a switch without a standby: %v", err)
	}
	number, err := c.StartStandby(ctx, target, Record{Migration: 1, Value: []byte("started")})
	must(err)
	if number != 2 {
		t.Fatalf("the second generation is %d", number)
	}
	if _, err := c.StartStandby(ctx, target, Record{}); !errors.Is(err, ErrMigrating) {
		t.Errorf("a second start: %v, want ErrMigrating", err)
	}
	again(model)
	records, err := c.Records(ctx)
	if must(err); len(records) != 1 || string(records[0].Value) != "started" {
		t.Errorf("records: %+v", records)
	}

	// A writer that knows of one generation only is told, and changes nothing.
	if _, err := c.Put(ctx, []Document{documentOf(1, 9)}, stamp(t, model, vectorOf(1, 9, 4))); !errors.Is(err, ErrStandby) {
		t.Errorf("a put into one of two generations: %v, want ErrStandby", err)
	}
	// A late fill neither brings back nor overwrites.
	docs, vectors, _, done, err := c.Unfilled(ctx, number, 0, 10, true)
	must(err)
	if len(docs) != 10 || vectors.Len() != 10 || done {
		t.Fatalf("%d unfilled, %d vectors, done %t", len(docs), vectors.Len(), done)
	}
	for i, d := range docs {
		if !slices.Equal(vectors.Row(i), servingRow(4)(d.Text)) {
			t.Errorf("the vector of %s is another document's", d.ID)
		}
	}
	must(putBoth(ctx, c, model, target, 2, 0, 1, 50))
	want[0], want[1], want[50] = 2, 2, 2
	if _, _, err := c.Delete(ctx, []ID{NumID(2), NumID(3)}); err != nil {
		t.Fatal(err)
	}
	delete(want, 2)
	delete(want, 3)
	n, err := fillSome(ctx, c, number, docs)
	must(err)
	if n != 6 {
		t.Errorf("a late fill of 10 documents, of which 4 were changed, took %d", n)
	}
	if n, err = fillSome(ctx, c, number, docs); n != 0 || err != nil {
		t.Errorf("the same fill again took %d: %v", n, err)
	}
	if err := c.SwitchTo(ctx, number, Record{}); !errors.Is(err, ErrIncomplete) {
		t.Errorf("a switch to half a generation: %v, want ErrIncomplete", err)
	}
	again(model)
	info, ok := c.Standby()
	if !ok || info.Filled != 9 || info.Documents != 39 || info.Generation != 2 || info.Served || info.Derivable {
		t.Errorf("the standby after a restart: %+v", info)
	}
	if _, err := fillAll(ctx, c, number, 7); err != nil {
		t.Fatal(err)
	}
	must(expectGeneration(ctx, c, 1, servingRow(4), want))
	must(expectGeneration(ctx, c, 2, targetRow, want))

	// The target does not answer unless it is asked by its number.
	old := stamp(t, model, vectorOf(0, 2, 4))
	if _, err := c.Search(ctx, stamp(t, target, targetRow("text 0 of version 2")), SearchQuery{Limit: 1}); !errors.Is(err, index.ErrSpace) {
		t.Errorf("a query of the target's space: %v, want ErrSpace", err)
	}
	again(model)
	must(c.SwitchTo(ctx, number, Record{Migration: 1, Value: []byte("cut over")}))
	if m := c.Manifest(); m.Space != target.Space {
		t.Errorf("the manifest after the cut-over is of %d dimensions", m.Space.Dimension)
	}
	// What was encoded before the cut-over is answered in its space, and writes
	// that saw the two in their former places succeed.
	if a, err := c.Search(ctx, old, SearchQuery{Limit: 1}); err != nil || a.Generation != 1 || a.Hits[0].ID != NumID(0) {
		t.Errorf("a query from before the cut-over: %+v %v", a, err)
	}
	must(putBoth(ctx, c, model, target, 3, 5, 60))
	want[5], want[60] = 3, 3
	again(target)
	must(expectGeneration(ctx, c, 1, servingRow(4), want))
	must(expectGeneration(ctx, c, 2, targetRow, want))
	if stored, err := c.Get(ctx, []ID{NumID(60)}, true); err != nil || !slices.Equal(stored[0].Vector, targetRow("text 60 of version 3")) {
		t.Errorf("the vector of a point after the cut-over: %+v %v", stored, err)
	}

	must(c.SwitchTo(ctx, 1, Record{Migration: 1, Value: []byte("rolled back")}))
	must(putBoth(ctx, c, model, target, 4, 6))
	want[6] = 4
	again(model)
	must(expectGeneration(ctx, c, 1, servingRow(4), want))
	must(c.SwitchTo(ctx, 2, Record{}))
	must(c.Retire(ctx, 1, Record{Migration: 1, Value: []byte("committed")}))
	if n := keysOf(t, c, 1); n != 0 {
		t.Errorf("%d keys of the retired generation are left", n)
	}
	if _, err := c.Search(ctx, old, SearchQuery{Limit: 1}); !errors.Is(err, index.ErrSpace) {
		t.Errorf("a query of the retired generation: %v, want ErrSpace", err)
	}
	must(putBoth(ctx, c, model, target, 5, 7)) // it saw two, and there is one
	want[7] = 5
	again(target)
	must(expectGeneration(ctx, c, 2, targetRow, want))
	history, err := c.Generations(ctx)
	if must(err); len(history) != 2 || history[0].Serving || !history[1].Serving || history[1].Manifest.Space != target.Space {
		t.Errorf("history: %+v", history)
	}
	closeStore(t, s)
}

// TestStandbyDerives: a generation whose vectors follow from those of the
// other needs no second batch; back from it, it does.
func TestStandbyDerives(t *testing.T) {
	ctx := t.Context()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	model := hnswManifest(4)
	target := model
	target.Space.Dimension = 3
	c := create(t, s, "c", model)
	put(t, c, 1, 0, 10)
	number, err := c.StartStandby(ctx, target, Record{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, 2, 5, 12)
	docs, vectors, _, _, err := c.Unfilled(ctx, number, 0, 100, true)
	if err != nil || len(docs) != 5 {
		t.Fatalf("%d unfilled: %v", len(docs), err)
	}
	d, err := compat.NewDerivation(model, target)
	if err != nil {
		t.Fatal(err)
	}
	derived, err := d.Derive(vectors)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.Fill(ctx, number, docs, derived, nil); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	want := map[int]int{}
	for id := range 12 {
		want[id] = 1 + min(id/5, 1)
	}
	cut := func(text string) []float32 { return servingRow(4)(text)[:3] }
	if err := expectGeneration(ctx, c, number, cut, want); err != nil {
		t.Error(err)
	}
	if err := c.SwitchTo(ctx, number, Record{}); err != nil {
		t.Fatal(err)
	}
	one := []Document{documentOf(3, 7)}
	short := stamp(t, target, vectorOf(3, 7, 4)[:3])
	if _, err := c.Put(ctx, one, short); !errors.Is(err, ErrStandby) {
		t.Errorf("a put of the cut vectors alone: %v, want ErrStandby", err)
	}
	// Vectors that can't be had are left out in so many words, and a rollback
	// to a generation that lacks them is refused.
	if _, err := c.PutBoth(ctx, one, short, Other{Space: model.Space.Fingerprint(), Rows: []int{-1}}); err != nil {
		t.Fatal(err)
	}
	if err := c.SwitchTo(ctx, 1, Record{}); !errors.Is(err, ErrIncomplete) {
		t.Errorf("a rollback that would lose a write: %v, want ErrIncomplete", err)
	}
	if err := c.Retire(ctx, 1, Record{}); err != nil {
		t.Fatal(err)
	}
	want[3] = 7
	if err := expectGeneration(ctx, c, number, cut, want); err != nil {
		t.Error(err)
	}
}

// TestRetune: other search defaults and another query prompt open the same
// vectors under another manifest, durably; more is refused.
func TestRetune(t *testing.T) {
	ctx := t.Context()
	fs := vfs.NewMem()
	s := open(t, testOptionsFor(t, fs))
	model := hnswManifest(4)
	c := create(t, s, "c", model)
	put(t, c, 1, 0, 20)
	prompted := c.Manifest()
	prompted.Space.QueryPrompt, prompted.Search.Ef = "query: ", 77
	end, err := c.Retune(ctx, prompted, Record{Migration: 1, Value: []byte("x")})
	if err == nil {
		err = end()
	}
	if err != nil {
		t.Fatal(err)
	}
	other := prompted
	other.Index.M = 8
	var mismatch *compat.MismatchError
	if _, err := c.Retune(ctx, other, Record{}); !errors.As(err, &mismatch) {
		t.Errorf("a retune that needs a new graph: %v", err)
	}
	if _, err := c.Search(ctx, stamp(t, model, vectorOf(3, 1, 4)), SearchQuery{Limit: 1}); !errors.Is(err, index.ErrSpace) {
		t.Errorf("a query for the former prompt: %v, want ErrSpace", err)
	}
	want := map[int]int{}
	for id := range 20 {
		want[id] = 1
	}
	for range 2 {
		if err := expect(c, want); err != nil {
			t.Error(err)
		}
		closeStore(t, s)
		s = open(t, testOptionsFor(t, fs))
		c = reopen(t, s, "c", prompted)
		if c.rebuilt {
			t.Error("the graph was built anew")
		}
	}
	closeStore(t, s)
}
