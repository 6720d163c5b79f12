package train

import (
	"math"

	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/gemm"
)

// contrast computes the loss of one batch, and its gradient.
//
// a and b (n x dim) are the sums of the token vectors of the queries and the
// documents. For each nested dimension d, with cosines over the first d
// components,
//
//	s[i][j] = cos(a[i], b[j]) / temperature
//	L_d     = sum over i of -log softmax(s[i][*])[i] / 2 - log softmax(s[*][i])[i] / 2
//
// and the loss is the mean of L_d. The inner products of the first d components
// are those of a smaller d and what is added, and the gradient of components
// that several losses share is one product with the sum of their coefficients:
// all three losses together cost the products of the largest alone.
type contrast struct {
	nested      []int
	dim         int
	temperature float64
	workers     workers

	n       int
	a, b    []float32 // n x dim
	da, db  []float32 // n x dim: the gradients
	dot     []float32 // n x n: inner products of the components so far
	h       [][]float32
	squares [2][]float64 // of a's and b's rows, of the components so far
	inverse [2][]float32 // 1/length of a's and b's rows
	shrink  [2][][]float32
	column  columns
	packed  gemm.Packed
	across  []float32 // a's part, transposed: width x n
	turned  []float32 // the transposed gradient of b's part
	losses  []float64 // of each row
}

// columns is what is summed over rows, in blocks of rows so that the order of
// the sums doesn't depend on the number of threads.
type columns struct {
	blocks [][]float32
	sum    []float32
	scale  []float32
	row    []float64 // r of each row
}

// rowBlock is the rows that one thread takes at a time.
const rowBlock = 64

func newContrast(o Options, dim int) *contrast {
	c := &contrast{nested: o.Nested, dim: dim, temperature: o.Temperature, workers: workers(o.Threads)}
	c.h = make([][]float32, len(o.Nested))
	for i := range c.shrink {
		c.shrink[i] = make([][]float32, len(o.Nested))
	}
	return c
}

// resize makes room for n pairs. Every element is written before it is read.
func (c *contrast) resize(n int) {
	c.n = n
	grow := func(s *[]float32, n int) { *s = room(*s, n) }
	for _, s := range []*[]float32{&c.a, &c.b, &c.da, &c.db} {
		grow(s, n*c.dim)
	}
	grow(&c.dot, n*n)
	widest := 0
	for k, d := range c.nested {
		grow(&c.h[k], n*n)
		widest = max(widest, d-c.from(k))
		for side := range c.shrink {
			grow(&c.shrink[side][k], n)
		}
	}
	for side := range 2 {
		c.squares[side] = room(c.squares[side], n)
		grow(&c.inverse[side], n)
	}
	grow(&c.across, widest*n)
	grow(&c.turned, widest*n)
	c.losses = room(c.losses, n)
	c.column.row = room(c.column.row, n)
	grow(&c.column.sum, n)
	grow(&c.column.scale, n)
	blocks := (n + rowBlock - 1) / rowBlock
	for len(c.column.blocks) < blocks {
		c.column.blocks = append(c.column.blocks, nil)
	}
	for i := range blocks {
		grow(&c.column.blocks[i], n)
	}
}

// room is a slice of n elements in the memory of s, where that suffices.
func room[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// from is the first component that nested dimension k adds.
func (c *contrast) from(k int) int {
	if k == 0 {
		return 0
	}
	return c.nested[k-1]
}

// run computes the gradients da and db of the loss, and gives the loss a pair.
func (c *contrast) run() float64 {
	clear(c.squares[0])
	clear(c.squares[1])
	total := 0.0
	for k := range c.nested {
		c.extend(k)
		total += c.level(k)
	}
	for k := len(c.nested) - 1; k >= 0; k-- {
		c.gradient(k)
		if k > 0 {
			c.workers.blocks(c.n, rowBlock, func(_, from, to int) {
				f32.Add(c.h[k-1][from*c.n:to*c.n], c.h[k][from*c.n:to*c.n])
			})
			for side := range 2 {
				f32.Add(c.shrink[side][k-1], c.shrink[side][k])
			}
		}
	}
	return total / float64(len(c.nested)) / float64(c.n)
}

// extend adds the components of level k to the inner products and lengths.
func (c *contrast) extend(k int) {
	from, to := c.from(k), c.nested[k]
	c.packed.RepackT(c.b[from:], c.n, to-from, c.dim)
	c.workers.blocks(c.n, rowBlock, func(_, first, last int) {
		dst := c.dot[first*c.n:]
		var e gemm.Epilogue
		if k > 0 {
			e = gemm.Epilogue{Residual: dst, ResidualStride: c.n}
		}
		gemm.Mul(dst, c.n, c.a[first*c.dim+from:], c.dim, last-first, &c.packed, e)
		for side, rows := range [][]float32{c.a, c.b} {
			for i := first; i < last; i++ {
				part := rows[i*c.dim+from : i*c.dim+to]
				c.squares[side][i] += float64(f32.Dot(part, part))
				// A zero row has no direction: nothing pulls at it.
				c.inverse[side][i] = 0
				if s := c.squares[side][i]; s > minSquare {
					c.inverse[side][i] = float32(1 / math.Sqrt(s))
				}
			}
		}
	})
}

// minSquare is the squared length below which a row counts as zero.
const minSquare = 1e-30

// level computes the loss of level k and h[k], its derivatives by the inner
// products, and shrink, the coefficients of each row itself.
func (c *contrast) level(k int) float64 {
	n, h := c.n, c.h[k]
	scaled := c.column.scale // 1/(length of b's row * temperature)
	for j, inv := range c.inverse[1] {
		scaled[j] = inv / float32(c.temperature)
	}
	// Rows: softmax, and each row's share of the columns' sums. With z the log of
	// a row's sum of exponentials, exp(s - 1/temperature) is the row's softmax
	// times exp(z - 1/temperature), and no cosine is above 1.
	c.workers.blocks(n, rowBlock, func(block, first, last int) {
		sum := c.column.blocks[block]
		clear(sum)
		for i := first; i < last; i++ {
			p := h[i*n : (i+1)*n]
			copy(p, c.dot[i*n:(i+1)*n])
			f32.Mul(p, scaled)
			f32.Scale(p, c.inverse[0][i])
			own := float64(p[i])
			f32.Softmax(p)
			logOwn := math.Log(float64(p[i]))
			c.losses[i] = -logOwn
			c.column.row[i] = math.Exp(own - logOwn - 1/c.temperature)
			f32.Axpy(sum, float32(c.column.row[i]), p)
		}
	})
	sum := c.column.sum
	clear(sum)
	for block := range (n + rowBlock - 1) / rowBlock {
		f32.Add(sum, c.column.blocks[block])
	}
	loss := 0.0
	for i := range n {
		own := float64(h[i*n+i]) * c.column.row[i] / float64(sum[i])
		loss += (c.losses[i] - math.Log(own)) / 2
		sum[i] = 1 / sum[i]
	}
	c.derive(k)
	return loss
}

// derive turns the softmaxes in h[k] into the derivatives by inner products.
func (c *contrast) derive(k int) {
	n, h := c.n, c.h[k]
	weight := float32(1 / (2 * c.temperature * float64(len(c.nested))))
	c.workers.blocks(n, rowBlock, func(block, first, last int) {
		own := c.column.blocks[block] // sums over the block's rows of derivative times cosine, a column
		clear(own)
		work := make([]float32, n)
		for i := first; i < last; i++ {
			p := h[i*n : (i+1)*n]
			copy(work, p)
			f32.Mul(work, c.column.sum)
			f32.Axpy(p, float32(c.column.row[i]), work)
			p[i] -= 2
			f32.Mul(p, c.inverse[1])
			f32.Scale(p, weight*c.inverse[0][i])
			copy(work, c.dot[i*n:(i+1)*n])
			f32.Mul(work, p)
			f32.Add(own, work)
			along := f32.Dot(p, c.dot[i*n:(i+1)*n])
			c.shrink[0][k][i] = along * c.inverse[0][i] * c.inverse[0][i]
		}
	})
	along := c.shrink[1][k]
	clear(along)
	for block := range (n + rowBlock - 1) / rowBlock {
		f32.Add(along, c.column.blocks[block])
	}
	f32.Mul(along, c.inverse[1])
	f32.Mul(along, c.inverse[1])
}

// gradient computes the gradients by the components that level k adds, of the
// losses of level k and those above, whose h and shrink have been added to k's.
func (c *contrast) gradient(k int) {
	n, from, to := c.n, c.from(k), c.nested[k]
	width, h := to-from, c.h[k]
	// da = h * b
	c.packed.Repack(c.b[from:], n, width, c.dim)
	c.workers.blocks(n, rowBlock, func(_, first, last int) {
		gemm.Mul(c.da[first*c.dim+from:], c.dim, h[first*n:], n, last-first, &c.packed, gemm.Epilogue{})
	})
	// db = transposed h * a, as the transpose of transposed a * h
	for i := range n {
		for j, x := range c.a[i*c.dim+from : i*c.dim+to] {
			c.across[j*n+i] = x
		}
	}
	c.packed.Repack(h, n, n, n)
	c.workers.blocks(width, 12, func(_, first, last int) {
		gemm.Mul(c.turned[first*n:], n, c.across[first*n:], n, last-first, &c.packed, gemm.Epilogue{})
	})
	c.workers.blocks(n, rowBlock, func(_, first, last int) {
		for i := first; i < last; i++ {
			db := c.db[i*c.dim+from : i*c.dim+to]
			for j := range db {
				db[j] = c.turned[j*n+i]
			}
			f32.Axpy(c.da[i*c.dim+from:i*c.dim+to], -c.shrink[0][k][i], c.a[i*c.dim+from:i*c.dim+to])
			f32.Axpy(db, -c.shrink[1][k][i], c.b[i*c.dim+from:i*c.dim+to])
		}
	})
}
