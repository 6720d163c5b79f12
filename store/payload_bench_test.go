package store

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/index/filter"
)

var payloadN = flag.Int("payload.n", 10_000, "documents of BenchmarkPayloadIndexes")

// processorTime is what the process has used of the processor.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchPayload has a keyword of ten, an integer below n, and a text of 40 words
// out of some thousands, the first ones common.
func benchPayload(rng *rand.Rand, n int) json.RawMessage {
	words := make([]string, 40)
	for i := range words {
		words[i] = fmt.Sprintf("word%d", int(20_000*rng.Float64()*rng.Float64()*rng.Float64()))
	}
	return json.RawMessage(fmt.Sprintf(`{"colour":"colour%d","n":%d,"text":%q}`, rng.IntN(10), rng.IntN(n), strings.Join(words, " ")))
}

// BenchmarkPayloadIndexes measures, in processor time: writes with payload
// indexes and without, filtered searches likewise, the memory of postings, and
// making an index ready from its records and from the documents.
func BenchmarkPayloadIndexes(b *testing.B) {
	const dim, batch = 32, 500
	ctx := context.Background()
	n := *payloadN
	fields := map[string]PayloadType{"colour": PayloadKeyword, "n": PayloadInteger, "text": PayloadText}
	rng := rand.New(rand.NewPCG(1, 2))
	payloads := make([]json.RawMessage, n)
	for i := range payloads {
		payloads[i] = benchPayload(rng, n)
	}
	for range b.N {
		var report strings.Builder // printed: of logs ten lines would be left
		note := func(format string, args ...any) { fmt.Fprintf(&report, "\n"+format, args...) }
		s := open(b, Options{Dir: b.TempDir(), Create: true, CheckpointEvery: -1})
		plain, indexed := create(b, s, "plain", testManifest(dim, 1)), create(b, s, "indexed", testManifest(dim, 1))
		for field, t := range fields {
			if err := indexed.CreatePayloadIndex(ctx, field, t, nil); err != nil {
				b.Fatal(err)
			}
		}
		if err := indexed.AwaitPayloadIndexes(ctx); err != nil {
			b.Fatal(err)
		}
		used := map[*Collection]time.Duration{}
		for from := 0; from < n; from += batch {
			var docs []Document
			var rows []float32
			for id := from; id < min(from+batch, n); id++ {
				docs = append(docs, Document{ID: NumID(uint64(id)), Payload: payloads[id]})
				rows = append(rows, vectorOf(id, 1, dim)...)
			}
			v := mustStamp(plain.serving().stamper, rows)
			for _, c := range []*Collection{plain, indexed} {
				began := processorTime()
				if _, err := c.Put(ctx, docs, v); err != nil {
					b.Fatal(err)
				}
				used[c] += processorTime() - began
			}
		}
		note("writes: %v a document without, %v with", used[plain]/time.Duration(n), used[indexed]/time.Duration(n))
		for _, x := range indexed.payload.all() {
			size := 0
			if err := scan(s.db, payloadKey(familyPosting, indexed.number, x.number), nil, func(k, v []byte) error { size += len(k) + len(v); return nil }); err != nil {
				b.Fatal(err)
			}
			note("%s: %d KiB of postings in memory, %d KiB of records", x.record.Field, x.postings.Bytes()>>10, size>>10)
		}
		for _, text := range []string{
			`{"must":{"key":"colour","match":{"value":"colour3"}}}`,
			`{"must_not":{"key":"colour","match":{"value":"colour3"}}}`,
			fmt.Sprintf(`{"must":{"key":"n","range":{"lt":%d}}}`, n/100),
			fmt.Sprintf(`{"must":{"key":"n","range":{"gte":%d}}}`, n/2),
			`{"must":{"key":"text","match":{"text":"word7 word1"}}}`,
			fmt.Sprintf(`{"must":[{"key":"colour","match":{"any":["colour1","colour2"]}},{"key":"n","range":{"lt":%d}}],"must_not":{"key":"text","match":{"text":"word1"}}}`, n/10),
		} {
			f, err := filter.Parse([]byte(text))
			if err != nil {
				b.Fatal(err)
			}
			q := mustStamp(plain.serving().stamper, vectorOf(-1, 0, dim))
			var times [2]time.Duration
			var counts [2]int
			var counted [2]time.Duration
			var plan any
			for i, c := range []*Collection{plain, indexed} {
				rounds := 3
				if i == 1 {
					rounds = 200
				}
				began := processorTime()
				for range rounds {
					found, err := c.Search(ctx, q, SearchQuery{Limit: 10, Filter: f})
					if err != nil {
						b.Fatal(err)
					}
					plan = found.Plan
				}
				times[i] = (processorTime() - began) / time.Duration(rounds)
				began = processorTime()
				for range rounds {
					if counts[i], err = c.Count(ctx, f); err != nil {
						b.Fatal(err)
					}
				}
				counted[i] = (processorTime() - began) / time.Duration(rounds)
			}
			if counts[0] != counts[1] {
				b.Errorf("%s: %d without and %d with indexes", text, counts[0], counts[1])
			}
			note("%s: %d match, search %v without, %v with (%v); count %v and %v", text, counts[0], times[0], times[1], plan, counted[0], counted[1])
		}
		for _, x := range indexed.payload.all() {
			for _, build := range []bool{false, true} {
				runtime.GC()
				began := processorTime()
				if err := indexed.scanPayload(ctx, x, build); err != nil {
					b.Fatal(err)
				}
				note("%s: ready in %v, from documents %t", x.record.Field, processorTime()-began, build)
			}
		}
		fmt.Println(report.String())
		closeStore(b, s)
	}
}

// BenchmarkPostingKeys compares what a batch of documents costs with one record
// for each document with one key for each of its words.
func BenchmarkPostingKeys(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	path, err := filter.ParsePath("text")
	if err != nil {
		b.Fatal(err)
	}
	summaries := make([]filter.Summary, 20_000)
	for i := range summaries {
		object, err := decodePayload(benchPayload(rng, 1000))
		if err != nil {
			b.Fatal(err)
		}
		summaries[i] = path.Summarize(filter.KindText, object)
	}
	for _, each := range []bool{false, true} {
		b.Run(fmt.Sprintf("key for each word=%t", each), func(b *testing.B) {
			for range b.N {
				s := open(b, Options{Dir: b.TempDir(), Create: true})
				began := processorTime()
				for from := 0; from < len(summaries); from += 500 {
					batch := s.db.NewBatch()
					for o := from; o < from+500; o++ {
						if !each {
							err = batch.Set(postingKey(1, 1, uint32(o)), encodeSummary(summaries[o]), nil)
						}
						for _, t := range summaries[o].Terms {
							if each && err == nil {
								err = batch.Set(append(append(payloadKey(familyPosting, 1, 1), t...), postingKey(1, 1, uint32(o))[9:]...), nil, nil)
							}
						}
						if err != nil {
							b.Fatal(err)
						}
					}
					if err := s.db.Apply(batch, pebble.NoSync); err != nil {
						b.Fatal(err)
					}
				}
				if err := s.db.Flush(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((processorTime()-began).Microseconds())/float64(len(summaries)), "us/document")
				b.ReportMetric(float64(s.db.Metrics().DiskSpaceUsage())/float64(len(summaries)), "disk-bytes/document")
				closeStore(b, s)
			}
		})
	}
}
