package i8_test

import (
	"math"
	"testing"

	"github.com/vecino-db/vecino/kernels/cpu"
	"github.com/vecino-db/vecino/kernels/i8"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// reference computes in int64 and wraps once, as int32 arithmetic does.
func reference(a, b []int8) int32 {
	var s int64
	for i := range a {
		s += int64(a[i]) * int64(b[i])
	}
	return int32(s)
}

// TestEveryLength tries all lengths, with starts that go through all alignments.
func TestEveryLength(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		as := make([]int8, kerneltest.MaxLen+16)
		bs := make([]int8, kerneltest.MaxLen+16)
		for n := range kerneltest.MaxLen + 1 {
			kerneltest.Bytes(r, as)
			kerneltest.Bytes(r, bs)
			for k := range 4 {
				i, j := (n+k*7)%16, (n/16+k*3)%16
				a, b := as[i:i+n], bs[j:j+n]
				if got, want := i8.Dot(a, b), reference(a, b); got != want {
					t.Fatalf("%d elements at offsets %d and %d: %d, want %d", n, i, j, got, want)
				}
			}
		}
	})
}

// TestExtremes has only the numbers whose products and sums are greatest, at all
// lengths and beyond where an int32 wraps.
func TestExtremes(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		for _, x := range []int8{-128, 127, -1} {
			for _, y := range []int8{-128, 127, -1} {
				a, b := make([]int8, 140_000), make([]int8, 140_000)
				for i := range a {
					a[i], b[i] = x, y
				}
				for n := range kerneltest.MaxLen + 1 {
					if got, want := i8.Dot(a[:n], b[:n]), reference(a[:n], b[:n]); got != want {
						t.Fatalf("%d times %d*%d: %d, want %d", n, x, y, got, want)
					}
				}
				for _, n := range []int{131_071, 131_072, 131_073, 140_000} {
					if got, want := i8.Dot(a[:n], b[:n]), reference(a[:n], b[:n]); got != want {
						t.Fatalf("%d times %d*%d: %d, want %d", n, x, y, got, want)
					}
				}
			}
		}
		if got := i8.Dot(nil, nil); got != 0 {
			t.Errorf("nothing: %d", got)
		}
	})
}

// TestGuarded runs the kernels against pages that fault on either side.
func TestGuarded(t *testing.T) {
	const most = 600
	for _, atStart := range []bool{false, true} {
		as := kerneltest.Guarded[int8](t, most, atStart)
		bs := kerneltest.Guarded[int8](t, most, atStart)
		kerneltest.Bytes(kerneltest.Rand(t), as)
		cut := func(s []int8, n int) []int8 {
			if atStart {
				return s[:n:n]
			}
			return s[most-n:]
		}
		kerneltest.EachTier(t, func(t *testing.T) {
			for n := range most + 1 {
				i8.Dot(cut(as, n), cut(bs, n))
				if n == 0 || 2*n > most {
					continue
				}
				for _, count := range []int{1, 4, 5, 8} {
					dst := kerneltest.Guarded[int32](t, count, atStart)
					i8.DotRows(dst, cut(as, n), cut(bs, 2*n), []uint32{1, 0, 1, 1, 0, 1, 0, 1}[:count])
				}
			}
		})
	}
}

func TestRows(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		for dim := 1; dim <= kerneltest.MaxLen; dim++ {
			const n = 6
			q, slab := make([]int8, dim), make([]int8, dim*n)
			kerneltest.Bytes(r, q)
			kerneltest.Bytes(r, slab)
			rows := make([]uint32, dim%14)
			for i := range rows {
				rows[i] = uint32(r.IntN(n))
			}
			dst := make([]int32, len(rows)+1)
			dst[len(rows)] = 42
			i8.DotRows(dst, q, slab, rows)
			for i, row := range rows {
				if want := reference(q, slab[int(row)*dim:int(row+1)*dim]); dst[i] != want {
					t.Fatalf("row %d of %d, dimension %d: %d, want %d", i, len(rows), dim, dst[i], want)
				}
			}
			if dst[len(rows)] != 42 {
				t.Fatal("wrote beyond its rows")
			}
		}
	})
}

// TestProgrammingErrors: wrong shapes panic, before anything is touched.
func TestProgrammingErrors(t *testing.T) {
	three, six := make([]int8, 3), make([]int8, 6)
	dst := make([]int32, 4)
	cases := map[string]func(){
		"Dot":           func() { i8.Dot(three, six) },
		"row beyond":    func() { i8.DotRows(dst, three, six, []uint32{0, 1, 0, 2}) },
		"row huge":      func() { i8.DotRows(dst, three, six, []uint32{math.MaxUint32}) },
		"partial row":   func() { i8.DotRows(dst, three, six[:5], []uint32{1}) },
		"destination":   func() { i8.DotRows(dst[:3], three, six, []uint32{0, 1, 0, 1}) },
		"no rows there": func() { i8.DotRows(dst, three, nil, []uint32{0}) },
	}
	kerneltest.EachTier(t, func(t *testing.T) {
		for name, f := range cases {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: no panic", name)
					}
				}()
				f()
			}()
		}
		i8.DotRows(dst, nil, six, []uint32{7})
		i8.DotRows(nil, three, six, nil)
	})
}

// FuzzTiers wants the very same result of every tier.
func FuzzTiers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{128, 128})
	f.Add([]byte("some bytes, which are as good as any others for this"))
	seed := make([]byte, 701)
	for i := range seed {
		seed[i] = byte(i*37 + i>>3)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		n := len(data) / 2
		a, b := make([]int8, n), make([]int8, n)
		for i := range n {
			a[i], b[i] = int8(data[i]), int8(data[n+i])
		}
		want := reference(a, b)
		for _, tier := range cpu.Supported() {
			restore, err := cpu.Force(tier)
			if err != nil {
				t.Fatal(err)
			}
			if got := i8.Dot(a, b); got != want {
				t.Errorf("tier %s: %d, want %d", tier, got, want)
			}
			restore()
		}
	})
}
