package embed_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

func newRaw(t *testing.T, dimension int, metric compat.Metric, random byte) *embed.Raw {
	t.Helper()
	m := compat.Manifest{Space: embed.RawSpace(dimension, [32]byte{random}), Metric: metric}.WithDefaults()
	r, err := embed.NewRaw(m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRawSpace(t *testing.T) {
	a, b := embed.RawSpace(3, [32]byte{1}), embed.RawSpace(3, [32]byte{2})
	if err := a.Validate(); err != nil || !a.Raw() {
		t.Errorf("space %+v: raw %v, error %v", a, a.Raw(), err)
	}
	if a.Fingerprint().Matches(b.Fingerprint()) {
		t.Error("two collections of equal dimension have the same space")
	}
	var invalid *compat.InvalidError
	for _, space := range []compat.Space{embed.RawSpace(3, [32]byte{}), embed.RawSpace(0, [32]byte{1})} {
		if _, err := embed.NewRaw(compat.Manifest{Space: space}.WithDefaults()); !errors.As(err, &invalid) {
			t.Errorf("NewRaw of %+v: error %v, want *compat.InvalidError", space, err)
		}
	}
}

func TestRawStamp(t *testing.T) {
	r := newRaw(t, 2, compat.MetricCosine, 1)
	rows := [][]float32{{1, 2}, {-3, 4e5}}
	v, err := r.Stamp(rows)
	if err != nil {
		t.Fatal(err)
	}
	rows[0][0] = 7
	if !slices.Equal(v.Row(0), []float32{1, 2}) || !slices.Equal(v.Row(1), []float32{-3, 4e5}) || v.Len() != 2 {
		t.Errorf("stamped %v and %v of %d rows", v.Row(0), v.Row(1), v.Len())
	}
	if !v.Fingerprint().Matches(r.Fingerprint()) {
		t.Error("the batch is of another space")
	}
	if v, err = r.Stamp(nil); err != nil || v.Len() != 0 {
		t.Errorf("of no rows: %d rows, error %v", v.Len(), err)
	}
}

func TestRawRefuses(t *testing.T) {
	nan := float32(math.NaN())
	inf := float32(math.Inf(-1))
	_, err := newRaw(t, 2, compat.MetricCosine, 1).Stamp([][]float32{{1, 2}, {1}, {nan, 1}, {1, 2}, {0, 0}, {1, inf}, nil, {1e17, 0}})
	want := []struct {
		row int
		err error
	}{
		{1, compat.ErrDimension},
		{2, compat.ErrNotFinite},
		{4, compat.ErrZeroNorm},
		{5, compat.ErrNotFinite},
		{6, compat.ErrDimension},
		{7, compat.ErrTooLarge},
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != len(want) {
		t.Fatalf("error %v, want %d joined ones", err, len(want))
	}
	for i, e := range joined.Unwrap() {
		var refused *compat.VectorError
		if !errors.As(e, &refused) || refused.Row != want[i].row || !errors.Is(e, want[i].err) {
			t.Errorf("error %d is %v, want row %d, %v", i, e, want[i].row, want[i].err)
		}
	}
	if _, err := newRaw(t, 2, compat.MetricL2, 1).Stamp([][]float32{{0, 0}}); err != nil {
		t.Errorf("a zero vector under L2: %v", err)
	}
	_, err = newRaw(t, 2, compat.MetricDot, 1).Stamp(make([][]float32, 1000))
	if n := len(err.(interface{ Unwrap() []error }).Unwrap()); n > 16 {
		t.Errorf("%d errors of one batch", n)
	}
}
