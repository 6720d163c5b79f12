package coder

import (
	"context"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestPanicsBecomeScans makes the library panic the way it does by itself.
func TestPanicsBecomeScans(t *testing.T) {
	const n, dim = 1000, 8
	space := indextest.NewSpace(t, "panics", dim, compat.MetricCosine)
	x, err := New(space.Config)
	if err != nil {
		t.Fatal(err)
	}
	rows := indextest.Clustered(1, n+2, dim, 10, 0.5)
	if err := x.Insert(context.Background(), indextest.Ordinals(0, n), space.Stamp(t, rows[:n*dim])); err != nil {
		t.Fatal(err)
	}
	query := index.Query{Vector: space.Stamp(t, rows[n*dim:(n+1)*dim]), K: 5}
	plan := func(want index.Plan) {
		t.Helper()
		answer, err := x.Search(context.Background(), query)
		if err != nil || answer.Plan != want || len(answer.Hits) != 5 {
			t.Fatalf("plan %s, %d hits, %v; want plan %s", answer.Plan, len(answer.Hits), err, want)
		}
	}
	plan(index.PlanGraph)

	distance := x.graph.Distance
	x.graph.Distance = nil // the library panics when it is called
	plan(index.PlanExact)
	if err := x.Failure(); err != nil {
		t.Errorf("a search broke the graph: %v", err)
	}
	x.graph.Distance = distance
	plan(index.PlanGraph)

	x.graph.Distance = nil
	if err := x.Insert(context.Background(), []uint32{n}, space.Stamp(t, rows[(n+1)*dim:])); err != nil {
		t.Fatalf("Insert: %v", err)
	}
	x.graph.Distance = distance
	if err := x.Failure(); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("failure after a panic of Add: %v", err)
	}
	plan(index.PlanExact)
	if s := x.Stats(); s.Live != n+1 {
		t.Errorf("stats: %+v", s)
	}
	if err := x.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	plan(index.PlanGraph)
}

// TestTombstonesAreOutnumbered is what keeps the graph from filling up.
func TestTombstonesAreOutnumbered(t *testing.T) {
	const n, dim = 200, 4
	space := indextest.NewSpace(t, "tombstones", dim, compat.MetricL2)
	x, err := New(space.Config)
	if err != nil {
		t.Fatal(err)
	}
	rows := indextest.Clustered(1, n, dim, 10, 0.5)
	for range 10 {
		if err := x.Insert(context.Background(), indextest.Ordinals(0, n), space.Stamp(t, rows)); err != nil {
			t.Fatal(err)
		}
		if s := x.Stats(); s.Live != n || s.Deleted > n+slackDead {
			t.Fatalf("stats: %+v", s)
		}
	}
}
