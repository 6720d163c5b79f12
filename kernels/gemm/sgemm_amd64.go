//go:build !noasm

package gemm

import "github.com/vecino-db/vecino/kernels/cpu"

// panelWidth returns the columns of a panel.
func panelWidth(t cpu.Tier) int {
	switch t {
	case cpu.AVX512, cpu.AVX512VNNI:
		return 32
	case cpu.AVX2:
		return 16
	}
	return genericWidth
}

// tileRows returns the rows of the largest tile.
func tileRows(t cpu.Tier) int {
	switch t {
	case cpu.AVX512, cpu.AVX512VNNI:
		return 12
	case cpu.AVX2:
		return 6
	}
	return genericRows
}

// tiles computes rows, at most tileRows, of one panel's width, with as few tiles
// as there are.
func tiles(t cpu.Tier, dst []float32, ldc int, a []float32, lda, rows int, panel []float32, depth int, d addend) {
	// The furthest elements that the kernels touch, so that a mistake in the
	// loops above is a panic and never a stray access.
	_, _ = dst[(rows-1)*ldc+panelWidth(t)-1], a[(rows-1)*lda+depth-1]
	d.check(rows, panelWidth(t))
	b := &panel[0]
	switch t {
	case cpu.AVX512, cpu.AVX512VNNI:
		for r := 0; r < rows; {
			c, x, p := &dst[r*ldc], &a[r*lda], d.row(r)
			switch left := rows - r; {
			case left >= 12:
				tile12x32AVX512(x, lda, b, c, ldc, depth, p, d.stride)
				r += 12
			case left >= 8:
				tile8x32AVX512(x, lda, b, c, ldc, depth, p, d.stride)
				r += 8
			case left >= 4:
				tile4x32AVX512(x, lda, b, c, ldc, depth, p, d.stride)
				r += 4
			case left >= 2:
				tile2x32AVX512(x, lda, b, c, ldc, depth, p, d.stride)
				r += 2
			default:
				tile1x32AVX512(x, lda, b, c, ldc, depth, p, d.stride)
				r++
			}
		}
	case cpu.AVX2:
		for r := 0; r < rows; {
			c, x, p := &dst[r*ldc], &a[r*lda], d.row(r)
			switch left := rows - r; {
			case left >= 6:
				tile6x16AVX2(x, lda, b, c, ldc, depth, p, d.stride)
				r += 6
			case left >= 4:
				tile4x16AVX2(x, lda, b, c, ldc, depth, p, d.stride)
				r += 4
			case left >= 2:
				tile2x16AVX2(x, lda, b, c, ldc, depth, p, d.stride)
				r += 2
			default:
				tile1x16AVX2(x, lda, b, c, ldc, depth, p, d.stride)
				r++
			}
		}
	default:
		tileGeneric(dst, ldc, a, lda, rows, panel, depth, d)
	}
}
