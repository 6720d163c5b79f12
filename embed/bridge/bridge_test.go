package bridge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/vecino-db/vecino/compat"
)

// space is one of a made-up encoder.
func space(weights byte, dim int, normalization compat.Normalization) compat.Space {
	return compat.Space{
		Encoder: "static/1", Weights: compat.Digest{weights}, Tokenizer: compat.Digest{2}, Pooling: compat.PoolingMean,
		Normalization: normalization, Precision: compat.PrecisionF32, Dimension: dim, FullDimension: dim,
	}
}

func stamperOf(t testing.TB, s compat.Space) *compat.Stamper {
	t.Helper()
	m := compat.Manifest{Space: s, Metric: compat.MetricCosine}.WithDefaults()
	stamper, err := m.Stamper()
	if err != nil {
		t.Fatal(err)
	}
	return stamper
}

func stamp(t testing.TB, s compat.Space, rows []float32) compat.Vectors {
	t.Helper()
	v, err := stamperOf(t, s).Stamp(rows)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// random are rows of length 1, of rank at most rank.
func random(rng *rand.Rand, n, dim, rank int) []float32 {
	basis := make([]float64, rank*dim)
	for i := range basis {
		basis[i] = rng.NormFloat64()
	}
	out := make([]float32, 0, n*dim)
	for range n {
		row := make([]float32, dim)
		for r := range rank {
			c := rng.NormFloat64()
			for j := range row {
				row[j] += float32(c * basis[r*dim+j])
			}
		}
		normalize(row)
		out = append(out, row...)
	}
	return out
}

// rotation is a random matrix of p x q with orthonormal rows (p <= q), by the
// SVD of gonum.
func rotation(rng *rand.Rand, p, q int) *mat.Dense {
	d := make([]float64, p*q)
	for i := range d {
		d[i] = rng.NormFloat64()
	}
	return polarBySVD(mat.NewDense(p, q, d))
}

func polarBySVD(m *mat.Dense) *mat.Dense {
	var svd mat.SVD
	svd.Factorize(m, mat.SVDThin)
	var u, v, r mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	r.Mul(&u, v.T())
	return &r
}

// turned are rows times a matrix, of length 1 again.
func turned(rows []float32, r *mat.Dense) []float32 {
	p, q := r.Dims()
	var out []float32
	for i := 0; i < len(rows); i += p {
		row := make([]float32, q)
		for k, v := range rows[i : i+p] {
			for j := range row {
				row[j] += float32(float64(v) * r.At(k, j))
			}
		}
		normalize(row)
		out = append(out, row...)
	}
	return out
}

// TestPolarAgainstSVD compares the iteration with the definition.
func TestPolarAgainstSVD(t *testing.T) {
	const seed = 2
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, shape := range [][2]int{{1, 1}, {1, 5}, {5, 1}, {20, 20}, {7, 30}, {30, 7}, {64, 100}} {
		p, q := shape[0], shape[1]
		m, wide := make([]float32, p*q), make([]float64, p*q)
		for i := range m {
			// Columns of very different size: singular values over three decades.
			m[i] = float32(rng.NormFloat64() * math.Pow(10, -3*float64(i%q)/float64(q)))
			wide[i] = float64(m[i])
		}
		got, err := polar(t.Context(), m, p, q)
		if err != nil {
			t.Fatal(err)
		}
		want := polarBySVD(mat.NewDense(p, q, wide))
		for i, v := range got {
			if math.Abs(float64(v)-want.RawMatrix().Data[i]) > 2e-3 {
				t.Fatalf("seed %d: %d x %d: component %d is %g, want %g", seed, p, q, i, v, want.RawMatrix().Data[i])
			}
		}
	}
	if got, err := polar(t.Context(), make([]float32, 6), 2, 3); err != nil || got[0] != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

// TestProduct compares with the definition, over several blocks of rows.
func TestProduct(t *testing.T) {
	const seed, n, p, q = 4, 1100, 5, 3
	rng := rand.New(rand.NewPCG(seed, 0))
	a, b := random(rng, n, p, p), random(rng, n, q, q)
	got, err := product(t.Context(), a, p, b, q, n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		for j := range q {
			want := 0.0
			for r := range n {
				want += float64(a[r*p+i]) * float64(b[r*q+j])
			}
			if math.Abs(float64(got[i*q+j])-want) > 1e-3 {
				t.Errorf("seed %d: (%d, %d) is %g, want %g", seed, i, j, got[i*q+j], want)
			}
		}
	}
}

// TestFitFindsTheRotation: where one space is the other one turned, even into
// more dimensions, the bridge finds everything.
func TestFitFindsTheRotation(t *testing.T) {
	const seed, n = 9, 1500
	for _, shape := range [][2]int{{24, 24}, {24, 40}} {
		rng := rand.New(rand.NewPCG(seed, 0))
		from, to := space(1, shape[0], compat.NormalizeL2), space(2, shape[1], compat.NormalizeL2)
		x := random(rng, n, shape[0], shape[0])
		y := turned(x, rotation(rng, shape[0], shape[1]))
		b, err := Fit(t.Context(), Pairs{FromSpace: from, ToSpace: to, From: stamp(t, from, x), To: stamp(t, to, y)}, Options{MinRecall: 0.97})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		c := b.Check()
		if c.Recall < 0.98 || c.K != 10 || c.HeldOut != 75 || c.Pool != n || c.Pairs != 1350 || len(c.Tried) != 2 || c.Tried[0].Method != Orthogonal || c.Tried[0].Recall < 0.98 {
			t.Errorf("seed %d: %v: %+v", seed, shape, c)
		}
		if b.From() != from.Fingerprint() || b.To() != to.Fingerprint() || b.Method() == "" {
			t.Errorf("from %v to %v", b.From(), b.To())
		}
		queries := stamp(t, from, random(rng, 3, shape[0], shape[0]))
		got, err := b.Apply(stamperOf(t, to), queries)
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != 3 || got.Fingerprint() != to.Fingerprint() || got.Bridge() != from.Fingerprint() {
			t.Errorf("carried %d to %v from %v", got.Len(), got.Fingerprint(), got.Bridge())
		}
	}
}

// TestFitRefuses a bridge between spaces that have nothing to do with each
// other, and what is no pairs.
func TestFitRefuses(t *testing.T) {
	const seed, n, dim = 9, 1200, 16
	rng := rand.New(rand.NewPCG(seed, 0))
	from, to := space(1, dim, compat.NormalizeL2), space(2, dim, compat.NormalizeL2)
	x, y := stamp(t, from, random(rng, n, dim, dim)), stamp(t, to, random(rng, n, dim, dim))
	good := Pairs{FromSpace: from, ToSpace: to, From: x, To: y}
	b, err := Fit(t.Context(), good, Options{})
	var refused *RecallError
	if b != nil || !errors.As(err, &refused) || !errors.Is(err, ErrRecall) || refused.Check.Recall > 0.1 || refused.Least != 0.7 {
		t.Fatalf("seed %d: %v, %v", seed, b, err)
	}
	for name, change := range map[string]func(p *Pairs){
		"few":               func(p *Pairs) { p.From, p.To = x.Slice(0, 999), y.Slice(0, 999) },
		"not as many":       func(p *Pairs) { p.To = y.Slice(0, n-1) },
		"of another space":  func(p *Pairs) { p.FromSpace = space(3, dim, compat.NormalizeL2) },
		"of no space":       func(p *Pairs) { *p = Pairs{} },
		"of one space":      func(p *Pairs) { p.ToSpace, p.To = from, x },
		"by another metric": func(p *Pairs) { p.Metric = "hamming" },
	} {
		p := good
		change(&p)
		if _, err := Fit(t.Context(), p, Options{}); !errors.Is(err, ErrPairs) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []Options{{MinRecall: -0.1}, {MinRecall: 1.1}, {MinRecall: math.NaN()}, {MaxPairs: 999}, {MaxPairs: 1 << 40}} {
		if _, err := Fit(t.Context(), good, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Fit(ended, good, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
	// All vectors of the one space are the same: nothing can be told.
	same := make([]float32, 0, n*dim)
	for range n {
		same = append(same, x.Row(0)...)
	}
	if _, err := Fit(t.Context(), Pairs{FromSpace: from, ToSpace: to, From: stamp(t, from, same), To: y}, Options{}); !errors.Is(err, ErrRecall) {
		t.Errorf("equal vectors: %v", err)
	}
}

// small fits a bridge of few dimensions.
func small(t testing.TB) (b *Bridge, from, to compat.Space, queries compat.Vectors) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 0))
	from, to = space(1, 3, compat.NormalizeL2), space(2, 4, compat.NormalizeNone)
	x := random(rng, 1000, 3, 3)
	y := turned(x, rotation(rng, 3, 4))
	b, err := Fit(t.Context(), Pairs{FromSpace: from, ToSpace: to, From: stamp(t, from, x), To: stamp(t, to, y), Metric: compat.MetricL2}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b, from, to, stamp(t, from, random(rng, 5, 3, 3))
}

func TestApplyRefuses(t *testing.T) {
	b, from, to, queries := small(t)
	for name, c := range map[string]struct {
		stamper *compat.Stamper
		queries compat.Vectors
	}{
		"queries of another space": {stamperOf(t, to), stamp(t, space(9, 3, compat.NormalizeL2), []float32{1, 0, 0})},
		"queries of no space":      {stamperOf(t, to), compat.Vectors{}},
		"a stamper of another":     {stamperOf(t, space(9, 4, compat.NormalizeNone)), queries},
		"the other way":            {stamperOf(t, from), stamp(t, to, []float32{1, 0, 0, 0})},
	} {
		if got, err := b.Apply(c.stamper, c.queries); !errors.Is(err, ErrSpace) || got.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBytes reads back what was written, and refuses every byte that differs
// and every length.
func TestBytes(t *testing.T) {
	b, _, to, queries := small(t)
	data, err := b.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Bridge
	if err := back.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	again, err := back.MarshalBinary()
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("written again it differs: %v", err)
	}
	one, err1 := b.Apply(stamperOf(t, to), queries)
	two, err2 := back.Apply(stamperOf(t, to), queries)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for i := range one.Len() {
		for j, v := range one.Row(i) {
			if two.Row(i)[j] != v {
				t.Fatalf("query %d is carried to %v and, read back, to %v", i, one.Row(i), two.Row(i))
			}
		}
	}
	for i := range data {
		broken := bytes.Clone(data)
		broken[i] ^= 1
		if err := new(Bridge).UnmarshalBinary(broken); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if err := new(Bridge).UnmarshalBinary(data[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
	}
	if err := new(Bridge).UnmarshalBinary(append(bytes.Clone(data), 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: %v", err)
	}
}

// TestStatedRecall: the pairs that say what a bridge is worth are none of those
// that it was fitted on or chosen by. Here they alone are spoilt.
func TestStatedRecall(t *testing.T) {
	const seed, n, dim = 5, 1500, 16
	rng := rand.New(rand.NewPCG(seed, 0))
	from, to := space(1, dim, compat.NormalizeL2), space(2, dim, compat.NormalizeL2)
	x := random(rng, n, dim, dim)
	y := turned(x, rotation(rng, dim, dim))
	order := rand.New(rand.NewPCG(seed, 0)).Perm(n) // as Fit draws it
	for _, i := range order[n/20 : n/10] {
		copy(x[i*dim:(i+1)*dim], random(rng, 1, dim, dim))
	}
	_, err := Fit(t.Context(), Pairs{FromSpace: from, ToSpace: to, From: stamp(t, from, x), To: stamp(t, to, y)}, Options{Seed: seed})
	var refused *RecallError
	if !errors.As(err, &refused) || refused.Check.Recall > 0.1 || refused.Check.Tried[0].Recall < 0.97 {
		t.Errorf("seed %d: %v", seed, err)
	}
}

// TestTheBetterMethodIsKept: a space that is another one turned and stretched
// is met by the linear map alone.
func TestTheBetterMethodIsKept(t *testing.T) {
	const seed, n, dim = 6, 1500, 12
	rng := rand.New(rand.NewPCG(seed, 0))
	from, to := space(1, dim, compat.NormalizeNone), space(2, dim, compat.NormalizeNone)
	x := random(rng, n, dim, dim)
	y := turned(x, rotation(rng, dim, dim))
	for i := range y {
		y[i] *= float32(math.Pow(8, float64(i%dim)/dim))
	}
	b, err := Fit(t.Context(), Pairs{FromSpace: from, ToSpace: to, From: stamp(t, from, x), To: stamp(t, to, y), Metric: compat.MetricL2}, Options{MinRecall: 0.9})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	tried := b.Check().Tried
	if b.Method() != Linear || tried[0].Recall > 0.9*tried[1].Recall {
		t.Errorf("seed %d: %s is kept of %+v", seed, b.Method(), tried)
	}
}

// TestNearest compares the search of the check with the definition.
func TestNearest(t *testing.T) {
	const seed, n, dim = 7, 300, 8
	rng := rand.New(rand.NewPCG(seed, 0))
	s := space(1, dim, compat.NormalizeNone)
	rows := random(rng, n, dim, dim)
	for i := range rows {
		rows[i] *= float32(1 + i/dim%7)
	}
	for _, metric := range []compat.Metric{"", compat.MetricCosine, compat.MetricDot, compat.MetricL2} {
		v := stamp(t, s, slices.Clone(rows)) // a batch owns its rows
		order := rng.Perm(n)
		c := newChecking(Pairs{To: v, Metric: metric}, order)
		for _, but := range []int{-1, 0, 17} {
			query := v.Row(order[17])
			score := func(row int) float64 {
				var dot, own, l2 float64
				for j, x := range v.Row(order[row]) {
					dot += float64(x) * float64(query[j])
					own += float64(x) * float64(x)
					l2 += (float64(x) - float64(query[j])) * (float64(x) - float64(query[j]))
				}
				switch metric {
				case compat.MetricDot:
					return dot
				case compat.MetricL2:
					return -l2
				}
				return dot / math.Sqrt(own)
			}
			var want []int
			for row := range n {
				if row != but {
					want = append(want, row)
				}
			}
			slices.SortStableFunc(want, func(a, b int) int { return cmp.Compare(score(b), score(a)) })
			if got := c.nearest(slices.Concat(v.Row(0), query), []int{-1, but})[1]; !slices.Equal(got, want[:10]) {
				t.Errorf("seed %d: %q without %d: %v, want %v", seed, metric, but, got, want[:10])
			}
		}
	}
}
