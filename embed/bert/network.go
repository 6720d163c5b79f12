package bert

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/gemm"
)

// network is a loaded model up to the states of tokens. It is immutable.
type network struct {
	design
	portion    int // tokens that go through at once; see portionOf
	parameters int64
	packed     int64     // bytes of the weights of linear layers
	word       []float32 // [Vocab, Hidden]
	// place is added to every token: the row of its position, with the
	// embedding of token type 0 in it. Without learned positions it is one row,
	// or nothing.
	place    []float32
	start    norm // over the embeddings
	last     norm // over the last states
	layers   []layer
	relative *relative // nil: none
}

// layer is one layer of the network.
type layer struct {
	qkv, out, up, gate, down linear
	attentionNorm, innerNorm norm
	window                   int     // tokens to each side; 0: all
	theta                    float64 // base of rotary positions; 0: none
}

// norm is a layer norm; the zero norm is none.
type norm struct{ gamma, beta []float32 }

// apply normalizes rows of v in place.
func (n *norm) apply(v []float32, eps float64) {
	if n.gamma == nil {
		return
	}
	for w := len(n.gamma); len(v) > 0; v = v[w:] {
		f32.LayerNorm(v[:w], n.gamma, n.beta, float32(eps))
	}
}

// linear is a product with weights, in one of two precisions, and a bias. The
// zero linear is none.
type linear struct {
	floats *gemm.Packed
	bytes  *gemm.PackedInt8
	bias   []float32 // nil: none
}

func (l *linear) exists() bool { return l.floats != nil || l.bytes != nil }

// mul sets dst, rows x out, to a * weights + bias, GELU of it if so wanted, and
// plus residual (of dst's shape, not dst) if there is one.
func (l *linear) mul(dst []float32, out int, a []float32, in, rows int, useGELU bool, residual []float32, s *gemm.Scratch) {
	e := gemm.Epilogue{Bias: l.bias, GELU: useGELU, Residual: residual, ResidualStride: out}
	if l.bytes != nil {
		gemm.MulInt8(dst, out, a, in, rows, l.bytes, s, e)
		return
	}
	gemm.Mul(dst, out, a, in, rows, l.floats, e)
}

// loader reads the tensors of one model, checking every shape.
type loader struct {
	dir        string
	file       *weights.File
	prefix     string
	precision  compat.Precision
	parameters int64
	packed     int64 // bytes
}

// newNetwork loads a design's tensors under the names of its family.
func newNetwork(dir string, file *weights.File, f family, d design, precision compat.Precision) (*network, error) {
	l := &loader{dir: dir, file: file, precision: precision}
	at := slices.IndexFunc(f.prefixes, func(p string) bool { return file.Has(p + f.tensors.word) })
	if at < 0 {
		_, err := file.Tensor(f.tensors.word)
		return nil, err
	}
	l.prefix = f.prefixes[at]
	n := &network{design: d, portion: portionOf(precision), layers: make([]layer, d.Layers)}
	if err := l.embeddings(n, f.tensors); err != nil {
		return nil, err
	}
	for i := range n.layers {
		if err := l.layer(n, i, f.tensors); err != nil {
			return nil, err
		}
	}
	if next := fmt.Sprintf(f.tensors.layer, d.Layers) + f.tensors.out + ".weight"; file.Has(l.prefix + next) {
		return nil, wrong(dir, "config.json says %d layers, but the weights have more", d.Layers)
	}
	n.parameters, n.packed = l.parameters, l.packed
	return n, nil
}

func (l *loader) embeddings(n *network, t tensors) (err error) {
	if n.word, err = l.floats(t.word, n.Vocab, n.Hidden); err != nil {
		return err
	}
	var types []float32
	if t.types != "" && n.Types > 0 {
		if types, err = l.floats(t.types, n.Types, n.Hidden); err != nil {
			return err
		}
		types = types[:n.Hidden]
	}
	if n.LearnedPositions {
		if n.place, err = l.floats(t.position, n.Positions, n.Hidden); err != nil {
			return err
		}
		if types != nil {
			n.place = slices.Clone(n.place) // it may be the file's memory
			for from := 0; from < len(n.place); from += n.Hidden {
				f32.Add(n.place[from:from+n.Hidden], types)
			}
		}
	} else {
		n.place = types
	}
	if n.start, err = l.norm(t.embeddingNorm, n); err != nil {
		return err
	}
	if t.lastNorm != "" {
		if n.last, err = l.norm(t.lastNorm, n); err != nil {
			return err
		}
	}
	if t.relative != "" {
		bias, err := l.floats(t.relative, n.Buckets, n.Heads)
		if err != nil {
			return err
		}
		n.relative = &relative{buckets: n.Buckets, heads: n.Heads, bias: bias}
	}
	return nil
}

func (l *loader) layer(n *network, i int, t tensors) error {
	at := fmt.Sprintf(t.layer, i)
	to := &n.layers[i]
	var errs [7]error
	to.qkv, errs[0] = l.attentionInput(n, at, t)
	to.out, errs[1] = l.linear(at+t.out, n.Hidden, n.Hidden, n.AttentionBias)
	if !n.PreNorm || i > 0 { // the first such layer's input is normalized already
		to.attentionNorm, errs[2] = l.norm(at+t.attentionNorm, n)
	}
	switch {
	case t.upGate != "":
		to.up, to.gate, errs[3] = l.split(at+t.upGate, n)
	default:
		to.up, errs[3] = l.linear(at+t.up, n.Inner, n.Hidden, n.InnerBias)
		if n.Gated {
			to.gate, errs[4] = l.linear(at+t.gate, n.Inner, n.Hidden, n.InnerBias)
		}
	}
	to.down, errs[5] = l.linear(at+t.down, n.Hidden, n.Inner, n.InnerBias)
	to.innerNorm, errs[6] = l.norm(at+t.innerNorm, n)
	to.theta = n.Theta
	if n.local(i) {
		to.window, to.theta = n.Window, n.LocalTheta
	}
	return errors.Join(errs[:]...)
}

// attentionInput makes one product of those for queries, keys and values, laid
// side by side in this order. Attention's scale, 1/sqrt(head size), is in the
// queries' weights.
func (l *loader) attentionInput(n *network, at string, t tensors) (linear, error) {
	h := n.Hidden
	var all, bias []float32
	if t.qkv != "" {
		w, b, err := l.raw(at+t.qkv, 3*h, h, n.AttentionBias)
		if err != nil {
			return linear{}, err
		}
		all, bias = slices.Clone(w), slices.Clone(b)
	} else {
		for _, name := range []string{t.query, t.key, t.value} {
			w, b, err := l.raw(at+name, h, h, n.AttentionBias)
			if err != nil {
				return linear{}, err
			}
			all, bias = append(all, w...), append(bias, b...)
		}
	}
	scale := float32(1 / math.Sqrt(float64(n.headSize())))
	f32.Scale(all[:h*h], scale)
	if bias != nil {
		f32.Scale(bias[:h], scale)
	}
	return l.pack(all, bias, 3*h, h), nil
}

// split loads a product of twice the inner size as two.
func (l *loader) split(name string, n *network) (up, gate linear, err error) {
	w, b, err := l.raw(name, 2*n.Inner, n.Hidden, n.InnerBias)
	if err != nil {
		return up, gate, err
	}
	half := n.Inner * n.Hidden
	var b0, b1 []float32
	if b != nil {
		b0, b1 = b[:n.Inner], b[n.Inner:]
	}
	return l.pack(w[:half], b0, n.Inner, n.Hidden), l.pack(w[half:], b1, n.Inner, n.Hidden), nil
}

func (l *loader) linear(name string, out, in int, bias bool) (linear, error) {
	w, b, err := l.raw(name, out, in, bias)
	if err != nil {
		return linear{}, err
	}
	return l.pack(w, b, out, in), nil
}

// raw reads the weights, out x in, and the bias of a linear layer.
func (l *loader) raw(name string, out, in int, bias bool) (w, b []float32, err error) {
	if w, err = l.floats(name+".weight", out, in); err != nil {
		return nil, nil, err
	}
	if bias {
		b, err = l.floats(name+".bias", out)
	} else if l.file.Has(l.prefix + name + ".bias") {
		err = wrong(l.dir, "the weights have %s%s.bias, but config.json says that there is no such bias", l.prefix, name)
	}
	return w, b, err
}

func (l *loader) pack(w, bias []float32, out, in int) linear {
	if l.precision == compat.PrecisionInt8 {
		l.packed += int64(len(w))
		return linear{bytes: gemm.PackInt8T(w, out, in, in), bias: bias}
	}
	l.packed += 4 * int64(len(w))
	return linear{floats: gemm.PackBT(w, out, in, in), bias: bias}
}

// norm reads a layer norm, also under the names of BERT's first checkpoints.
func (l *loader) norm(name string, n *network) (norm, error) {
	gamma, beta := name+".weight", name+".bias"
	if !l.file.Has(l.prefix+gamma) && l.file.Has(l.prefix+name+".gamma") {
		gamma, beta = name+".gamma", name+".beta"
	}
	g, err := l.floats(gamma, n.Hidden)
	if err != nil {
		return norm{}, err
	}
	if !n.NormBias {
		return norm{gamma: g, beta: make([]float32, n.Hidden)}, nil
	}
	b, err := l.floats(beta, n.Hidden)
	return norm{gamma: g, beta: b}, err
}

// floats reads a tensor of floats of exactly that shape, of finite numbers.
func (l *loader) floats(name string, shape ...int) ([]float32, error) {
	t, err := l.file.Tensor(l.prefix + name)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, wrong(l.dir, "the tensor %s has the shape %v, and %v by config.json", t.Name, t.Shape, shape)
	}
	if !slices.Contains([]weights.DType{weights.F32, weights.F16, weights.BF16, weights.F64}, t.DType) {
		return nil, unsupported(l.dir, fmt.Sprintf("the tensor %s of %s", t.Name, t.DType), "weights of F32, F16, BF16 and F64 are")
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	if !finite(v) {
		return nil, wrong(l.dir, "the tensor %s has numbers that are not finite", t.Name)
	}
	l.parameters += int64(len(v))
	return v, nil
}

// finite reports whether every number is. The exponents of NaN and infinities
// are all ones.
func finite(v []float32) bool {
	const exponent = 0x7f800000
	for _, x := range v {
		if math.Float32bits(x)&exponent == exponent {
			return false
		}
	}
	return true
}
