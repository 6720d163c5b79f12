//go:build !noasm

package gemm

import "github.com/vecino-db/vecino/kernels/cpu"

// panelWidth returns the columns of a panel.
func panelWidth(t cpu.Tier) int {
	if t == cpu.NEON {
		return 8
	}
	return genericWidth
}

// tileRows returns the rows of the largest tile.
func tileRows(t cpu.Tier) int {
	if t == cpu.NEON {
		return 8
	}
	return genericRows
}

// tiles computes rows, at most tileRows, of one panel's width, with as few tiles
// as there are.
func tiles(t cpu.Tier, dst []float32, ldc int, a []float32, lda, rows int, panel []float32, depth int, d addend) {
	if t != cpu.NEON {
		tileGeneric(dst, ldc, a, lda, rows, panel, depth, d)
		return
	}
	// The furthest elements that the kernels touch, so that a mistake in the
	// loops above is a panic and never a stray access.
	_, _ = dst[(rows-1)*ldc+panelWidth(t)-1], a[(rows-1)*lda+depth-1]
	d.check(rows, panelWidth(t))
	b := &panel[0]
	for r := 0; r < rows; {
		c, x, p := &dst[r*ldc], &a[r*lda], d.row(r)
		switch left := rows - r; {
		case left >= 8:
			tile8x8NEON(x, lda, b, c, ldc, depth, p, d.stride)
			r += 8
		case left >= 4:
			tile4x8NEON(x, lda, b, c, ldc, depth, p, d.stride)
			r += 4
		case left >= 2:
			tile2x8NEON(x, lda, b, c, ldc, depth, p, d.stride)
			r += 2
		default:
			tile1x8NEON(x, lda, b, c, ldc, depth, p, d.stride)
			r++
		}
	}
}
