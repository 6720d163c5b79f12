package radix

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestTableIsAMap(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var table Table
	want := map[uint32]uint32{}
	for range 20000 {
		ordinal := rng.Uint32() >> rng.UintN(32)
		value := rng.Uint32N(3)
		if rng.IntN(3) == 0 {
			old := rng.Uint32N(3)
			if got := table.CompareAndSwap(ordinal, old, value); got != (old == want[ordinal]) {
				t.Fatalf("CompareAndSwap(%d, %d) of %d gave %t", ordinal, old, want[ordinal], got)
			} else if !got {
				continue
			}
		} else if got := table.Swap(ordinal, value); got != want[ordinal] {
			t.Fatalf("Swap(%d) gave %d, want %d", ordinal, got, want[ordinal])
		}
		want[ordinal] = value
	}
	for ordinal, value := range want {
		if got := table.Get(ordinal); got != value {
			t.Errorf("Get(%d) = %d, want %d", ordinal, got, value)
		}
	}
	if got := table.Get(1<<32 - 1); got != want[1<<32-1] {
		t.Errorf("the last ordinal: %d", got)
	}
}

func TestConcurrentSwapsLoseNothing(t *testing.T) {
	var table Table
	var wg sync.WaitGroup
	const n = 5000
	for w := range 4 {
		wg.Go(func() {
			for i := range uint32(n) {
				table.Swap(i*4096+uint32(w), i+1)
			}
		})
	}
	wg.Wait()
	for i := range uint32(n) {
		for w := range uint32(4) {
			if got := table.Get(i*4096 + w); got != i+1 {
				t.Fatalf("ordinal %d: %d, want %d", i*4096+w, got, i+1)
			}
		}
	}
}
