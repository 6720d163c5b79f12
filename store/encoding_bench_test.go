package store

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/dataset"
	"github.com/vecino-db/vecino/index/indextest"
)

var (
	encodingsSets = flag.String("encodings.sets", "clustered384x20000", "sets of BenchmarkEncodings: clusteredDIMxN, tightDIMxN, or files that package dataset reads")
	encodingsEf   = flag.String("encodings.ef", "0", "breadths to search by, 0 for the default")
	encodingsOf   = flag.String("encodings.of", "f32,int8,lvq4x8", "encodings to compare")
	encodingsL2   = flag.Bool("encodings.l2", false, "compare by the distance, not by the cosine")
)

// encodingSet makes or reads the rows of one set.
func encodingSet(b *testing.B, name string) dataset.Set {
	var dim, n int
	if _, err := fmt.Sscanf(name, "clustered%dx%d", &dim, &n); err == nil {
		return dataset.Set{Dim: dim, Data: indextest.Manifold(1, n, dim, min(96, dim), 300, 1.2)}
	}
	if _, err := fmt.Sscanf(name, "tight%dx%d", &dim, &n); err == nil {
		return dataset.Set{Dim: dim, Data: indextest.Clustered(1, n, dim, max(n/1000, 1), 0.1)}
	}
	set, err := dataset.Read(name, dataset.ReadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return set
}

// BenchmarkEncodings compares what queries find, and how long they take through
// the store, by the encodings of the graph: codes alone, and with the vectors
// that decide what they leave in doubt. Every hundredth row is a query.
//
//	go test ./store -run '^$' -bench Encodings -benchtime 1x -encodings.sets clustered384x20000,tight32x30000
func BenchmarkEncodings(b *testing.B) {
	ctx := context.Background()
	no := false
	for range b.N {
		for _, name := range strings.Split(*encodingsSets, ",") {
			set := encodingSet(b, name)
			var rows, queries []float32
			for i := range set.Len() {
				if i%100 == 7 && len(queries) < 300*set.Dim {
					queries = append(queries, set.Row(i)...)
				} else {
					rows = append(rows, set.Row(i)...)
				}
			}
			for _, encoding := range strings.Split(*encodingsOf, ",") {
				m := hnswManifest(set.Dim)
				m.Metric, m.Index.Encoding = compat.MetricCosine, compat.Encoding(encoding)
				if *encodingsL2 {
					m.Metric = compat.MetricL2
				}
				s := open(b, Options{Dir: b.TempDir(), Create: true, CheckpointEvery: -1})
				c := create(b, s, "one", m)
				n := len(rows) / set.Dim
				for from := 0; from < n; from += 500 {
					to := min(from+500, n)
					var docs []Document
					for id := from; id < to; id++ {
						docs = append(docs, Document{ID: NumID(uint64(id))})
					}
					if _, err := c.Put(ctx, docs, mustStamp(c.serving().stamper, slices.Clone(rows[from*set.Dim:to*set.Dim]))); err != nil {
						b.Fatal(err)
					}
				}
				if err := c.Settle(ctx); err != nil {
					b.Fatal(err)
				}
				asked := mustStamp(c.serving().stamper, queries)
				for _, breadth := range strings.Split(*encodingsEf, ",") {
					ef := 0
					fmt.Sscan(breadth, &ef)
					var each []compat.Searchable
					for q := range asked.Len() {
						each = append(each, asked.Slice(q, q+1))
					}
					recall, err := c.MeasureRecall(ctx, RecallQuery{Queries: each, Ef: ef})
					if err != nil {
						b.Fatal(err)
					}
					ways := []SearchQuery{{Limit: 10, Ef: ef}, {Limit: 10, Ef: ef, Rescoring: Rescoring{On: &no}}}
					took := [2][]time.Duration{}
					cpu := [2]time.Duration{}
					for range 6 {
						for w, way := range ways {
							before := processorTime()
							for _, q := range each {
								began := time.Now()
								if _, err := c.Search(ctx, q, way); err != nil {
									b.Fatal(err)
								}
								took[w] = append(took[w], time.Since(began))
							}
							cpu[w] += processorTime() - before
						}
					}
					for w := range took {
						slices.SortFunc(took[w], func(a, b time.Duration) int { return cmp.Compare(a, b) })
					}
					fmt.Printf("%-24s %7d x %4d %-7s ef %4d  recall %.4f (%.4f..%.4f)  p50 %v, cpu %v; codes alone p50 %v, cpu %v\n",
						filepath.Base(name), n, set.Dim, encoding, recall.Ef, recall.Recall, recall.Low, recall.High,
						took[0][len(took[0])/2].Round(100*time.Nanosecond), (cpu[0] / time.Duration(len(took[0]))).Round(100*time.Nanosecond),
						took[1][len(took[1])/2].Round(100*time.Nanosecond), (cpu[1] / time.Duration(len(took[1]))).Round(100*time.Nanosecond))
				}
				closeStore(b, s)
			}
		}
	}
}
