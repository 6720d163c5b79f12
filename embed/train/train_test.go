package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/static"
	"github.com/vecino-db/vecino/embed/token"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// topics are the words of made-up subjects; pairs of one subject share no word
// but what chance gives, so only co-occurrence can tell them apart.
func topics(r *rand.Rand, count, words int) [][]string {
	all := make([][]string, count)
	for i := range all {
		for range words {
			w := make([]byte, 5)
			for j := range w {
				w[j] = byte('a' + r.IntN(26))
			}
			all[i] = append(all[i], string(w))
		}
	}
	return all
}

func sentence(r *rand.Rand, topic []string, n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = topic[r.IntN(len(topic))]
	}
	return strings.Join(words, " ")
}

// small is a tokenizer, a set and a held-out one of made-up subjects.
func small(t *testing.T) (file []byte, tokenizer *token.Tokenizer, set, held *Set) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 5))
	all := topics(r, 40, 12)
	c := NewCounter()
	for i, topic := range all {
		c.Add(fmt.Sprint("s", i%2), strings.Join(topic, " "))
	}
	vocabulary, err := c.BuildVocabulary(700, 600)
	if err != nil {
		t.Fatal(err)
	}
	if file, err = TokenizerFile(vocabulary); err != nil {
		t.Fatal(err)
	}
	if tokenizer, err = token.Parse(file); err != nil {
		t.Fatal(err)
	}
	set, held = NewSet(tokenizer, 8, 12), NewSet(tokenizer, 8, 12)
	for i := range 2000 {
		to, topic := set, i%len(all)
		if i%20 == 0 {
			to, topic = held, i/20%len(all)
		}
		if !to.Add(fmt.Sprint("s", topic%2), sentence(r, all[topic], 3), sentence(r, all[topic], 6)) {
			t.Fatal("a pair of known words was refused")
		}
	}
	return file, tokenizer, set, held
}

func fresh(t *testing.T, tokenizer *token.Tokenizer, set *Set) *Model {
	t.Helper()
	m, err := Fresh(tokenizer, 64, set, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLearns trains on made-up subjects and wants held-out pairs found.
func TestLearns(t *testing.T) {
	_, tokenizer, set, held := small(t)
	m := fresh(t, tokenizer, set)
	report, err := Run(context.Background(), m, set, Options{Batch: 128, Epochs: 4, Held: held, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	// 100 held-out pairs of 40 subjects: of several documents of one subject
	// each is as good, so the first place is a matter of luck, the first ten not.
	if report.After.Ten < 0.97 || report.Before.Ten > 0.8 {
		t.Errorf("held-out pairs: %+v before, %+v after", report.Before, report.After)
	}
	if got := Measure(m, held, 1); got != report.After {
		t.Errorf("the rows that stayed measure %+v, reported was %+v", got, report.After)
	}
	if report.Steps == 0 || report.Pairs != 4*set.Len() || report.Loss <= 0 {
		t.Errorf("report %+v of %d pairs", report, set.Len())
	}
}

// TestDeterministic wants equal bits for any number of threads.
func TestDeterministic(t *testing.T) {
	_, tokenizer, set, held := small(t)
	var want []float32
	for _, threads := range []int{1, 2, 5} {
		m := fresh(t, tokenizer, set)
		if _, err := Run(context.Background(), m, set, Options{Batch: 200, Threads: threads, Held: held, Seed: 9}); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = m.Rows
		} else if !slices.Equal(want, m.Rows) {
			t.Fatalf("%d threads give other rows than one", threads)
		}
	}
	m := fresh(t, tokenizer, set)
	if _, err := Run(context.Background(), m, set, Options{Batch: 200, Seed: 10}); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(want, m.Rows) {
		t.Fatal("another seed gives the same rows")
	}
}

// TestResume interrupts a training at several steps and wants the rows and the
// report of one that ran through.
func TestResume(t *testing.T) {
	_, tokenizer, set, held := small(t)
	base := Options{Batch: 200, Epochs: 3, Held: held, HeldEvery: 4, Seed: 2}
	whole := fresh(t, tokenizer, set)
	want, err := Run(context.Background(), whole, set, base)
	if err != nil {
		t.Fatal(err)
	}
	o := base
	o.Checkpoint = filepath.Join(t.TempDir(), "state")
	var m *Model
	for _, stop := range []int{3, 11, 12, 0} {
		m = fresh(t, tokenizer, set)
		ctx, cancel := context.WithCancel(context.Background())
		o.Progress = func(p Progress) {
			if p.Step == stop {
				cancel()
			}
		}
		report, err := Run(ctx, m, set, o)
		cancel()
		if stop > 0 {
			if !errors.Is(err, context.Canceled) || report.Steps != stop {
				t.Fatalf("stopped at step %d of wanted %d: %v", report.Steps, stop, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		want.Elapsed, report.Elapsed = 0, 0
		want.Loss, report.Loss = 0, 0 // of the steps since the last start
		if report != want || !slices.Equal(m.Rows, whole.Rows) {
			t.Fatalf("resumed: %+v, want %+v; equal rows: %v", report, want, slices.Equal(m.Rows, whole.Rows))
		}
	}
	if _, err := os.Stat(o.Checkpoint); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkpoint is left: %v", err)
	}
}

// TestCheckpointRefused wants no training to go on from another one's state or
// from a damaged file, and the rows left as they were.
func TestCheckpointRefused(t *testing.T) {
	_, tokenizer, set, _ := small(t)
	o := Options{Batch: 200, Seed: 2, Checkpoint: filepath.Join(t.TempDir(), "state")}
	ctx, cancel := context.WithCancel(context.Background())
	o.Progress = func(Progress) { cancel() }
	if _, err := Run(ctx, fresh(t, tokenizer, set), set, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	o.Progress = nil
	content, err := os.ReadFile(o.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, o Options, content []byte) {
		t.Helper()
		if err := os.WriteFile(o.Checkpoint, content, 0o600); err != nil {
			t.Fatal(err)
		}
		m := fresh(t, tokenizer, set)
		before := slices.Clone(m.Rows)
		if _, err := Run(context.Background(), m, set, o); !errors.Is(err, ErrCheckpoint) {
			t.Fatalf("%s: %v", what, err)
		}
		if !slices.Equal(before, m.Rows) {
			t.Fatalf("%s: the rows changed", what)
		}
	}
	other := o
	other.Rate = 0.03
	refused("another rate", other, content)
	r := rand.New(rand.NewPCG(7, 7))
	for range 40 {
		damaged := slices.Clone(content)
		damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
		refused("a flipped bit", o, damaged)
	}
	for range 10 {
		refused("a cut file", o, content[:r.IntN(len(content))])
	}
}

// TestPatience wants a training stopped that gets no better, and the best rows kept.
func TestPatience(t *testing.T) {
	_, tokenizer, set, held := small(t)
	m := fresh(t, tokenizer, set)
	report, err := Run(context.Background(), m, set, Options{Batch: 64, Epochs: 300, Held: held, Patience: 3, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Stopped || report.BestStep >= report.Steps {
		t.Fatalf("300 epochs over 1,900 pairs went through: %+v", report)
	}
	if got := Measure(m, held, 2); got != report.After {
		t.Errorf("the rows that stayed measure %+v, the best were %+v", got, report.After)
	}
}

// TestAdam compares a step on a batch with Adam's formulas over dense gradients.
func TestAdam(t *testing.T) {
	_, tokenizer, set, _ := small(t)
	m := fresh(t, tokenizer, set)
	rows := slices.Clone(m.Rows)
	dim := m.Dimension
	tab := newTable(m.Rows, dim, 2)
	first, second, steps := make([]float64, len(rows)), make([]float64, len(rows)), make([]int, len(rows)/dim)
	want := make([]float64, len(rows))
	for i, x := range rows {
		want[i] = float64(x)
	}
	r := rand.New(rand.NewPCG(8, 8))
	for step := range 5 {
		b := batch{uint32(step), uint32(3 * step), 17}
		da, db := to32(random64(r, len(b)*dim)), to32(random64(r, len(b)*dim))
		gradient := make([]float64, len(rows))
		touched := map[uint32]bool{}
		for i, pair := range b {
			for side, g := range [][]float32{da, db} {
				for _, id := range set.tokens(2*pair + uint32(side)) {
					touched[id] = true
					for k := range dim {
						gradient[int(id)*dim+k] += float64(g[i*dim+k])
					}
				}
			}
		}
		for id := range touched {
			steps[id]++
			n := float64(steps[id])
			for k := int(id) * dim; k < int(id+1)*dim; k++ {
				first[k] = 0.9*first[k] + 0.1*gradient[k]
				second[k] = 0.999*second[k] + 0.001*gradient[k]*gradient[k]
				want[k] -= 0.01 * first[k] / (1 - math.Pow(0.9, n)) / (math.Sqrt(second[k]) + 1e-8) * math.Sqrt(1-math.Pow(0.999, n))
			}
		}
		tab.index(set, b)
		tab.step(da, db, 0.01)
		for k := range want {
			if math.Abs(float64(m.Rows[k])-want[k]) > 1e-5 {
				t.Fatalf("step %d, row %d, component %d: %g, want %g", step, k/dim, k%dim, m.Rows[k], want[k])
			}
		}
	}
}

// TestBatches wants every pair once an epoch, and batches of one source.
func TestBatches(t *testing.T) {
	_, tokenizer, _, _ := small(t)
	set := NewSet(tokenizer, 4, 4)
	source := map[uint32]int{}
	for i := range 1000 {
		s := 0
		if i%3 == 0 {
			s = 1 + i%2
		}
		source[uint32(set.Len())] = s
		set.Add(fmt.Sprint(s), "a b", "b c")
	}
	for _, size := range []int{8, 64, 100, 663, 5000} {
		seen := map[uint32]int{}
		for _, b := range set.epoch(3, 1, size) {
			if len(b) > size || len(b) < leastBatch {
				t.Fatalf("a batch of %d, wanted up to %d", len(b), size)
			}
			for _, p := range b {
				seen[p]++
				if source[p] != source[b[0]] {
					t.Fatalf("batches of %d: two sources in one", size)
				}
			}
		}
		if lost := set.Len() - len(seen); lost > 3*leastBatch {
			t.Errorf("batches of %d: %d pairs are in none", size, lost)
		}
		for p, n := range seen {
			if n != 1 {
				t.Fatalf("pair %d comes %d times", p, n)
			}
		}
	}
}

// TestPack writes a model, opens it by package static, and compares vectors
// with means of the rows: int8 costs no more than its step.
func TestPack(t *testing.T) {
	file, tokenizer, set, held := small(t)
	m := fresh(t, tokenizer, set)
	if _, err := Run(context.Background(), m, set, Options{Batch: 128, Epochs: 2, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	files, err := Pack(m, file, []int{16, 32, 64}, "---\nlicense: apache-2.0\n---\n# Small\n\nA model of made-up words.\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "small")
	if err := files.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := files.Write(dir); !errors.Is(err, ErrInstalled) {
		t.Errorf("written over: %v", err)
	}
	for _, dim := range []int{16, 64} {
		e, err := static.Open(dir, static.Options{Dimension: dim})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if info := e.Info(); info.Licence != "apache-2.0" || !strings.HasPrefix(info.Description, "A model of made-up words.") || !slices.Equal(info.Matryoshka, []int{16, 32}) {
			t.Errorf("info %+v", info)
		}
		for side := range uint32(20) {
			var words []string
			want := make([]float64, dim)
			for _, id := range held.tokens(side) {
				words = append(words, tokenText(t, file, id))
				for k := range dim {
					want[k] += float64(m.Rows[int(id)*m.Dimension+k])
				}
			}
			got, err := e.Encode(context.Background(), embed.RoleDocument, []string{strings.Join(words, " ")})
			if err != nil {
				t.Fatal(err)
			}
			var dot, aa float64
			for k, x := range got.Vectors.Row(0) {
				dot += float64(x) * want[k]
				aa += want[k] * want[k]
			}
			if cosine := dot / math.Sqrt(aa); cosine < 0.9995 {
				t.Errorf("side %d of %d dimensions: cosine %g of the packed model's vector with the mean of the rows", side, dim, cosine)
			}
		}
	}
}

// tokenText finds a whole word's text in the file by its id.
func tokenText(t *testing.T, file []byte, id uint32) string {
	t.Helper()
	var f struct {
		Model struct{ Vocab map[string]uint32 }
	}
	if err := json.Unmarshal(file, &f); err != nil {
		t.Fatal(err)
	}
	for text, i := range f.Model.Vocab {
		if i == id {
			return text
		}
	}
	t.Fatalf("no token %d", id)
	return ""
}

func TestRefusals(t *testing.T) {
	_, tokenizer, set, _ := small(t)
	m := fresh(t, tokenizer, set)
	for name, o := range map[string]Options{
		"batch": {Batch: 1}, "huge batch": {Batch: 1 << 20}, "epochs": {Epochs: -1}, "rate": {Rate: math.NaN()}, "warm-up": {Warmup: 1},
		"temperature": {Temperature: 0.01}, "threads": {Threads: -2}, "order": {Nested: []int{32, 16}}, "too wide": {Nested: []int{65}},
	} {
		if _, err := Run(context.Background(), m, set, o); err == nil {
			t.Errorf("%s: %+v is taken", name, o)
		}
	}
	if _, err := Run(context.Background(), m, NewSet(tokenizer, 4, 4), Options{}); !errors.Is(err, ErrNoPairs) {
		t.Errorf("an empty set: %v", err)
	}
	if set.Add("x", "", "word") || set.Add("x", "слово", "word") || set.Add("x", "a", "—") {
		t.Error("a pair with a side of no known word is taken")
	}
}
