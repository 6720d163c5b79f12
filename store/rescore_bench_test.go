package store

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/index/indextest"
	"github.com/vecino-db/vecino/kernels/f32"
)

var (
	rescoreN        = flag.Int("rescore.n", 4000, "points of BenchmarkRescoring")
	rescoreDim      = flag.Int("rescore.dim", 384, "their dimension")
	rescoreEncoding = flag.String("rescore.encoding", "lvq4x8", "how the graph keeps them")
)

// BenchmarkRescoring measures searches for 10 points in processor time, and how
// many of the true nearest they find: without a filter, and with filters that
// admit the points farthest from the query alone.
//
//	go test ./store -run '^$' -bench Rescoring -benchtime 1x -rescore.n 20000
func BenchmarkRescoring(b *testing.B) {
	const queries, k = 16, 10
	n, dim := *rescoreN, *rescoreDim
	ctx := context.Background()
	rows := indextest.Manifold(1, n+queries, dim, min(96, dim), 300, 1.2)
	s := open(b, Options{Dir: b.TempDir(), Create: true, CheckpointEvery: -1})
	defer closeStore(b, s)
	m := hnswManifest(dim)
	m.Metric = compat.MetricCosine
	m.Index.Encoding = compat.Encoding(*rescoreEncoding)
	c := create(b, s, "one", m)
	// The rank of a point by its distance from each query.
	places := rows[n*dim:]
	payloads := make([][]string, n)
	for q := range queries {
		field := fmt.Sprintf("rank%d", q)
		if err := c.CreatePayloadIndex(ctx, field, PayloadInteger, nil); err != nil {
			b.Fatal(err)
		}
		order := make([]int, n)
		near := make([]float32, n)
		for i := range order {
			order[i] = i
			near[i] = f32.Dot(rows[i*dim:(i+1)*dim], places[q*dim:(q+1)*dim])
		}
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(near[a], near[b]) })
		for rank, i := range order {
			payloads[i] = append(payloads[i], fmt.Sprintf("%q:%d", field, rank))
		}
	}
	for from := 0; from < n; from += 500 {
		var docs []Document
		to := min(from+500, n)
		for id := from; id < to; id++ {
			docs = append(docs, Document{ID: NumID(uint64(id)), Payload: json.RawMessage("{" + strings.Join(payloads[id], ",") + "}")})
		}
		if _, err := c.Put(ctx, docs, mustStamp(c.serving().stamper, rows[from*dim:to*dim])); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Settle(ctx); err != nil {
		b.Fatal(err)
	}
	vectors := mustStamp(c.serving().stamper, places)
	yes, no := true, false
	shares := []int{n, n / 2, n / 10, n / 100}
	var filters [queries]map[int]*filter.Filter
	for q := range filters {
		filters[q] = map[int]*filter.Filter{}
		for _, admitted := range shares {
			filters[q][admitted] = parseFilter(b, fmt.Sprintf(`{"must":{"key":"rank%d","range":{"lt":%d}}}`, q, admitted))
		}
	}
	var report strings.Builder
	for range b.N {
		for _, admitted := range shares {
			truth := make([]map[ID]bool, queries)
			for _, run := range []struct {
				name  string
				query SearchQuery
			}{
				{"exact", SearchQuery{Exact: true}},
				{"codes, all", SearchQuery{Exact: true, Rescoring: Rescoring{On: &no}}},
				{"codes", SearchQuery{Rescoring: Rescoring{On: &no}}},
				{"in doubt", SearchQuery{}},
				{"rescored x1", SearchQuery{Rescoring: Rescoring{On: &yes, Oversampling: 1}}},
				{"rescored x2", SearchQuery{Rescoring: Rescoring{On: &yes, Oversampling: 2}}},
				{"rescored x4", SearchQuery{Rescoring: Rescoring{On: &yes, Oversampling: 4}}},
				{"rescored x8", SearchQuery{Rescoring: Rescoring{On: &yes, Oversampling: 8}}},
			} {
				run.query.Limit = k
				found := 0
				var plan index.Plan
				rounds := 1
				if !run.query.Exact {
					rounds = 10
				}
				before := processorTime()
				for range rounds {
					for q := range queries {
						if admitted < n {
							run.query.Filter = filters[q][admitted]
						}
						answer, err := c.Search(ctx, vectors.Slice(q, q+1), run.query)
						if err != nil {
							b.Fatal(err)
						}
						plan = answer.Plan
						if truth[q] == nil {
							truth[q] = map[ID]bool{}
							for _, h := range answer.Hits {
								truth[q][h.ID] = true
							}
						}
						for _, h := range answer.Hits {
							if truth[q][h.ID] {
								found++
							}
						}
					}
				}
				took := processorTime() - before
				fmt.Fprintf(&report, "\n%6d admitted, %-12s %8.1f us, recall %.3f, %s", admitted, run.name,
					float64(took.Microseconds())/float64(rounds*queries), float64(found)/float64(rounds*queries*k), plan)
			}
		}
	}
	fmt.Println(report.String())
}
