package arena

import (
	"testing"
	"unsafe"
)

func TestArraysAreZeroAlignedAndApart(t *testing.T) {
	const n = 1001
	r, err := New(Size[uint8](n) + Size[uint32](n) + Size[float32](n))
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := Slice[uint8](r, n), Slice[uint32](r, n), Slice[float32](r, n)
	if len(a) != n || len(b) != n || len(c) != n {
		t.Fatalf("lengths %d, %d, %d", len(a), len(b), len(c))
	}
	if uintptr(unsafe.Pointer(&b[0]))%8 != 0 || uintptr(unsafe.Pointer(&c[0]))%8 != 0 {
		t.Error("arrays are not aligned")
	}
	for i := range n {
		if a[i] != 0 || b[i] != 0 || c[i] != 0 {
			t.Fatalf("element %d is not zero", i)
		}
		a[i], b[i], c[i] = 1, 2, 3
	}
	AdviseHuge(r, c)
	for i := range n {
		if a[i] != 1 || b[i] != 2 || c[i] != 3 {
			t.Fatalf("arrays overlap at element %d", i)
		}
	}
}

func TestARegionMayBeLargerThanMemory(t *testing.T) {
	if !Lazy {
		t.Skip("regions are ordinary memory here")
	}
	const size = 256 << 30
	r, err := New(size)
	if err != nil {
		t.Skipf("no address space: %v", err)
	}
	mem := Slice[uint8](r, size)
	mem[0], mem[size-1] = 1, 1
}

func TestNoRegionOfNegativeSize(t *testing.T) {
	if _, err := New(-1); err == nil {
		t.Error("no error")
	}
}
