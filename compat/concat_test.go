package compat_test

import (
	"errors"
	"testing"

	"github.com/vecino-db/vecino/compat"
)

// stamped is rows of two floats of the space of an encoder.
func stamped(t *testing.T, encoder string, rows ...float32) compat.Vectors {
	t.Helper()
	m := compat.Manifest{Space: compat.Space{
		Encoder: encoder, Pooling: compat.PoolingNone, Normalization: compat.NormalizeNone,
		Precision: compat.PrecisionF32, Dimension: 2, FullDimension: 2,
	}}.WithDefaults()
	s, err := m.Stamper()
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Stamp(rows)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantRows(t *testing.T, v compat.Vectors, want ...float32) {
	t.Helper()
	if 2*v.Len() != len(want) {
		t.Fatalf("%d rows, want %d", v.Len(), len(want)/2)
	}
	for i := range v.Len() {
		if r := v.Row(i); r[0] != want[2*i] || r[1] != want[2*i+1] {
			t.Errorf("row %d is %v, want %v", i, r, want[2*i:2*i+2])
		}
	}
}

func TestConcat(t *testing.T) {
	a, b := stamped(t, "test/1", 1, 2, 3, 4), stamped(t, "test/1", 5, 6)
	v, err := compat.Concat(compat.Vectors{}, a, stamped(t, "test/1"), b)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, v, 1, 2, 3, 4, 5, 6)
	if !v.Fingerprint().Matches(a.Fingerprint()) {
		t.Error("the space was lost")
	}
	v.Row(0)[0] = 9
	wantRows(t, a, 1, 2, 3, 4)

	if v, err = compat.Concat(); err != nil || v.Len() != 0 || !v.Fingerprint().IsZero() {
		t.Errorf("of nothing: %d rows of space %v, error %v", v.Len(), v.Fingerprint(), err)
	}
	if _, err = compat.Concat(a, stamped(t, "test/2", 5, 6)); !errors.Is(err, compat.ErrMismatch) {
		t.Errorf("of two spaces: error %v, want ErrMismatch", err)
	}
}

func TestSelect(t *testing.T) {
	v := stamped(t, "test/1", 1, 2, 3, 4, 5, 6)
	got := v.Select([]int{2, 0, 2})
	wantRows(t, got, 5, 6, 1, 2, 5, 6)
	if !got.Fingerprint().Matches(v.Fingerprint()) {
		t.Error("the space was lost")
	}
	if got = v.Select(nil); got.Len() != 0 || got.Dim() != 2 {
		t.Errorf("of no rows: %d rows of %d floats", got.Len(), got.Dim())
	}
}
