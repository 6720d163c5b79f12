package codes_test

import (
	"cmp"
	"encoding/binary"
	"math"
	"testing"

	"github.com/vecino-db/vecino/kernels/codes"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

func TestKeyIsAscendingAsScoresDescend(t *testing.T) {
	scores := []float32{float32(math.Inf(1)), math.MaxFloat32, 2, 1, 1e-40, 0, float32(math.Copysign(0, -1)), -1e-40, -1, -3, float32(math.Inf(-1))}
	for i := range scores[1:] {
		if codes.Key(scores[i]) >= codes.Key(scores[i+1]) {
			t.Errorf("keys of %g and %g: %x, %x", scores[i], scores[i+1], codes.Key(scores[i]), codes.Key(scores[i+1]))
		}
	}
	r := kerneltest.Rand(t)
	for range 1000 {
		a, b := float32(r.NormFloat64()), float32(r.NormFloat64())
		if cmp.Compare(codes.Key(a), codes.Key(b)) != cmp.Compare(b, a) {
			t.Fatalf("keys of %g and %g", a, b)
		}
	}
}

// TestKeys wants the keys of what DotRows and NibbleRows give, against pages
// that fault on either side.
func TestKeys(t *testing.T) {
	const n = 9
	for _, atStart := range []bool{false, true} {
		kerneltest.EachTier(t, func(t *testing.T) {
			r := kerneltest.Rand(t)
			for dim := 1; dim < 400; dim += 1 + dim/20 {
				for _, nibbles := range []bool{false, true} {
					size, length := dim, dim
					if nibbles {
						length = dim * codes.Block
						if length > 2048 {
							continue
						}
						size = length/2 + codes.Trailer
					}
					stride := size + []int{0, 3, 8}[dim%3]
					q := kerneltest.Guarded[int8](t, length, atStart)
					slab := kerneltest.Guarded[uint8](t, stride*(n-1)+size, atStart)
					kerneltest.Bytes(r, q)
					fill(r, slab)
					offset, sum, factor := float32(r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64()/100)
					shift := int32(r.IntN(1<<20) - 1<<19)
					if nibbles {
						for i := range n {
							trailer := slab[i*stride+length/2:]
							binary.LittleEndian.PutUint32(trailer, math.Float32bits(float32(r.NormFloat64())))
							binary.LittleEndian.PutUint32(trailer[4:], math.Float32bits(float32(r.ExpFloat64())))
						}
					}
					count := r.IntN(14)
					rows := kerneltest.Guarded[uint32](t, count, atStart)
					for i := range rows {
						rows[i] = uint32(r.IntN(n))
					}
					dots := make([]int32, count)
					keys := kerneltest.Guarded[uint32](t, count, atStart)
					if nibbles {
						codes.NibbleRows(dots, q, slab, stride, rows)
						codes.NibbleKeys(keys, q, slab, stride, rows, offset, sum, factor)
					} else {
						codes.DotRows(dots, q, slab, stride, rows)
						codes.DotKeys(keys, q, slab, stride, rows, shift, factor)
					}
					for i, d := range dots {
						score := float32(factor * float32(d-shift))
						if nibbles {
							trailer := slab[int(rows[i])*stride+length/2:]
							bound := math.Float32frombits(binary.LittleEndian.Uint32(trailer))
							step := math.Float32frombits(binary.LittleEndian.Uint32(trailer[4:]))
							scaled := float32(step * float32(factor*float32(d)))
							score = float32(offset + float32(float32(bound*sum)+scaled))
						}
						if keys[i] != codes.Key(score) {
							t.Fatalf("nibbles %v, row %d of %d, %d dimensions: key %x, want %x", nibbles, i, count, length, keys[i], codes.Key(score))
						}
					}
				}
			}
		})
	}
}

// TestFetch: it changes nothing, and takes no row that isn't there.
func TestFetch(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		for size := 1; size < 300; size += 37 {
			slab := kerneltest.Guarded[uint8](t, 3*size, size%2 == 0)
			codes.Fetch(slab, size, size, []uint32{2, 0, 1})
			codes.Fetch(slab, size, size, nil)
			func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				codes.Fetch(slab, size, size, []uint32{3})
			}()
		}
	})
}
