package measure

import (
	"cmp"
	"math"
	"testing"

	"github.com/vecino-db/vecino/compat"
)

func TestKeysAreInTheOrderOfDistances(t *testing.T) {
	values := []float32{
		float32(math.Inf(-1)), -math.MaxFloat32, -3, -1, -math.SmallestNonzeroFloat32, 0,
		math.SmallestNonzeroFloat32, 1e-20, 0.5, 1, 3, math.MaxFloat32, float32(math.Inf(1)),
	}
	for _, metric := range []compat.Metric{compat.MetricCosine, compat.MetricDot, compat.MetricL2} {
		m := Of(metric)
		for _, a := range values {
			if back := m.RawOf(m.Key(a)); back != a {
				t.Errorf("%s: key of %g gives back %g", metric, a, back)
			}
			for _, b := range values {
				if got, want := cmp.Compare(m.Key(a), m.Key(b)), cmp.Compare(m.Distance(a), m.Distance(b)); got != want {
					t.Errorf("%s: keys of %g and %g compare %d, distances %d", metric, a, b, got, want)
				}
			}
		}
	}
}
