package bert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// TestHostileConfig puts hostile values in the place of every setting of every
// family. A model either opens, and then encodes or refuses a text, or fails
// with an error of the package's own.
func TestHostileConfig(t *testing.T) {
	values := []any{0, -1, 1, 3, math.MaxInt32, math.MaxInt64, -1 << 63, 1e300, 0.5, "x", nil, []any{}, map[string]any{}, true, json.RawMessage("1e999")}
	opened := 0
	for _, f := range families() {
		if f.modelType == "camembert" {
			continue // as roberta
		}
		m := tiny(f.modelType)
		dir := m.writeIn(t)
		keys := []string{"matryoshka_dimensions", "layer_types", "rope_parameters", "is_decoder", "rotary_scaling_factor", "max_trained_positions"}
		for key := range m.config {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			for _, value := range values {
				config := map[string]any{}
				for k, v := range m.config {
					config[k] = v
				}
				config[key] = value
				text, err := json.Marshal(config)
				if err != nil { // 1e999 is JSON, but not by this encoder
					t.Fatal(err)
				}
				if err := writeFile(filepath.Join(dir, "config.json"), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
					t.Fatal(err)
				}
				e, err := Open(dir, Options{Threads: 2})
				if err != nil {
					var wrong *ModelError
					var unsupported *UnsupportedError
					if !errors.As(err, &wrong) && !errors.As(err, &unsupported) && !errors.Is(err, weights.ErrNoTensor) && !strings.Contains(err.Error(), "max tokens") {
						t.Errorf("%s: %s = %s: %v", f.modelType, key, text, err)
					}
					continue
				}
				opened++
				_, err = e.Encode(context.Background(), embed.RoleQuery, []string{strings.Repeat("fox ", 500), ""})
				var refused *embed.TextError
				if err != nil && !errors.As(err, &refused) {
					t.Errorf("%s: %s = %v: %v", f.modelType, key, value, err)
				}
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if opened == 0 {
		t.Error("no model opened at all")
	}
}

// FuzzConfig wants no content of the small files to panic Open.
func FuzzConfig(f *testing.F) {
	for _, kind := range families() {
		m := tiny(kind.modelType)
		text, err := json.Marshal(m.config)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, []byte(`[{"type":"x.Transformer"},{"type":"x.Pooling","path":"1_Pooling"}]`), []byte(`{"pooling_mode":"max"}`))
	}
	shapes := tiny("bert")
	f.Fuzz(func(t *testing.T, config, modules, pooling []byte) {
		dir := shapes.writeIn(t)
		for name, content := range map[string][]byte{"config.json": config, "modules.json": modules, "1_Pooling/config.json": pooling} {
			if err := writeFile(filepath.Join(dir, name), func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(content)); return err }); err != nil {
				t.Fatal(err)
			}
		}
		Is(dir)
		e, err := Open(dir, Options{Threads: 1})
		if err != nil {
			return
		}
		_, _ = e.Encode(context.Background(), embed.RoleQuery, []string{"the fox"})
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

// expiring is a context that is cancelled after some looks at it.
type expiring struct {
	context.Context
	looks, left atomic.Int64
}

func (c *expiring) Err() error {
	c.looks.Add(1)
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelled cancels at every point at which Encode looks at its context.
func TestCancelled(t *testing.T) {
	e := open(t, tiny("modernbert").writeIn(t), Options{Threads: 2})
	texts := []string{"the fox", strings.Repeat("the dogs ", 100), "dog"}
	encode := func(left int64) (*expiring, error) {
		ctx := &expiring{Context: context.Background()}
		ctx.left.Store(left)
		_, err := e.Encode(ctx, embed.RoleDocument, texts)
		return ctx, err
	}
	whole, err := encode(math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	if whole.looks.Load() < 20 {
		t.Errorf("Encode looked at its context %d times", whole.looks.Load())
	}
	// Goroutines look some times more or less than the last time.
	for left := range whole.looks.Load() - 10 {
		ctx, err := encode(left)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at look %d: %v", left, err)
		}
		if late := ctx.looks.Load() - left; late > 20 {
			t.Errorf("cancelled at look %d, but %d more followed", left, late)
		}
	}
}

// TestAllocations wants the network's memory to be used again, whatever the
// number of tokens.
func TestAllocations(t *testing.T) {
	for _, f := range []string{"bert", "mpnet", "nomic_bert", "modernbert"} {
		e := open(t, tiny(f).writeIn(t), Options{Threads: 1})
		a := new(arena)
		count := func(n int) float64 {
			ids := make([]uint32, n)
			return testing.AllocsPerRun(5, func() {
				a.reset()
				a.add(ids)
				if err := e.network.forward(context.Background(), a, 1); err != nil {
					t.Error(err)
				}
			})
		}
		if long, short := count(40), count(4); long != short || long > 40 {
			t.Errorf("%s: %g allocations for 40 tokens, %g for 4", f, long, short)
		}
	}
}

// TestThreads wants equal bits from any number of threads.
func TestThreads(t *testing.T) {
	dir := tiny("mpnet").writeIn(t)
	texts := []string{strings.Repeat("the dogs ", 140), "fox", strings.Repeat("query: fox ", 70), ""}
	var want []float32
	for threads := 1; threads <= 5; threads++ {
		out, err := open(t, dir, Options{Threads: threads}).Encode(context.Background(), embed.RoleDocument, texts)
		if err != nil {
			t.Fatal(err)
		}
		var got []float32
		for i := range texts {
			got = append(got, out.Vectors.Row(i)...)
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d threads give other bits than one", threads)
		}
	}
}

// TestCut wants groups that cover the sequences, of like size, some for each
// thread.
func TestCut(t *testing.T) {
	random := kerneltest.Rand(t)
	for range 500 {
		ids := make([][]uint32, 1+random.IntN(60))
		total, longest := 0, 0
		for i := range ids {
			ids[i] = make([]uint32, 1+random.IntN(300))
			total, longest = total+len(ids[i]), max(longest, len(ids[i]))
		}
		size, threads := 300+random.IntN(700), 1+random.IntN(8)
		next := 0
		spans := cut(ids, size, threads)
		for _, s := range spans {
			tokens := 0
			for _, sequence := range ids[s[0]:s[1]] {
				tokens += len(sequence)
			}
			if s[0] != next || s[1] <= s[0] || tokens > size+longest {
				t.Fatalf("%d tokens in %d sequences, size %d, %d threads: groups %v, one of %d tokens", total, len(ids), size, threads, spans, tokens)
			}
			next = s[1]
		}
		if next != len(ids) || len(spans) < min(threads, total/max(leastGroup, longest)/2) {
			t.Fatalf("%d sequences in groups %v for %d threads", len(ids), spans, threads)
		}
	}
	if got := cut(make([][]uint32, 0), 100, 2); got != nil {
		t.Errorf("no sequences are %v", got)
	}
}
