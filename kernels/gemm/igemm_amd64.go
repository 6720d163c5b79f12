//go:build !noasm

package gemm

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// The tier avx512 runs the AVX2 form: without VNNI wider registers gain little.

// integerLayout returns the columns of a panel and how many of k lie together.
func integerLayout(t cpu.Tier, k int) (width, group int) {
	switch t {
	case cpu.AVX512VNNI:
		return 32, 4
	case cpu.AVX512, cpu.AVX2:
		return 16, 2
	}
	return 1, k
}

// integerRows returns the rows of the largest tile.
func integerRows(t cpu.Tier) int {
	switch t {
	case cpu.AVX512VNNI:
		return 12
	case cpu.AVX512, cpu.AVX2:
		return 6
	}
	return genericRows
}

// unsignedRows reports whether rows are quantized to bytes with an offset of 128,
// rather than to signed words.
func unsignedRows(t cpu.Tier) bool { return t == cpu.AVX512VNNI }

func absMax(t cpu.Tier, v []float32) uint32 {
	switch t {
	case cpu.AVX512VNNI:
		return absMaxAVX512(unsafe.SliceData(v), len(v))
	case cpu.AVX512, cpu.AVX2:
		return absMaxAVX2(unsafe.SliceData(v), len(v))
	}
	return absMaxGeneric(v)
}

// quantizeBytes is called in the tier avx512vnni only.
func quantizeBytes(dst []uint8, v []float32, inverse float32) {
	whole := 0
	if inverse != 0 {
		whole = len(v) &^ 15
		quantizeBytesAVX512(unsafe.SliceData(dst), unsafe.SliceData(v), whole, inverse)
	}
	quantizeBytesGeneric(dst[whole:], v[whole:], inverse)
}

func quantizeWords(t cpu.Tier, dst []int16, v []float32, inverse float32) {
	whole := 0
	if t >= cpu.AVX2 && inverse != 0 {
		whole = len(v) &^ 7
		quantizeWordsAVX2(unsafe.SliceData(dst), unsafe.SliceData(v), whole, inverse)
	}
	quantizeWordsGeneric(dst[whole:], v[whole:], inverse)
}

func dequantize(t cpu.Tier, dst []float32, sums, correction []int32, scales []float32, scale float32) {
	switch t {
	case cpu.AVX512VNNI:
		dequantizeAVX512(&dst[0], &sums[0], &correction[0], &scales[0], len(dst), scale)
	case cpu.AVX512, cpu.AVX2:
		dequantizeAVX2(&dst[0], &sums[0], &correction[0], &scales[0], len(dst), scale)
	default:
		dequantizeGeneric(dst, sums, correction, scales, scale)
	}
}

// integerTiles sets rows of sums, at most integerRows and one panel wide, to the
// products of the quantized rows from i on and panel.
func integerTiles(b *PackedInt8, s *Scratch, i, rows int, panel []int8, sums []int32, ldc int) {
	if b.padded == 0 {
		for r := range rows {
			clear(sums[r*ldc : r*ldc+b.width])
		}
		return
	}
	_ = sums[(rows-1)*ldc+b.width-1]
	w, steps := &panel[0], b.padded/b.group
	switch b.tier {
	case cpu.AVX512VNNI:
		for r := 0; r < rows; {
			x, c := &s.bytes[(i+r)*b.padded], &sums[r*ldc]
			switch left := rows - r; {
			case left >= 12:
				integerTile12x32VNNI(x, b.padded, w, c, ldc, steps)
				r += 12
			case left >= 8:
				integerTile8x32VNNI(x, b.padded, w, c, ldc, steps)
				r += 8
			case left >= 4:
				integerTile4x32VNNI(x, b.padded, w, c, ldc, steps)
				r += 4
			case left >= 2:
				integerTile2x32VNNI(x, b.padded, w, c, ldc, steps)
				r += 2
			default:
				integerTile1x32VNNI(x, b.padded, w, c, ldc, steps)
				r++
			}
		}
	case cpu.AVX512, cpu.AVX2:
		for r := 0; r < rows; {
			x, c := (*byte)(unsafe.Pointer(&s.words[(i+r)*b.padded])), &sums[r*ldc]
			switch left := rows - r; {
			case left >= 6:
				integerTile6x16AVX2(x, 2*b.padded, w, c, ldc, steps)
				r += 6
			case left >= 4:
				integerTile4x16AVX2(x, 2*b.padded, w, c, ldc, steps)
				r += 4
			case left >= 2:
				integerTile2x16AVX2(x, 2*b.padded, w, c, ldc, steps)
				r += 2
			default:
				integerTile1x16AVX2(x, 2*b.padded, w, c, ldc, steps)
				r++
			}
		}
	default:
		integerTilesGeneric(s.words[i*b.padded:], b.padded, rows, panel, sums, ldc)
	}
}
