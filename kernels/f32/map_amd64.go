//go:build !noasm

package f32

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/cpu"
)

func add(dst, b []float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		addAVX512(unsafe.SliceData(dst), unsafe.SliceData(b), len(dst))
	case cpu.AVX2:
		addAVX2(unsafe.SliceData(dst), unsafe.SliceData(b), len(dst))
	default:
		addGeneric(dst, b)
	}
}

func mul(dst, b []float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		mulAVX512(unsafe.SliceData(dst), unsafe.SliceData(b), len(dst))
	case cpu.AVX2:
		mulAVX2(unsafe.SliceData(dst), unsafe.SliceData(b), len(dst))
	default:
		mulGeneric(dst, b)
	}
}

func axpy(dst, b []float32, s float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		axpyAVX512(unsafe.SliceData(dst), unsafe.SliceData(b), len(dst), s)
	case cpu.AVX2:
		axpyAVX2(unsafe.SliceData(dst), unsafe.SliceData(b), len(dst), s)
	default:
		axpyGeneric(dst, b, s)
	}
}

func gelu(v []float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		geluAVX512(unsafe.SliceData(v), len(v))
	case cpu.AVX2:
		geluAVX2(unsafe.SliceData(v), len(v))
	default:
		geluGeneric(v)
	}
}

func silu(v []float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		siluAVX512(unsafe.SliceData(v), len(v))
	case cpu.AVX2:
		siluAVX2(unsafe.SliceData(v), len(v))
	default:
		siluGeneric(v)
	}
}

func geluTanh(v []float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		geluTanhAVX512(unsafe.SliceData(v), len(v))
	case cpu.AVX2:
		geluTanhAVX2(unsafe.SliceData(v), len(v))
	default:
		geluTanhGeneric(v)
	}
}

func softmax(v []float32, n int) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		softmaxAVX512(unsafe.SliceData(v), len(v)/n, n)
	case cpu.AVX2:
		softmaxAVX2(unsafe.SliceData(v), len(v)/n, n)
	default:
		softmaxGeneric(v, n)
	}
}

func sum(v []float32) float32 {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		return sumAVX512(unsafe.SliceData(v), len(v))
	case cpu.AVX2:
		return sumAVX2(unsafe.SliceData(v), len(v))
	}
	return sumGeneric(v)
}

func deviations(v []float32, mean float32) float32 {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		return deviationsAVX512(unsafe.SliceData(v), len(v), mean)
	case cpu.AVX2:
		return deviationsAVX2(unsafe.SliceData(v), len(v), mean)
	}
	return deviationsGeneric(v, mean)
}

func affine(v, gamma, beta []float32, mean, inverse float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		affineAVX512(unsafe.SliceData(v), unsafe.SliceData(gamma), unsafe.SliceData(beta), len(v), mean, inverse)
	case cpu.AVX2:
		affineAVX2(unsafe.SliceData(v), unsafe.SliceData(gamma), unsafe.SliceData(beta), len(v), mean, inverse)
	default:
		affineGeneric(v, gamma, beta, mean, inverse)
	}
}
