package compat

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// stamper is one of dimension 4.
func stamper(t testing.TB, n Normalization, metric Metric) *Stamper {
	m := sample()
	m.Space.Normalization, m.Metric = n, metric
	s, err := m.Stamper()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStampRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	ok := []float32{0, 1, 0, 0}
	for _, c := range []struct {
		name   string
		norm   Normalization
		metric Metric
		row    []float32
		err    error
	}{
		{"NaN", NormalizeNone, MetricDot, []float32{0, nan, 0, 0}, ErrNotFinite},
		{"NaN last", NormalizeL2, MetricCosine, []float32{0, 1, 0, nan}, ErrNotFinite},
		{"+Inf", NormalizeNone, MetricL2, []float32{0, 0, inf, 0}, ErrNotFinite},
		{"-Inf", NormalizeL2, MetricDot, []float32{-inf, 0, 0, 0}, ErrNotFinite},
		{"Inf and -Inf and NaN", NormalizeNone, MetricDot, []float32{-inf, inf, nan, 0}, ErrNotFinite},
		{"1e30", NormalizeNone, MetricDot, []float32{0, 0, 0, 1e30}, ErrTooLarge},
		{"-1e30 in a normalized space", NormalizeL2, MetricCosine, []float32{-1e30, 0, 0, 0}, ErrTooLarge},
		{"just above 1e16", NormalizeNone, MetricDot, []float32{0, 1.0001e16, 0, 0}, ErrTooLarge},
		{"four of 1e16", NormalizeNone, MetricDot, []float32{1e16, 1e16, 1e16, 1e16}, nil},
		{"1e-60 under cosine", NormalizeNone, MetricCosine, []float32{float32(tiny), 0, 0, 0}, ErrZeroNorm},
		{"1e-19 under cosine", NormalizeNone, MetricCosine, []float32{0, 1e-19, 0, 0}, ErrZeroNorm},
		{"1e-17 under cosine", NormalizeNone, MetricCosine, []float32{0, 1e-17, 0, 0}, nil},
		{"1e-19 under dot", NormalizeNone, MetricDot, []float32{0, 1e-19, 0, 0}, nil},
		{"zero under cosine", NormalizeNone, MetricCosine, make([]float32, 4), ErrZeroNorm},
		{"zero under dot", NormalizeNone, MetricDot, make([]float32, 4), nil},
		{"zero under l2", NormalizeNone, MetricL2, make([]float32, 4), nil},
		{"zero in a normalized space", NormalizeL2, MetricDot, make([]float32, 4), ErrZeroNorm},
		{"length 1.01", NormalizeL2, MetricDot, []float32{0, 0, 1.01, 0}, ErrNorm},
		{"length 0.99", NormalizeL2, MetricCosine, []float32{0, 0, 0.99, 0}, ErrNorm},
		{"length 1.0005", NormalizeL2, MetricCosine, []float32{0, 0, 1.0005, 0}, nil},
		{"length 3 where none is asked", NormalizeNone, MetricCosine, []float32{0, 3, 0, 0}, nil},
	} {
		s := stamper(t, c.norm, c.metric)
		// The bad row stands third, so that its number is seen to be right.
		batch := append(append(append([]float32{}, ok...), ok...), c.row...)
		v, err := s.Stamp(batch)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
			continue
		}
		if c.err == nil {
			if v.Len() != 3 || v.Dim() != 4 || !v.Fingerprint().Matches(s.Fingerprint()) {
				t.Errorf("%s: stamped %d x %d", c.name, v.Len(), v.Dim())
			}
			continue
		}
		var detail *VectorError
		if !errors.As(err, &detail) || detail.Row != 2 || v.Len() != 0 {
			t.Errorf("%s: %+v, with %d vectors", c.name, detail, v.Len())
		}
	}
}

// tiny becomes 0 as a float32.
var tiny = 1e-60

func TestStampLength(t *testing.T) {
	s := stamper(t, NormalizeNone, MetricDot)
	for n := range 20 {
		v, err := s.Stamp(make([]float32, n))
		if n%4 == 0 {
			if err != nil || v.Len() != n/4 {
				t.Errorf("%d floats of dimension 4: %d rows, %v", n, v.Len(), err)
			}
			continue
		}
		var detail *VectorError
		if !errors.As(err, &detail) || detail.Row != -1 || !errors.Is(err, ErrDimension) {
			t.Errorf("%d floats of dimension 4: %v", n, err)
		}
	}
}

// TestStampAgainstDefinition compares the one-sum check with a look at every
// component, for all dimensions around the unrolling and all magnitudes.
func TestStampAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.SliceOfN(rapid.OneOf(
			rapid.Float32Range(-2, 2),
			rapid.SampledFrom([]float32{0, 1e16, -1e16, 1.001e16, 3e38, float32(math.NaN()), float32(math.Inf(-1)), 1e-45}),
		), 1, 13).Draw(t, "row")
		m := sample()
		m.Space.Dimension, m.Space.FullDimension = len(row), len(row)
		m.Space.Normalization, m.Metric, m.Evidence = NormalizeNone, MetricDot, Evidence{}
		s, err := m.Stamper()
		if err != nil {
			t.Fatal(err)
		}
		var want error
		for _, x := range row {
			if x != x || math.IsInf(float64(x), 0) {
				want = ErrNotFinite
			} else if x > 1e16 || x < -1e16 {
				want = ErrTooLarge
			}
			if want != nil {
				break
			}
		}
		if _, err := s.Stamp(row); !errors.Is(err, want) {
			t.Fatalf("%v: %v, want %v", row, err, want)
		}
	})
}

func TestVectorsRows(t *testing.T) {
	s := stamper(t, NormalizeNone, MetricDot)
	v, err := s.Stamp([]float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	if err != nil {
		t.Fatal(err)
	}
	part := v.Slice(1, 3)
	if part.Len() != 2 || part.Row(1)[3] != 11 || part.Fingerprint() != v.Fingerprint() {
		t.Errorf("rows 1..2 are %v and %v", part.Row(0), part.Row(1))
	}
	if row := append(v.Row(0), 99); v.Row(1)[0] != 4 {
		t.Errorf("appending to a row wrote into the next: %v", row)
	}
	var none Vectors
	if none.Len() != 0 || none.Fingerprint().Matches(none.Fingerprint()) {
		t.Error("the zero batch is not empty and of no space")
	}
}

func TestStamperRefusesInvalidManifest(t *testing.T) {
	m := sample()
	m.Space.Dimension = 0
	if s, err := m.Stamper(); s != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("a stamper of dimension 0: %v, %v", s, err)
	}
}

func BenchmarkStamp(b *testing.B) {
	m := sample()
	m.Space.Dimension, m.Space.FullDimension, m.Evidence = 384, 384, Evidence{}
	s, err := m.Stamper()
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	row := make([]float32, 384)
	for i := range row {
		row[i] = r.Float32() - 0.5
	}
	norm := float32(math.Sqrt(sumSquares(row)))
	for i := range row {
		row[i] /= norm
	}
	for b.Loop() {
		if _, err := s.Stamp(row); err != nil {
			b.Fatal(err)
		}
	}
}
