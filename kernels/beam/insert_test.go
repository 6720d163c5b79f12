package beam_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/kernels/beam"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// sorted is a beam that sorts all it has after every insert.
type sorted struct {
	items []uint64
	limit int
}

func (s *sorted) insert(keys, ids []uint32) (first int) {
	first = len(s.items)
	for i, key := range keys {
		if uint64(key) >= s.items[s.limit-1]>>32 {
			continue
		}
		item := uint64(key)<<32 | uint64(ids[i])<<1
		all := append(s.items, item)
		slices.Sort(all)
		s.items = all[:len(all)-1]
		first = min(first, slices.Index(s.items, item))
	}
	return first
}

func TestInsert(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		for places := 8; places <= 264; places += 8 {
			for _, limit := range []int{1, places - 7, places} {
				items := kerneltest.Guarded[uint64](t, places, places%16 == 0)
				for i := range items {
					items[i] = beam.Empty
				}
				want := sorted{slices.Clone(items), limit}
				id := uint32(r.IntN(1<<31 - 1<<16))
				for round := range 12 {
					n := round * r.IntN(8)
					keys, ids := kerneltest.Guarded[uint32](t, n, round%2 == 0), kerneltest.Guarded[uint32](t, n, round%3 == 0)
					for i := range keys {
						keys[i], ids[i] = draw(r), id
						id++
					}
					first, wanted := beam.Insert(items, limit, keys, ids), want.insert(keys, ids)
					if first != wanted || !slices.Equal(items, want.items) {
						t.Fatalf("%d keys into %d places limited to %d: first %d, want %d, beam\n%x, want\n%x", n, places, limit, first, wanted, items, want.items)
					}
					// Marks stay where they are, and don't change the order.
					at := r.IntN(places)
					items[at] |= 1
					want.items[at] |= 1
				}
			}
		}
	})
}

// draw is a key: small ones, great ones, and many that are equal.
func draw(r *rand.Rand) uint32 {
	switch r.IntN(4) {
	case 0:
		return uint32(r.IntN(5))
	case 1:
		return ^uint32(r.IntN(5))
	default:
		return r.Uint32()
	}
}

func TestProgrammingErrors(t *testing.T) {
	items, list := make([]uint64, 16), make([]uint32, 4)
	for name, f := range map[string]func(){
		"places": func() { beam.Insert(items[:15], 8, list, list) },
		"none":   func() { beam.Insert(items[:0], 0, nil, nil) },
		"limit":  func() { beam.Insert(items, 17, list, list) },
		"no":     func() { beam.Insert(items, 0, list, list) },
		"ids":    func() { beam.Insert(items, 8, list, list[:3]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func BenchmarkInsert(b *testing.B) {
	for _, places := range []int{16, 40, 200} {
		r := kerneltest.Fixed(1)
		const n = 48
		keys, ids := make([]uint32, 64*n), make([]uint32, n)
		for i := range keys {
			keys[i] = r.Uint32()
		}
		items := make([]uint64, places)
		b.Run(fmt.Sprint(places), func(b *testing.B) {
			kerneltest.EachTierB(b, func(b *testing.B) {
				for i := range b.N {
					if i%64 == 0 {
						for j := range items {
							items[j] = beam.Empty
						}
					}
					at := i % 64 * n
					beam.Insert(items, places, keys[at:at+n], ids)
				}
			})
		})
	}
}
