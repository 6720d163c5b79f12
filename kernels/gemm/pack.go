package gemm

import (
	"fmt"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// Packed is the right side of a product, in the layout of one tier: the one that
// was active when it was packed, which then also computes with it. Safe for
// concurrent use while nobody repacks it.
type Packed struct {
	k, n  int
	width int // columns of a panel
	tier  cpu.Tier
	data  []float32 // panels, each k x width
}

// Shape returns the rows and columns of the matrix that was packed.
func (p *Packed) Shape() (k, n int) { return p.k, p.n }

// PackB packs b, k x n with row stride ldb >= n.
func PackB(b []float32, k, n, ldb int) *Packed {
	p := &Packed{}
	p.Repack(b, k, n, ldb)
	return p
}

// PackBT packs the transpose of bt, which is n x k with row stride ldb >= k: the
// layout in which linear layers store their weights (output x input).
func PackBT(bt []float32, n, k, ldb int) *Packed {
	p := &Packed{}
	p.RepackT(bt, n, k, ldb)
	return p
}

// Repack is PackB into a Packed that exists, whose memory is used again when it
// suffices.
func (p *Packed) Repack(b []float32, k, n, ldb int) {
	checkMatrix("PackB", "b", len(b), k, n, ldb)
	p.reset(k, n)
	w := p.width
	for j := 0; j < n; j += w {
		panel := p.data[j*k : (j+w)*k]
		cols := min(w, n-j)
		for i := range k {
			row, from := panel[i*w:(i+1)*w], b[i*ldb+j:i*ldb+j+cols]
			if cols == maxWidth {
				*(*[maxWidth]float32)(row) = [maxWidth]float32(from)
				continue
			}
			clear(row[copy(row, from):])
		}
	}
}

// RepackT is PackBT into a Packed that exists, whose memory is used again when it
// suffices.
func (p *Packed) RepackT(bt []float32, n, k, ldb int) {
	checkMatrix("PackBT", "bt", len(bt), n, k, ldb)
	p.reset(k, n)
	if k == 0 {
		return
	}
	w := p.width
	for j := 0; j < n; j += w {
		panel := p.data[j*k : (j+w)*k]
		if n-j < w {
			clear(panel)
		}
		for c := 0; c < min(w, n-j); {
			rows := bt[(j+c)*ldb:]
			left := min(w, n-j) - c
			done, width := 0, min(left, 4)
			if left >= 8 {
				if done = transposed(p.tier, panel[c:], w, rows, ldb, k); done > 0 {
					width = 8
				}
			}
			if done < k {
				transposeGeneric(panel[done*w+c:], w, rows[done:], ldb, width, k-done)
			}
			c += width
		}
	}
}

// transposeGeneric is the reference: it packs rows of k elements as columns of a
// panel, four at a time, so that what is written lies together.
func transposeGeneric(panel []float32, width int, bt []float32, ldb, rows, k int) {
	for ; rows >= 4; rows -= 4 {
		r0, r1, r2, r3 := bt[:k], bt[ldb:ldb+k], bt[2*ldb:2*ldb+k], bt[3*ldb:3*ldb+k]
		for i, x := range r0 {
			to := panel[i*width:][:4]
			to[0], to[1], to[2], to[3] = x, r1[i], r2[i], r3[i]
		}
		if rows == 4 {
			return
		}
		panel, bt = panel[4:], bt[4*ldb:]
	}
	for r := range rows {
		for i, x := range bt[r*ldb : r*ldb+k] {
			panel[i*width+r] = x
		}
	}
}

// reset sizes p for a k x n matrix of the active tier.
func (p *Packed) reset(k, n int) {
	p.k, p.n, p.tier = k, n, cpu.Active()
	p.width = panelWidth(p.tier)
	size := (n + p.width - 1) / p.width * p.width * k
	if cap(p.data) < size {
		p.data = make([]float32, size)
	}
	p.data = p.data[:size]
}

// checkMatrix panics unless rows x cols of the given stride lie within length.
func checkMatrix(op, name string, length, rows, cols, stride int) {
	if rows < 0 || cols < 0 || stride < cols {
		panic(fmt.Sprintf("gemm: %s: %s of %d x %d with row stride %d", op, name, rows, cols, stride))
	}
	if rows > 0 && (rows-1)*stride+cols > length {
		panic(fmt.Sprintf("gemm: %s: %s of %d x %d with row stride %d lies beyond its %d elements", op, name, rows, cols, stride, length))
	}
}
