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

func addGELU(v, bias []float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		addGELUAVX512(unsafe.SliceData(v), unsafe.SliceData(bias), len(v))
	case cpu.AVX2:
		addGELUAVX2(unsafe.SliceData(v), unsafe.SliceData(bias), len(v))
	default:
		addGELUGeneric(v, bias)
	}
}

func maximum(v []float32) float32 {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		return maximumAVX512(unsafe.SliceData(v), len(v))
	case cpu.AVX2:
		return maximumAVX2(unsafe.SliceData(v), len(v))
	}
	return maximumGeneric(v)
}

func expSum(v []float32, top float32) float32 {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		return expSumAVX512(unsafe.SliceData(v), len(v), top)
	case cpu.AVX2:
		return expSumAVX2(unsafe.SliceData(v), len(v), top)
	}
	return expSumGeneric(v, top)
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
