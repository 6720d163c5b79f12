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

// integerTiles sets rows of dst, at most integerRows and one panel wide, to the
// products of the quantized rows from i on and the panel that begins at column j,
// in floats, plus d.
func integerTiles(b *PackedInt8, s *Scratch, i, rows, j int, dst []float32, ldc int, d addend) {
	panel := b.data[j*b.padded:][:b.width*b.padded]
	if b.tier < cpu.AVX2 || b.padded == 0 {
		integerTilesGeneric(b, s, i, rows, j, dst, ldc, d)
		return
	}
	// The furthest elements that the kernels touch.
	_, _, _, _ = dst[(rows-1)*ldc+b.width-1], s.scales[i+rows-1], b.offsets[j+b.width-1], b.scales[j+b.width-1]
	d.check(rows, b.width)
	w, steps, offsets, scales := &panel[0], b.padded/b.group, &b.offsets[j], &b.scales[j]
	for r := 0; r < rows; {
		c, scale, p := &dst[r*ldc], &s.scales[i+r], d.row(r)
		left := rows - r
		if b.tier == cpu.AVX512VNNI {
			x := &s.bytes[(i+r)*b.padded]
			switch {
			case left >= 12:
				integerTile12x32VNNI(x, b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
				r += 12
			case left >= 8:
				integerTile8x32VNNI(x, b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
				r += 8
			case left >= 4:
				integerTile4x32VNNI(x, b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
				r += 4
			case left >= 2:
				integerTile2x32VNNI(x, b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
				r += 2
			default:
				integerTile1x32VNNI(x, b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
				r++
			}
			continue
		}
		x := (*byte)(unsafe.Pointer(&s.words[(i+r)*b.padded]))
		switch {
		case left >= 6:
			integerTile6x16AVX2(x, 2*b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
			r += 6
		case left >= 4:
			integerTile4x16AVX2(x, 2*b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
			r += 4
		case left >= 2:
			integerTile2x16AVX2(x, 2*b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
			r += 2
		default:
			integerTile1x16AVX2(x, 2*b.padded, w, c, ldc, steps, scale, offsets, scales, p, d.stride)
			r++
		}
	}
}
