package bridge

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/gemm"
)

// training are the pairs of a fit, each space's mean taken off.
type training struct {
	n, p, q      int
	x, y         []float32 // row-major, n x p and n x q
	meanX, meanY []float64
}

func newTraining(pairs Pairs, rows []int) *training {
	t := &training{n: len(rows), p: pairs.From.Dim(), q: pairs.To.Dim()}
	t.x, t.meanX = centred(pairs.From, rows)
	t.y, t.meanY = centred(pairs.To, rows)
	return t
}

// centred copies rows and takes their mean off.
func centred(v compat.Vectors, rows []int) (out []float32, mean []float64) {
	mean = make([]float64, v.Dim())
	for _, i := range rows {
		for j, x := range v.Row(i) {
			mean[j] += float64(x) / float64(len(rows))
		}
	}
	out = make([]float32, 0, len(rows)*v.Dim())
	for _, i := range rows {
		for j, x := range v.Row(i) {
			out = append(out, float32(float64(x)-mean[j]))
		}
	}
	return out, mean
}

// fitted is one map: W transposed and the shift.
type fitted struct {
	method         Method
	weights, shift []float32
}

// ridge is k as a share of the mean of X'X's diagonal. Of 1e-4, 1e-3 and 1e-2
// none was better than the others by more than .007 of recall.
const ridge = 1e-3

// fit gives the orthogonal and the linear map.
func (t *training) fit(ctx context.Context) ([]fitted, error) {
	cross, err := product(ctx, t.x, t.p, t.y, t.q, t.n) // X'Y, p x q
	if err != nil {
		return nil, err
	}
	rotation, err := polar(ctx, cross, t.p, t.q)
	if err != nil {
		return nil, err
	}
	t.scale(rotation)
	square, err := product(ctx, t.x, t.p, t.x, t.p, t.n) // X'X
	if err != nil {
		return nil, err
	}
	maps := []fitted{t.finish(Orthogonal, rotation)}
	if solved := solve(square, cross, t.p, t.q); solved != nil {
		maps = append(maps, t.finish(Linear, solved))
	}
	for _, m := range maps {
		for _, w := range m.weights {
			if math.IsNaN(float64(w)) || math.IsInf(float64(w), 0) {
				return nil, fmt.Errorf("bridge: %w: their products overflow: scale the vectors down", ErrPairs)
			}
		}
	}
	return maps, nil
}

// scale multiplies a rotation R by the least-squares scale, <XR, Y> / |XR|^2.
func (t *training) scale(rotation []float32) {
	packed := gemm.PackB(rotation, t.p, t.q, t.q)
	const rows = 256
	turned := make([]float32, rows*t.q)
	var with, own float64
	for i := 0; i < t.n; i += rows {
		m := min(rows, t.n-i)
		gemm.Mul(turned, t.q, t.x[i*t.p:], t.p, m, packed, gemm.Epilogue{})
		for j, v := range turned[:m*t.q] {
			with += float64(v) * float64(t.y[i*t.q+j])
			own += float64(v) * float64(v)
		}
	}
	if own == 0 {
		return // all x are equal, and the mean of y is all that there is
	}
	for i := range rotation {
		rotation[i] = float32(float64(rotation[i]) * with / own)
	}
}

// finish turns W, p x q, into what a Bridge holds.
func (t *training) finish(method Method, w []float32) fitted {
	f := fitted{method: method, weights: make([]float32, t.q*t.p), shift: make([]float32, t.q)}
	for j := range t.q {
		shift := t.meanY[j]
		for i := range t.p {
			f.weights[j*t.p+i] = w[i*t.q+j]
			shift -= t.meanX[i] * float64(w[i*t.q+j])
		}
		f.shift[j] = float32(shift)
	}
	return f
}

// product is a'b of p x q, for a of n x p and b of n x q.
func product(ctx context.Context, a []float32, p int, b []float32, q, n int) ([]float32, error) {
	const rows = 512
	out := make([]float32, p*q)
	turned := make([]float32, p*rows) // a part of a, transposed
	packed := new(gemm.Packed)
	for i := 0; i < n; i += rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m := min(rows, n-i)
		for r := range m {
			for c, v := range a[(i+r)*p : (i+r+1)*p] {
				turned[c*rows+r] = v
			}
		}
		packed.Repack(b[i*q:], m, q, q)
		e := gemm.Epilogue{}
		if i > 0 {
			e.Residual, e.ResidualStride = out, q
		}
		gemm.Mul(out, q, turned, rows, p, packed, e)
	}
	return out, nil
}

// The iteration of polar ends when the matrix changes by less than polarChange
// of its size, or after polarRounds. A singular value that is s of the norm takes
// about log(1/s)/log(1.5) rounds to become 1; directions that have not arrived
// after all rounds (s below 1e-10) carried nothing, and count as nothing.
const (
	polarChange = 1e-5
	polarRounds = 60
)

// polar is the polar factor of m, p x q: the nearest matrix with orthonormal
// rows or columns, whichever are fewer.
func polar(ctx context.Context, m []float32, p, q int) ([]float32, error) {
	if p < q {
		turned, err := polar(ctx, transposed(m, p, q), q, p)
		return transposed(turned, q, p), err
	}
	x := make([]float32, len(m))
	// The iteration bears singular values up to the root of 3; the norm of
	// Frobenius is above the greatest of them.
	var squares float64
	for _, v := range m {
		squares += float64(v) * float64(v)
	}
	if squares == 0 {
		return x, nil
	}
	for i, v := range m {
		x[i] = float32(float64(v) / math.Sqrt(squares))
	}
	next := make([]float32, len(m))
	packed := new(gemm.Packed)
	for range polarRounds {
		square, err := product(ctx, x, q, x, q, p) // X'X
		if err != nil {
			return nil, err
		}
		for i := range square {
			square[i] *= -0.5
		}
		for i := range q {
			square[i*q+i] += 1.5
		}
		packed.Repack(square, q, q, q)
		gemm.Mul(next, q, x, q, p, packed, gemm.Epilogue{}) // X (3 I - X'X) / 2
		var change, whole float64
		for i, v := range next {
			d := float64(v) - float64(x[i])
			change += d * d
			whole += float64(v) * float64(v)
		}
		x, next = next, x
		if change <= polarChange*polarChange*whole {
			break
		}
	}
	return x, nil
}

// transposed turns m, p x q, into q x p.
func transposed(m []float32, p, q int) []float32 {
	out := make([]float32, len(m))
	for i := range p {
		for j := range q {
			out[j*p+i] = m[i*q+j]
		}
	}
	return out
}

// solve is (square + k I)^-1 cross, nil where it can't be had.
func solve(square, cross []float32, p, q int) []float32 {
	trace := 0.0
	for i := range p {
		trace += float64(square[i*p+i])
	}
	if !(trace > 0) {
		return nil
	}
	a := mat.NewSymDense(p, nil)
	for i := range p {
		for j := i; j < p; j++ {
			a.SetSym(i, j, float64(square[i*p+j]))
		}
		a.SetSym(i, i, a.At(i, i)+ridge*trace/float64(p))
	}
	b := mat.NewDense(p, q, nil)
	for i, v := range cross {
		b.RawMatrix().Data[i] = float64(v)
	}
	var factor mat.Cholesky
	if !factor.Factorize(a) {
		return nil
	}
	var solved mat.Dense
	if err := factor.SolveTo(&solved, b); err != nil {
		return nil // too badly conditioned to be of use
	}
	out := make([]float32, p*q)
	for i, v := range solved.RawMatrix().Data {
		out[i] = float32(v)
	}
	return out
}
