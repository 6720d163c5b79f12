package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/token"
)

// BenchmarkStep is a training at the general table's size on one thread: 30,000
// rows of 256, batches of 1,024 pairs of 12 and 45 tokens, whose words come as
// often as those of a language do.
func BenchmarkStep(b *testing.B) {
	m, set := standard(b, 4)
	b.ReportAllocs()
	b.ResetTimer()
	report, err := Run(context.Background(), m, set, Options{Epochs: max(1, b.N/4), Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(report.Pairs)/report.Elapsed.Seconds(), "pairs/s")
}

// TestMemory wants a training at the general table's size to hold no more than
// four times the table, the rows themselves counted and the pairs not.
func TestMemory(t *testing.T) {
	m, set := standard(t, 1)
	heap := func() int {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int(s.HeapAlloc)
	}
	table := 4 * len(m.Rows)
	before, most := heap()-table, 0
	_, err := Run(context.Background(), m, set, Options{Threads: 1, Epochs: 2, Progress: func(Progress) { most = max(most, heap()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB for a table of %.1f MB", float64(most-before)/1e6, float64(table)/1e6)
	if most-before > 4*table {
		t.Errorf("%d bytes for a table of %d", most-before, table)
	}
	runtime.KeepAlive(set)
}

// standard is a model and a set of that size, of so many batches.
func standard(b testing.TB, batches int) (*Model, *Set) {
	b.Helper()
	c := NewCounter()
	r := rand.New(rand.NewPCG(1, 1))
	words := make([]string, 29_000)
	for i := range words {
		w := make([]byte, 4+r.IntN(6))
		for j := range w {
			w[j] = byte('a' + r.IntN(26))
		}
		words[i] = string(w)
	}
	c.Add("s", strings.Join(words, " "))
	vocabulary, err := c.BuildVocabulary(30_000, 29_000)
	if err != nil {
		b.Fatal(err)
	}
	file, err := TokenizerFile(vocabulary)
	if err != nil {
		b.Fatal(err)
	}
	tokenizer, err := token.Parse(file)
	if err != nil {
		b.Fatal(err)
	}
	zipf := rand.NewZipf(r, 1.07, 8, uint64(len(words)-1))
	text := func(n int) string {
		var t strings.Builder
		for range n {
			fmt.Fprint(&t, words[zipf.Uint64()], " ")
		}
		return t.String()
	}
	const batch = 1024
	set := NewSet(tokenizer, 48, 96)
	for range batches * batch {
		set.Add("s", text(12), text(45))
	}
	m, err := Fresh(tokenizer, 256, set, 1)
	if err != nil {
		b.Fatal(err)
	}
	return m, set
}
