//go:build !noasm

package f32

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// fours returns how many elements the NEON kernels take: whole vectors. The rest
// is done by the reference.
func fours(n int) int {
	if cpu.Active() == cpu.NEON {
		return n &^ 3
	}
	return 0
}

func add(dst, b []float32) {
	n := fours(len(dst))
	if n > 0 {
		addNEON(unsafe.SliceData(dst), unsafe.SliceData(b), n)
	}
	addGeneric(dst[n:], b[n:])
}

func mul(dst, b []float32) {
	n := fours(len(dst))
	if n > 0 {
		mulNEON(unsafe.SliceData(dst), unsafe.SliceData(b), n)
	}
	mulGeneric(dst[n:], b[n:])
}

func axpy(dst, b []float32, s float32) {
	n := fours(len(dst))
	if n > 0 {
		axpyNEON(unsafe.SliceData(dst), unsafe.SliceData(b), n, s)
	}
	axpyGeneric(dst[n:], b[n:], s)
}

func gelu(v []float32) {
	n := fours(len(v))
	if n > 0 {
		geluNEON(unsafe.SliceData(v), n)
	}
	geluGeneric(v[n:])
}

func silu(v []float32) {
	n := fours(len(v))
	if n > 0 {
		siluNEON(unsafe.SliceData(v), n)
	}
	siluGeneric(v[n:])
}

func geluTanh(v []float32) {
	n := fours(len(v))
	if n > 0 {
		geluTanhNEON(unsafe.SliceData(v), n)
	}
	geluTanhGeneric(v[n:])
}

func softmax(v []float32, n int) {
	for ; len(v) > 0; v = v[n:] {
		row := v[:n]
		scale(row, 1/expSum(row, maximum(row)))
	}
}

func maximum(v []float32) float32 {
	n := fours(len(v))
	top := maximumGeneric(v[n:])
	if n > 0 {
		top = max(top, maximumNEON(unsafe.SliceData(v), n))
	}
	return top
}

func expSum(v []float32, top float32) float32 {
	n := fours(len(v))
	total := expSumGeneric(v[n:], top)
	if n > 0 {
		total += expSumNEON(unsafe.SliceData(v), n, top)
	}
	return total
}

func sum(v []float32) float32 {
	n := fours(len(v))
	total := sumGeneric(v[n:])
	if n > 0 {
		total += sumNEON(unsafe.SliceData(v), n)
	}
	return total
}

func deviations(v []float32, mean float32) float32 {
	n := fours(len(v))
	total := deviationsGeneric(v[n:], mean)
	if n > 0 {
		total += deviationsNEON(unsafe.SliceData(v), n, mean)
	}
	return total
}

func affine(v, gamma, beta []float32, mean, inverse float32) {
	n := fours(len(v))
	if n > 0 {
		affineNEON(unsafe.SliceData(v), unsafe.SliceData(gamma), unsafe.SliceData(beta), n, mean, inverse)
	}
	affineGeneric(v[n:], gamma[n:], beta[n:], mean, inverse)
}
