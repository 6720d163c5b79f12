package compat

import (
	"errors"
	"reflect"
	"testing"
)

// TestBridgedNeverBecomeVectors is what keeps a bridged query from being stored:
// stores and indexes take Vectors, and a Bridged gives none away.
func TestBridgedNeverBecomeVectors(t *testing.T) {
	bridged, vectors := reflect.TypeFor[Bridged](), reflect.TypeFor[Vectors]()
	if bridged.AssignableTo(vectors) || bridged.ConvertibleTo(vectors) {
		t.Error("a Bridged can be used as Vectors")
	}
	for i := range bridged.NumMethod() {
		m := bridged.Method(i)
		for o := range m.Type.NumOut() {
			if m.Type.Out(o) == vectors {
				t.Errorf("%s gives Vectors away", m.Name)
			}
		}
	}
	for i := range bridged.NumField() {
		if f := bridged.Field(i); f.IsExported() || f.Anonymous {
			t.Errorf("field %s can be reached from outside", f.Name)
		}
	}
}

func TestStampBridged(t *testing.T) {
	m := sample()
	stamper, err := m.Stamper()
	if err != nil {
		t.Fatal(err)
	}
	from := Fingerprint{7}
	b, err := stamper.StampBridged(from, []float32{1, 0, 0, 0, 0, 1, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	if b.Len() != 2 || b.Dim() != 4 || b.Row(1)[1] != 1 || b.Fingerprint() != m.Space.Fingerprint() || b.Bridge() != from {
		t.Errorf("stamped %+v", b)
	}
	v, err := stamper.Stamp([]float32{1, 0, 0, 0})
	if err != nil || !v.Bridge().IsZero() {
		t.Errorf("vectors of the space say that they were bridged: %v, %v", v.Bridge(), err)
	}
	for _, c := range []struct {
		from Fingerprint
		rows []float32
		want error
	}{
		{Fingerprint{}, []float32{1, 0, 0, 0}, ErrMismatch},
		{m.Space.Fingerprint(), []float32{1, 0, 0, 0}, ErrMismatch},
		{from, []float32{1, 0, 0}, ErrDimension},
		{from, []float32{2, 0, 0, 0}, ErrNorm},
		{from, []float32{0, 0, 0, 0}, ErrZeroNorm},
	} {
		if b, err := stamper.StampBridged(c.from, c.rows); !errors.Is(err, c.want) || b.Len() != 0 {
			t.Errorf("%v from %v: %v, %v", c.rows, c.from, b, err)
		}
	}
}
