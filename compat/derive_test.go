package compat

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// derivationSpace is a space of a Matryoshka model.
func derivationManifest(dim int, n Normalization) Manifest {
	return Manifest{
		Space: Space{
			Encoder: "static/1", Weights: Digest{1}, Tokenizer: Digest{2}, Pooling: PoolingMean,
			Normalization: n, Precision: PrecisionF32, Dimension: dim, FullDimension: 8,
		},
		Metric: MetricCosine,
	}.WithDefaults()
}

// What Diff calls same, recheck, rebuild or derive has a derivation whose rows
// are those that the rule names; what it calls reembed has none.
func TestDerivation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	prompted := derivationManifest(8, NormalizeL2)
	prompted.Space.QueryPrompt = "query: "
	for _, test := range []struct {
		name       string
		have, want Manifest
	}{
		{"nothing", derivationManifest(8, NormalizeL2), derivationManifest(8, NormalizeL2)},
		{"query prompt", derivationManifest(8, NormalizeL2), prompted},
		{"cut", derivationManifest(8, NormalizeL2), derivationManifest(3, NormalizeL2)},
		{"cut of raw lengths", derivationManifest(8, NormalizeNone), derivationManifest(3, NormalizeNone)},
		{"normalized", derivationManifest(8, NormalizeNone), derivationManifest(8, NormalizeL2)},
		{"cut and normalized", derivationManifest(8, NormalizeNone), derivationManifest(5, NormalizeL2)},
	} {
		d, err := NewDerivation(test.have, test.want)
		if err != nil || d == nil {
			t.Fatalf("%s: %v %v", test.name, d, err)
		}
		stamper, err := test.have.Stamper()
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]float32, 5*8)
		for i := range rows {
			rows[i] = rng.Float32() + 0.1
		}
		if test.have.Space.Normalization == NormalizeL2 {
			for i := range 5 {
				scaleTo1(rows[8*i : 8*i+8])
			}
		}
		v, err := stamper.Stamp(rows)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Derive(v)
		if err != nil || got.Len() != 5 || !got.Fingerprint().Matches(test.want.Space.Fingerprint()) {
			t.Fatalf("%s: %d rows of %v: %v", test.name, got.Len(), got.Fingerprint(), err)
		}
		for i := range 5 {
			want := append([]float32(nil), v.Row(i)[:test.want.Space.Dimension]...)
			if test.want.Space.Normalization == NormalizeL2 {
				scaleTo1(want)
			}
			for j, x := range got.Row(i) {
				if math.Abs(float64(x-want[j])) > 1e-6 {
					t.Errorf("%s: row %d component %d is %g, want %g", test.name, i, j, x, want[j])
				}
			}
		}
		other := test.have
		other.Space.Weights = Digest{9}
		if foreign, err := other.Stamper(); err != nil {
			t.Fatal(err)
		} else if v, err := foreign.Stamp(append([]float32(nil), rows...)); err != nil {
			t.Fatal(err)
		} else if _, err := d.Derive(v); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: vectors of another space: %v", test.name, err)
		}
	}

	another := derivationManifest(8, NormalizeL2)
	another.Space.Weights = Digest{7}
	for name, pair := range map[string][2]Manifest{
		"another model": {derivationManifest(8, NormalizeL2), another},
		"a longer one":  {derivationManifest(3, NormalizeL2), derivationManifest(8, NormalizeL2)},
		"a lost length": {derivationManifest(8, NormalizeL2), derivationManifest(8, NormalizeNone)},
	} {
		if d, err := NewDerivation(pair[0], pair[1]); err != nil || d != nil {
			t.Errorf("%s: %v %v, want none", name, d, err)
		}
	}
	if _, err := NewDerivation(derivationManifest(8, NormalizeL2), Manifest{}); err == nil {
		t.Error("an invalid manifest has a derivation")
	}
	cut, err := NewDerivation(derivationManifest(8, NormalizeL2), derivationManifest(3, NormalizeL2))
	if err != nil {
		t.Fatal(err)
	}
	have := derivationManifest(8, NormalizeL2)
	stamper, err := have.Stamper()
	if err != nil {
		t.Fatal(err)
	}
	v, err := stamper.Stamp([]float32{0, 0, 0, 1, 0, 0, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cut.Derive(v); !errors.Is(err, ErrZeroNorm) {
		t.Errorf("a row whose cut has no direction: %v, want ErrZeroNorm", err)
	}
}

func scaleTo1(row []float32) {
	var sum float64
	for _, x := range row {
		sum += float64(x) * float64(x)
	}
	for i := range row {
		row[i] = float32(float64(row[i]) / math.Sqrt(sum))
	}
}
