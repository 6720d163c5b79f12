package codes_test

import (
	"math"
	"testing"

	"github.com/vecino-db/vecino/kernels/codes"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// decoded computes in float64; where that lies within rounding of a half, the
// neighbouring integer is right too.
func decoded(code uint8, fine uint8, origin, bound, step, fineStep float32) (low, high uint8) {
	x := float64(origin) + float64(bound) + float64(step)*float64(code) + float64(fineStep)*float64(fine)
	slack := 1e-5 * (math.Abs(float64(origin)) + math.Abs(float64(bound)) + 15*math.Abs(float64(step)) + 255*math.Abs(float64(fineStep)) + 1)
	to := func(x float64) uint8 { return uint8(128 + math.RoundToEven(min(max(x, -127), 127))) }
	return to(x - slack), to(x + slack)
}

func TestDecodeEveryLength(t *testing.T) {
	results := map[int][]uint8{}
	const seed = 5
	kerneltest.EachTier(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		r := kerneltest.Fixed(seed)
		for dim := range kerneltest.MaxLen + 1 {
			code := kerneltest.Guarded[uint8](t, (dim+127)/128*64, false)
			fine := kerneltest.Guarded[uint8](t, dim, false)
			dst := kerneltest.Guarded[uint8](t, dim, false)
			origin := kerneltest.Guarded[float32](t, dim, false)
			fill(r, code)
			fill(r, fine)
			kerneltest.Normal(r, origin)
			for i := range origin {
				origin[i] *= 30
			}
			bound, step, fineStep := float32(r.NormFloat64()*60), float32(r.ExpFloat64()*8), float32(r.ExpFloat64()/30)
			codes.DecodeNibbles(dst, code, fine, origin, bound, step, fineStep)
			for i, got := range dst {
				b := code[i/128*64+i%64]
				if i%128 >= 64 {
					b >>= 4
				}
				if low, high := decoded(b&15, fine[i], origin[i], bound, step, fineStep); got < low || got > high {
					t.Fatalf("dimension %d of %d: %d, want %d..%d", i, dim, got, low, high)
				}
			}
			// All tiers agree to the bit.
			if before, ok := results[dim]; ok && string(before) != string(dst) {
				t.Fatalf("%d dimensions: differs from the generic tier", dim)
			}
			results[dim] = append([]uint8(nil), dst...)
		}
	})
}

func TestDecodeProgrammingErrors(t *testing.T) {
	b, f := make([]uint8, 128), make([]float32, 128)
	for name, run := range map[string]func(){
		"fine":   func() { codes.DecodeNibbles(b, b[:64], b[:127], f, 0, 1, 1) },
		"origin": func() { codes.DecodeNibbles(b, b[:64], b, f[:1], 0, 1, 1) },
		"code":   func() { codes.DecodeNibbles(b, b[:63], b, f, 0, 1, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			run()
		}()
	}
}
