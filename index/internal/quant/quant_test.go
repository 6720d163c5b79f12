package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/internal/measure"
	"github.com/vecino-db/vecino/kernels/cpu"
)

var (
	encodings = []compat.Encoding{compat.EncodingInt8, compat.EncodingLVQ4x8}
	metrics   = []compat.Metric{compat.MetricCosine, compat.MetricDot, compat.MetricL2}
)

// sample draws n vectors that are not centred, prepared for the metric.
func sample(rng *rand.Rand, metric compat.Metric, n, dim int) [][]float32 {
	m := measure.Of(metric)
	rows := make([][]float32, n)
	for i := range rows {
		v := make([]float32, dim)
		for j := range v {
			v[j] = float32(0.4 + rng.NormFloat64())
		}
		rows[i] = make([]float32, dim)
		m.Prepare(rows[i], v)
	}
	return rows
}

// filled is a book with its sample in slabs.
func filled(encoding compat.Encoding, metric compat.Metric, rows [][]float32) (*Book, Slabs) {
	n, dim := len(rows), len(rows[0])
	b := Train(encoding, metric, dim, n, func(i int) []float32 { return rows[i] })
	s := Slabs{Codes: make([]uint8, n*b.CodeBytes()), Fines: make([]uint8, n*b.FineBytes()), Params: make([]float32, n*b.Params())}
	for i, v := range rows {
		b.Encode(b.Row(s, uint32(i)), v)
	}
	return b, s
}

func each(t *testing.T, f func(t *testing.T, encoding compat.Encoding, metric compat.Metric, dim int)) {
	for _, encoding := range encodings {
		for _, metric := range metrics {
			for _, dim := range []int{1, 3, 16, 33, 128, 200, 384} {
				t.Run(fmt.Sprintf("%s/%s/%d", encoding, metric, dim), func(t *testing.T) { f(t, encoding, metric, dim) })
			}
		}
	}
}

func norm(v []float32) float64 {
	var s float64
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return math.Sqrt(s)
}

// TestRoundTrip: what comes back lies within half a fine step of what went in.
func TestRoundTrip(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	each(t, func(t *testing.T, encoding compat.Encoding, metric compat.Metric, dim int) {
		rows := sample(rand.New(rand.NewPCG(seed, 0)), metric, 200, dim)
		b, s := filled(encoding, metric, rows)
		got := make([]float32, dim)
		var lost, kept, longest float64
		for _, v := range rows {
			longest = max(longest, norm(v))
		}
		for i, v := range rows {
			r := b.Row(s, uint32(i))
			b.Decode(got, r)
			for j := range v {
				d := float64(got[j] - v[j])
				if most := 0.51*float64(r.Params[atStep]) + 1e-6*longest; math.Abs(d) > most {
					t.Fatalf("vector %d, component %d: %g became %g, want within %g", i, j, v[j], got[j], most)
				}
				lost, kept = lost+d*d, kept+float64(v[j])*float64(v[j])
			}
		}
		most := 1e-4
		if encoding == compat.EncodingLVQ4x8 {
			most = 1e-3
		}
		if e := math.Sqrt(lost / kept); e > most {
			t.Errorf("relative error %.2g, want at most %g", e, most)
		}
	})
}

// TestRawValues compares every kind of comparison with float64 arithmetic over
// the vectors themselves.
func TestRawValues(t *testing.T) {
	const seed, n = 4, 60
	t.Logf("seed %d", seed)
	each(t, func(t *testing.T, encoding compat.Encoding, metric compat.Metric, dim int) {
		rows := sample(rand.New(rand.NewPCG(seed, 0)), metric, n, dim)
		b, s := filled(encoding, metric, rows)
		m := measure.Of(metric)
		ids := make([]uint32, n)
		for i := range ids {
			ids[i] = uint32(n - 1 - i)
		}
		var (
			q     Query
			stage Stage
		)
		got := make([]float32, n)
		b.Prepare(&q, rows[7])
		longest := 0.0 // the step of int8 codes is that of all rows
		for _, v := range rows {
			longest = max(longest, norm(v))
		}
		check := func(what string, share float64, v []float32, order []uint32) {
			t.Helper()
			for i, id := range order {
				want := m.Wide(v, rows[id])
				// Inner products err by the error of the rows, squared distances by
				// twice that and its square.
				slack := share * longest * longest
				if metric == compat.MetricL2 {
					slack = 4*share*longest*math.Sqrt(want) + 16*share*share*longest*longest
				}
				if math.Abs(float64(got[i])-want) > slack+1e-6 {
					t.Fatalf("%s of row %d: %g, want %g within %g", what, id, got[i], want, slack)
				}
			}
		}
		coarse, fine := 0.04, 3e-4
		if encoding == compat.EncodingLVQ4x8 {
			coarse, fine = 0.08, 1e-3
		}
		b.Coarse(got, &q, s, ids)
		check("coarse", coarse, rows[7], ids)
		b.Fine(got, &q, s, ids)
		check("fine", fine, rows[7], ids)
		if !b.Stages() {
			b.Pairs(got, &q, s, 9, ids)
			check("pairs", coarse, rows[9], ids)
			return
		}
		// In parts, the first of them twice: what is there stays where it is.
		staged := make([]uint32, n)
		b.Stage(staged[:n/3], &stage, s, ids[:n/3])
		b.Stage(staged, &stage, s, ids)
		distinct := len(slices.Compact(slices.Sorted(slices.Values(ids))))
		if stage.Len() != distinct {
			t.Errorf("%d rows on stage of %d ids", stage.Len(), distinct)
		}
		for i, row := range staged {
			if stage.ID(row) != ids[i] {
				t.Fatalf("row %d is of id %d, want %d", row, stage.ID(row), ids[i])
			}
		}
		b.StagedPairs(got, &stage, staged[9], staged)
		check("staged pairs", 0.04, rows[ids[9]], ids)
		stage.Clear()
		b.Stage(staged[:1], &stage, s, ids[4:5])
		if stage.Len() != 1 || stage.ID(staged[0]) != ids[4] {
			t.Errorf("after Clear %d rows, the first of id %d, want %d", stage.Len(), stage.ID(0), ids[4])
		}
	})
}

// TestTiersAgree: all are sums of integers, so they are the same to the bit.
func TestTiersAgree(t *testing.T) {
	const seed, n = 5, 30
	t.Logf("seed %d", seed)
	each(t, func(t *testing.T, encoding compat.Encoding, metric compat.Metric, dim int) {
		rows := sample(rand.New(rand.NewPCG(seed, 0)), metric, n, dim)
		b, s := filled(encoding, metric, rows)
		var q Query
		b.Prepare(&q, rows[0])
		ids := []uint32{3, 1, 4, 1, 5, 9, 26}
		var first []float32
		for _, tier := range cpu.Supported() {
			restore, err := cpu.Force(tier)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, 2*len(ids))
			b.Coarse(got, &q, s, ids)
			b.Fine(got[len(ids):], &q, s, ids)
			restore()
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Errorf("tier %s: %v, generic %v", tier, got, first)
			}
		}
	})
}

// TestAppendAndParse: a row that was kept is the same to the bit, what is derived
// included; nonsense is refused.
func TestAppendAndParse(t *testing.T) {
	each(t, func(t *testing.T, encoding compat.Encoding, metric compat.Metric, dim int) {
		rows := sample(rand.New(rand.NewPCG(6, 0)), metric, 20, dim)
		b, s := filled(encoding, metric, rows)
		again, err := Restore(encoding, metric, b.Scale(), b.Typical(), b.Mean())
		if err != nil {
			t.Fatal(err)
		}
		r := again.NewRecord()
		for i := range uint32(20) {
			kept := b.Append(nil, b.Row(s, i))
			if len(kept) != b.RecordBytes() {
				t.Fatalf("%d bytes, want %d", len(kept), b.RecordBytes())
			}
			if err := again.Parse(r, kept); err != nil {
				t.Fatal(err)
			}
			if !r.Equal(b.Row(s, i)) {
				t.Fatalf("row %d came back as another", i)
			}
		}
		kept := b.Append(nil, b.Row(s, 0))
		for _, x := range []float32{float32(math.NaN()), float32(math.Inf(1)), -1} {
			putFloat(kept[len(kept)-4:], x)
			if again.Parse(r, kept) == nil {
				t.Errorf("a step of %g was taken", x)
			}
		}
	})
	nan := float32(math.NaN())
	for _, c := range [][3]float32{{0, 1, 0}, {nan, 1, 0}, {-1, 1, 0}, {1, nan, 0}, {1, -1, 0}, {1, 1, nan}, {float32(math.Inf(1)), 1, 0}} {
		if _, err := Restore(compat.EncodingLVQ4x8, compat.MetricL2, c[0], c[1], []float32{c[2], 0}); err == nil {
			t.Errorf("a book of %v was taken", c)
		}
	}
	if _, err := Restore(compat.EncodingInt8, compat.MetricCosine, 1, 0, []float32{1, 0}); err == nil {
		t.Error("a mean that nobody subtracts was taken")
	}
}

// TestExtremes: vectors of zeros, of one value, huge and tiny ones, with a book
// that knows nothing of them, give numbers.
func TestExtremes(t *testing.T) {
	const dim = 130
	for _, encoding := range encodings {
		for _, metric := range metrics {
			rows := sample(rand.New(rand.NewPCG(7, 0)), metric, 50, dim)
			for _, x := range []float32{0, 1, -1e16, 1e-38, 1e-44} {
				v := make([]float32, dim)
				for i := range v {
					v[i] = x
				}
				rows = append(rows, v, slices.Clone(v))
				rows[len(rows)-1][3] = 1e16
			}
			for _, train := range [][][]float32{rows, rows[:50], rows[50:51]} {
				b := Train(encoding, metric, dim, len(train), func(i int) []float32 { return train[i] })
				s := Slabs{Codes: make([]uint8, b.CodeBytes()), Fines: make([]uint8, b.FineBytes()), Params: make([]float32, b.Params())}
				var q Query
				for _, v := range rows {
					b.Encode(b.Row(s, 0), v)
					for _, w := range rows {
						got := make([]float32, 2)
						b.Prepare(&q, w)
						b.Coarse(got[:1], &q, s, []uint32{0})
						b.Fine(got[1:], &q, s, []uint32{0})
						for _, x := range got {
							if x != x || math.IsInf(float64(x), 0) {
								t.Fatalf("%s, %s: %g.. against %g..: %v", encoding, metric, w[0], v[0], got)
							}
						}
					}
				}
			}
		}
	}
}

func TestDrift(t *testing.T) {
	const dim, n = 64, 500
	for _, encoding := range encodings {
		for _, metric := range metrics {
			rng := rand.New(rand.NewPCG(8, 0))
			first, _ := filled(encoding, metric, sample(rng, metric, n, dim))
			second, _ := filled(encoding, metric, sample(rng, metric, n, dim))
			if first.Drifted(second) {
				t.Errorf("%s, %s: drifted from its like", encoding, metric)
			}
			if metric == compat.MetricCosine {
				continue
			}
			rows := sample(rng, metric, n, dim)
			r := first.NewRecord()
			for _, v := range rows {
				if !first.Encode(r, v) {
					t.Fatalf("%s, %s: does not fit its like", encoding, metric)
				}
				for i := range v {
					v[i] *= 5
				}
				if first.Encode(r, v) {
					t.Fatalf("%s, %s: fits what is five times as long", encoding, metric)
				}
			}
			if third, _ := filled(encoding, metric, rows); !first.Drifted(third) {
				t.Errorf("%s, %s: no drift from what is five times as long", encoding, metric)
			}
		}
	}
}

// TestError: scores of both layers are off by what Error says, on the whole.
func TestError(t *testing.T) {
	const seed, n = 5, 300
	each(t, func(t *testing.T, encoding compat.Encoding, metric compat.Metric, dim int) {
		if dim < 16 {
			t.Skip("too few components to average over")
		}
		rows := sample(rand.New(rand.NewPCG(seed, 1)), metric, n, dim)
		b, s := filled(encoding, metric, rows)
		m := measure.Of(metric)
		var q Query
		raw := make([]float32, 1)
		sum, count := 0.0, 0
		for i := 0; i < n; i += 10 {
			b.Prepare(&q, rows[i])
			for j := range n {
				if i == j {
					continue
				}
				id := uint32(j)
				b.Fine(raw, &q, s, []uint32{id})
				step := float64(b.FineStep(s, id))
				off := float64(m.Score(float64(raw[0]))) - float64(m.Score(m.Wide(rows[i], rows[j])))
				off /= float64(b.Error(&q, step*step, s, id))
				sum += off * off
				count++
			}
		}
		if rms := math.Sqrt(sum / float64(count)); !(rms > 0.7 && rms < 1.4) {
			t.Errorf("scores are off by %.2f times what Error says", rms)
		}
	})
}
