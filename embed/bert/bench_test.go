package bert

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// cpuSeconds is the processor time that the process has used.
func cpuSeconds(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Skipf("no processor time: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// miniLM writes a model of random weights and MiniLM's shape.
func miniLM(b *testing.B) string {
	b.Helper()
	m := tiny("bert")
	m.config["hidden_size"], m.config["num_hidden_layers"], m.config["num_attention_heads"] = 384, 6, 12
	m.config["intermediate_size"], m.config["vocab_size"], m.config["max_position_embeddings"] = 1536, 30522, 512
	return m.writeIn(b)
}

// BenchmarkEncode measures the network on token ids, as the programs do that it
// is compared with, in tokens per second of processor time; best of the runs.
//
//	taskset -c 1 go test -run '^$' -bench Encode -benchtime 12x ./embed/bert
func BenchmarkEncode(b *testing.B) {
	dir := miniLM(b)
	random := rand.New(rand.NewPCG(1, 0))
	mixed := make([]int, 32)
	for i := range mixed {
		mixed[i] = 4 + random.IntN(253)
	}
	repeat := func(n, length int) []int {
		lengths := make([]int, n)
		for i := range lengths {
			lengths[i] = length
		}
		return lengths
	}
	for _, precision := range []compat.Precision{compat.PrecisionF32, compat.PrecisionInt8} {
		for _, threads := range []int{1, 2} {
			e := open(b, dir, Options{Precision: precision, Threads: threads})
			for _, c := range []struct {
				name    string
				lengths []int
			}{{"32x128", repeat(32, 128)}, {"1x128", repeat(1, 128)}, {"1x16", repeat(1, 16)}, {"mixed4-256", mixed}} {
				b.Run(fmt.Sprintf("%s/threads=%d/%s", precision, threads, c.name), func(b *testing.B) {
					measure(b.Context(), b, e, c.lengths)
				})
			}
			if threads == 1 { // in the pieces of an encoding beside others
				b.Run(fmt.Sprintf("%s/aside/32x128", precision), func(b *testing.B) {
					measure(embed.Aside(b.Context(), func() {}), b, e, repeat(32, 128))
				})
			}
		}
	}
}

func measure(ctx context.Context, b *testing.B, e *Encoder, lengths []int) {
	tokens := 0
	ids := make([][]uint32, len(lengths))
	for i, n := range lengths {
		for range n {
			ids[i] = append(ids[i], uint32(1000+tokens*7919%29000))
			tokens++
		}
	}
	rows := make([]float32, len(ids)*e.space.Dimension)
	run := func() {
		if err := e.run(ctx, e.threads, rows, ids, 0); err != nil {
			b.Fatal(err)
		}
	}
	run()
	bestCPU, bestWall := 0.0, 0.0
	b.ReportAllocs()
	for b.Loop() {
		from, start := cpuSeconds(b), time.Now()
		run()
		bestWall = max(bestWall, float64(tokens)/time.Since(start).Seconds())
		if used := cpuSeconds(b) - from; used > 0 {
			bestCPU = max(bestCPU, float64(tokens)/used)
		}
	}
	b.ReportMetric(bestCPU, "tok/cpu-s")
	b.ReportMetric(bestWall, "tok/s")
}

// BenchmarkLoad measures Open.
func BenchmarkLoad(b *testing.B) {
	dir := miniLM(b)
	for b.Loop() {
		e, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		e.Close()
	}
}
