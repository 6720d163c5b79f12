package auto_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/auto"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestChange: an index that passes its threshold answers by its graph, with
// what was written, replaced and deleted while the graph was built.
func TestChange(t *testing.T) {
	const dim, n, more = 24, 4000, 1000
	const seed = 7
	space := indextest.NewSpace(t, "change", dim, compat.MetricL2)
	x, err := auto.New(space.Config, auto.Options{Threshold: n - 1})
	if err != nil {
		t.Fatal(err)
	}
	rows := indextest.Clustered(seed, n+2*more, dim, 60, 0.5)
	insert := func(ordinal uint32, row int) {
		t.Helper()
		if err := x.Insert(context.Background(), []uint32{ordinal}, space.Stamp(t, slices.Clone(rows[row*dim:(row+1)*dim]))); err != nil {
			t.Fatal(err)
		}
	}
	nearest := func(row int, ordinal uint32) index.Plan {
		t.Helper()
		answer, err := x.Search(context.Background(), index.Query{Vector: space.Stamp(t, slices.Clone(rows[row*dim:(row+1)*dim])), K: 1})
		if err != nil || len(answer.Hits) != 1 || answer.Hits[0].Ordinal != ordinal || answer.Hits[0].Score > 1e-3 {
			t.Fatalf("row %d, ordinal %d: %v, %v", row, ordinal, answer.Hits, err)
		}
		return answer.Plan
	}
	if err := x.Insert(context.Background(), indextest.Ordinals(0, n-1), space.Stamp(t, slices.Clone(rows[:(n-1)*dim]))); err != nil {
		t.Fatal(err)
	}
	if s := x.Stats(); s.Live != n-1 || s.Levels != 0 {
		t.Fatalf("below the threshold: %+v", s)
	}
	// From here on there are two to write to.
	insert(n-1, n-1)
	oracle := map[uint32]int{} // ordinal -> row
	for o := range uint32(n) {
		oracle[o] = int(o)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	var reading sync.WaitGroup
	done := make(chan struct{})
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				nearest(3500, 3500) // it is never touched
			}
		}
	})
	for i := range more {
		insert(uint32(n+i), n+i)
		oracle[uint32(n+i)] = n + i
		moved := uint32(rng.IntN(3000)) // to where nothing else is
		if _, ok := oracle[moved]; ok {
			insert(moved, n+more+i)
			oracle[moved] = n + more + i
		}
		gone := uint32(rng.IntN(3000))
		x.Delete([]uint32{gone})
		delete(oracle, gone)
	}
	close(done)
	reading.Wait()
	if err := x.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := x.Stats(); s.Levels == 0 || s.Live != len(oracle) {
		t.Errorf("after the change: %+v, want %d live", s, len(oracle))
	}
	all := indextest.NewSet(indextest.Ordinals(0, n+more))
	plan := index.Plan("")
	for ordinal, row := range oracle {
		plan = nearest(row, ordinal)
	}
	if plan != index.PlanGraph {
		t.Errorf("plan %s", plan)
	}
	answer, err := x.Search(context.Background(), index.Query{Vector: space.Stamp(t, slices.Clone(rows[:dim])), K: n + more, Filter: all})
	if err != nil || len(answer.Hits) != len(oracle) {
		t.Errorf("%d hits of %d, %v", len(answer.Hits), len(oracle), err)
	}
	for _, h := range answer.Hits {
		if _, ok := oracle[h.Ordinal]; !ok {
			t.Errorf("ordinal %d was deleted", h.Ordinal)
		}
	}
}

// TestCloseWhileBuilding: closing ends the building, and the scan answers on.
func TestCloseWhileBuilding(t *testing.T) {
	const dim, n = 64, 5000
	space := indextest.NewSpace(t, "close", dim, compat.MetricCosine)
	x, err := auto.New(space.Config, auto.Options{Threshold: 10})
	if err != nil {
		t.Fatal(err)
	}
	rows := indextest.Clustered(1, n, dim, 60, 0.5)
	if err := x.Insert(context.Background(), indextest.Ordinals(0, n), space.Stamp(t, rows)); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	answer, err := x.Search(context.Background(), index.Query{Vector: space.Stamp(t, slices.Clone(rows[:dim])), K: 3})
	if err != nil || len(answer.Hits) != 3 || answer.Hits[0].Ordinal != 0 {
		t.Errorf("%v, %v", answer, err)
	}
	if s := x.Stats(); s.Live != n {
		t.Errorf("%+v", s)
	}
}
