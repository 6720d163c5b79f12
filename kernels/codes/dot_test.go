package codes_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/vecino-db/vecino/kernels/codes"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// kernel is one of the three, beside a reference that knows nothing of it.
type kernel struct {
	name  string
	unit  int // dimensions come in multiples of it
	bytes func(dim int) int
	run   func(dst []int32, q []int8, slab []uint8, stride int, rows []uint32)
	want  func(q []int8, row []uint8) int64
}

func kernels() []kernel {
	same := func(dim int) int { return dim }
	return []kernel{
		{"DotRows", 1, same, codes.DotRows, func(q []int8, row []uint8) (s int64) {
			for i, x := range q {
				s += int64(x) * int64(row[i])
			}
			return s
		}},
		{"PairRows", 1, same, func(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
			code := make([]uint8, len(q))
			for i, x := range q {
				code[i] = uint8(int(x) + 128)
			}
			codes.PairRows(dst, code, slab, stride, rows)
		}, func(q []int8, row []uint8) (s int64) {
			for i, x := range q {
				s += int64(x) * int64(row[i])
			}
			return s
		}},
		{"PairNear", 1, same, func(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
			code := make([]uint8, len(q))
			for i, x := range q {
				code[i] = uint8(int(x) + 128)
			}
			codes.PairNear(dst, code, slab, stride, rows)
		}, func(q []int8, row []uint8) (s int64) {
			for i, x := range q {
				s += int64(x) * int64(row[i])
			}
			return s
		}},
		{"NibbleRows", codes.Block, func(dim int) int { return dim / 2 }, codes.NibbleRows, func(q []int8, row []uint8) (s int64) {
			for i, x := range q {
				b := row[i/128*64+i%64]
				if i%128 >= 64 {
					b >>= 4
				}
				s += int64(x) * int64(b&15)
			}
			return s
		}},
	}
}

func fill(r *rand.Rand, slab []uint8) {
	for i := range slab {
		switch r.IntN(6) {
		case 0:
			slab[i] = 255
		case 1:
			slab[i] = 0
		default:
			slab[i] = uint8(r.Uint32())
		}
	}
}

// TestRows tries every length, several strides and counts of rows.
func TestRows(t *testing.T) {
	for _, k := range kernels() {
		t.Run(k.name, func(t *testing.T) {
			kerneltest.EachTier(t, func(t *testing.T) {
				r := kerneltest.Rand(t)
				for dim := 0; dim <= max(kerneltest.MaxLen, 20*k.unit); dim += k.unit {
					const n = 6
					size := k.bytes(dim)
					stride := size + []int{0, 1, 8, 64}[dim/k.unit%4]
					q := make([]int8, dim)
					slab := make([]uint8, stride*(n-1)+size)
					kerneltest.Bytes(r, q)
					fill(r, slab)
					for _, count := range []int{dim / k.unit % 14, 4, 1} {
						rows := make([]uint32, count)
						for i := range rows {
							rows[i] = uint32(r.IntN(n))
						}
						dst := make([]int32, count+1)
						dst[count] = 42
						k.run(dst, q, slab, stride, rows)
						for i, row := range rows {
							at := int(row) * stride
							if want := int32(k.want(q, slab[at:at+size])); dst[i] != want {
								t.Fatalf("row %d of %d, %d dimensions, stride %d: %d, want %d", i, count, dim, stride, dst[i], want)
							}
						}
						if dst[count] != 42 {
							t.Fatal("wrote beyond its rows")
						}
					}
				}
			})
		})
	}
}

// TestExtremes has only the numbers whose products and sums are greatest.
func TestExtremes(t *testing.T) {
	const most = 65536
	q, slab := make([]int8, most), make([]uint8, most)
	dst := make([]int32, 4)
	for _, k := range kernels() {
		for _, x := range []int8{-128, 127} {
			for _, y := range []uint8{255, 128} {
				for i := range q {
					q[i], slab[i] = x, y
				}
				kerneltest.EachTier(t, func(t *testing.T) {
					for dim := k.unit; dim <= most; dim *= 2 {
						size := k.bytes(dim)
						k.run(dst, q[:dim], slab[:size], size, []uint32{0, 0, 0, 0})
						for _, got := range dst {
							if want := k.want(q[:dim], slab); int64(got) != want {
								t.Fatalf("%s of %d dimensions of %d and %d: %d, want %d", k.name, dim, x, y, got, want)
							}
						}
					}
				})
			}
		}
	}
}

// TestGuarded runs the kernels against pages that fault on either side.
func TestGuarded(t *testing.T) {
	const most, n = 700, 3
	for _, atStart := range []bool{false, true} {
		qs := kerneltest.Guarded[int8](t, most, atStart)
		slabs := kerneltest.Guarded[uint8](t, n*most, atStart)
		fill(kerneltest.Rand(t), slabs)
		for _, k := range kernels() {
			kerneltest.EachTier(t, func(t *testing.T) {
				for dim := k.unit; dim <= most; dim += k.unit {
					size := k.bytes(dim)
					q, slab := qs[most-dim:], slabs[n*(most-size):]
					if atStart {
						q, slab = qs[:dim:dim], slabs[:n*size:n*size]
					}
					for _, count := range []int{1, 3, 4, 5, 8} {
						dst := kerneltest.Guarded[int32](t, count, atStart)
						k.run(dst, q, slab, size, []uint32{2, 0, 1, 2, 2, 1, 0, 2}[:count])
					}
					if dim > 140 && k.unit == 1 {
						dim += 22
					}
				}
			})
		}
	}
}

// TestProgrammingErrors: wrong shapes panic, before anything is touched.
func TestProgrammingErrors(t *testing.T) {
	q, slab := make([]int8, 128), make([]uint8, 3*128)
	dst := make([]int32, 4)
	kerneltest.EachTier(t, func(t *testing.T) {
		for _, k := range kernels() {
			size := k.bytes(128)
			for name, f := range map[string]func(){
				"row beyond":  func() { k.run(dst, q, slab[:3*size], size, []uint32{0, 3}) },
				"row huge":    func() { k.run(dst, q, slab, size, []uint32{math.MaxUint32}) },
				"row partial": func() { k.run(dst, q, slab[:3*size-1], size, []uint32{2}) },
				"destination": func() { k.run(dst[:1], q, slab, size, []uint32{0, 1}) },
				"stride":      func() { k.run(dst, q, slab, size-1, []uint32{0}) },
				"no slab":     func() { k.run(dst, q, nil, size, []uint32{0}) },
			} {
				func() {
					defer func() {
						if recover() == nil {
							t.Errorf("%s: %s: no panic", k.name, name)
						}
					}()
					f()
				}()
			}
			k.run(nil, q, slab, size, nil)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a part of a block: no panic")
				}
			}()
			codes.NibbleRows(dst, q[:100], slab, 64, []uint32{0})
		}()
	})
}
