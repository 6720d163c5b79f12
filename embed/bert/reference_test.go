package bert

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// reference computes the families one token and one head at a time in float64,
// written from their papers and from the documentation of transformers. It
// shares nothing with the package but the reader of tensors.
type reference struct {
	t      testing.TB
	file   *weights.File
	family string
	hidden int
	heads  int
	layers int
	eps    float64
	act    string
}

func newReference(t testing.TB, m *model, dir string) *reference {
	t.Helper()
	file, err := weights.Open(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	r := &reference{
		t: t, file: file, family: m.family, hidden: m.number("hidden_size", "dim", "n_embd"),
		heads: m.number("num_attention_heads", "n_heads", "n_head"), layers: m.number("num_hidden_layers", "n_layers", "n_layer"),
		eps: 1e-12, act: "gelu",
	}
	for _, key := range []string{"layer_norm_eps", "norm_eps", "layer_norm_epsilon"} {
		if eps, ok := m.config[key].(float64); ok {
			r.eps = eps
		}
	}
	for _, key := range []string{"hidden_act", "hidden_activation", "activation"} {
		if act, ok := m.config[key].(string); ok {
			r.act = act
		}
	}
	return r
}

func (r *reference) tensor(name string) []float64 {
	r.t.Helper()
	t, err := r.file.Tensor(name)
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := t.Float32s()
	if err != nil {
		r.t.Fatal(err)
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

type vectors [][]float64

func (r *reference) linear(x vectors, name string) vectors {
	w := r.tensor(name + ".weight")
	in := len(x[0])
	out := len(w) / in
	bias := make([]float64, out)
	if r.file.Has(name + ".bias") {
		bias = r.tensor(name + ".bias")
	}
	y := make(vectors, len(x))
	for i := range x {
		y[i] = make([]float64, out)
		for o := range out {
			y[i][o] = bias[o]
			for k := range in {
				y[i][o] += w[o*in+k] * x[i][k]
			}
		}
	}
	return y
}

func (r *reference) norm(x vectors, name string) vectors {
	gamma, beta := r.tensor(name+".weight"), make([]float64, r.hidden)
	if r.file.Has(name + ".bias") {
		beta = r.tensor(name + ".bias")
	}
	y := make(vectors, len(x))
	for i, row := range x {
		var mean, variance float64
		for _, v := range row {
			mean += v / float64(len(row))
		}
		for _, v := range row {
			variance += (v - mean) * (v - mean) / float64(len(row))
		}
		y[i] = make([]float64, len(row))
		for k, v := range row {
			y[i][k] = (v-mean)/math.Sqrt(variance+r.eps)*gamma[k] + beta[k]
		}
	}
	return y
}

func plus(a, b vectors) vectors {
	c := make(vectors, len(a))
	for i := range a {
		c[i] = make([]float64, len(a[i]))
		for k := range a[i] {
			c[i][k] = a[i][k] + b[i][k]
		}
	}
	return c
}

// activate is the activation by its name in transformers' table.
func activate(name string, x float64) float64 {
	switch name {
	case "gelu":
		return x * 0.5 * (1 + math.Erf(x/math.Sqrt2))
	case "gelu_new", "gelu_pytorch_tanh":
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case "relu":
		return math.Max(0, x)
	case "silu":
		return x / (1 + math.Exp(-x))
	}
	panic(name)
}

func (r *reference) each(x vectors, f func(i, k int, v float64) float64) vectors {
	y := make(vectors, len(x))
	for i := range x {
		y[i] = make([]float64, len(x[i]))
		for k, v := range x[i] {
			y[i][k] = f(i, k, v)
		}
	}
	return y
}

// attention is softmax(q k^T / sqrt(d) + bias) v; allowed says who sees whom.
func (r *reference) attention(q, k, v vectors, bias func(head, i, j int) float64, allowed func(i, j int) bool) vectors {
	n, d := len(q), r.hidden/r.heads
	out := make(vectors, n)
	for i := range out {
		out[i] = make([]float64, r.hidden)
		for h := range r.heads {
			weight, total := make([]float64, n), 0.0
			for j := range n {
				if !allowed(i, j) {
					continue
				}
				score := 0.0
				for c := h * d; c < (h+1)*d; c++ {
					score += q[i][c] * k[j][c]
				}
				weight[j] = math.Exp(score/math.Sqrt(float64(d)) + bias(h, i, j))
				total += weight[j]
			}
			for j := range n {
				for c := h * d; c < (h+1)*d; c++ {
					out[i][c] += weight[j] / total * v[j][c]
				}
			}
		}
	}
	return out
}

func columns(x vectors, from, to int) vectors {
	y := make(vectors, len(x))
	for i := range x {
		y[i] = x[i][from:to]
	}
	return y
}

// rope turns the pair (c, c+d/2) of each head by position/base^(2c/d).
func (r *reference) rope(x vectors, base float64) vectors {
	d := r.hidden / r.heads
	return r.each(x, func(i, k int, v float64) float64 {
		c := k % d
		angle := float64(i) / math.Pow(base, float64(2*(c%(d/2)))/float64(d))
		if c < d/2 {
			return v*math.Cos(angle) - x[i][k+d/2]*math.Sin(angle)
		}
		return v*math.Cos(angle) + x[i][k-d/2]*math.Sin(angle)
	})
}

// bucket is T5's of relative positions in both directions, for 32 buckets and a
// greatest distance of 128, by the table that follows from its formula: exact to
// 7, then wider by the square root of 2.
func bucket(distance int) int {
	at := 0
	if distance > 0 {
		at = 16
	}
	if distance < 0 {
		distance = -distance
	}
	bounds := []int{8, 12, 16, 23, 32, 46, 64, 91}
	if distance < 8 {
		return at + distance
	}
	for i := len(bounds) - 1; ; i-- {
		if distance >= bounds[i] {
			return at + 8 + i
		}
	}
}

func (r *reference) table(name string, rows []int) vectors {
	t := r.tensor(name)
	x := make(vectors, len(rows))
	for i, row := range rows {
		x[i] = t[row*r.hidden : (row+1)*r.hidden]
	}
	return x
}

// states are the last states of a sequence.
func (r *reference) states(ids []uint32) vectors {
	n := len(ids)
	words, zeros, positions := make([]int, n), make([]int, n), make([]int, n)
	seen := 0
	for i, id := range ids {
		words[i], positions[i] = int(id), i
		if r.family == "roberta" || r.family == "xlm-roberta" || r.family == "mpnet" {
			positions[i] = 1
			if id != 1 {
				seen++
				positions[i] = 1 + seen
			}
		}
	}
	all := func(int, int) bool { return true }
	none := func(int, int, int) float64 { return 0 }
	switch r.family {
	case "modernbert":
		return r.modern(words, all, none)
	case "nomic_bert":
		return r.nomic(words, zeros, all, none)
	}
	x := plus(r.table("embeddings.word_embeddings.weight", words), r.table("embeddings.position_embeddings.weight", positions))
	if r.file.Has("embeddings.token_type_embeddings.weight") {
		x = plus(x, r.table("embeddings.token_type_embeddings.weight", zeros))
	}
	x = r.norm(x, "embeddings.LayerNorm")
	q, k, v, o := "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"
	up, down, between, behind := "intermediate.dense", "output.dense", "attention.output.LayerNorm", "output.LayerNorm"
	at, bias := "encoder.layer.%d.", none
	switch r.family {
	case "mpnet":
		q, k, v, o, between = "attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o", "attention.LayerNorm"
		table := r.tensor("encoder.relative_attention_bias.weight")
		bias = func(head, i, j int) float64 { return table[bucket(j-i)*r.heads+head] }
	case "distilbert":
		at = "transformer.layer.%d."
		q, k, v, o = "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"
		up, down, between, behind = "ffn.lin1", "ffn.lin2", "sa_layer_norm", "output_layer_norm"
	}
	for i := range r.layers {
		at := fmt.Sprintf(at, i)
		mixed := r.attention(r.linear(x, at+q), r.linear(x, at+k), r.linear(x, at+v), bias, all)
		x = r.norm(plus(r.linear(mixed, at+o), x), at+between)
		inner := r.each(r.linear(x, at+up), func(_, _ int, v float64) float64 { return activate(r.act, v) })
		x = r.norm(plus(r.linear(inner, at+down), x), at+behind)
	}
	return x
}

func (r *reference) nomic(words, zeros []int, all func(int, int) bool, none func(int, int, int) float64) vectors {
	x := r.norm(plus(r.table("embeddings.word_embeddings.weight", words), r.table("embeddings.token_type_embeddings.weight", zeros)), "emb_ln")
	h := r.hidden
	for i := range r.layers {
		at := fmt.Sprintf("encoder.layers.%d.", i)
		qkv := r.linear(x, at+"attn.Wqkv")
		mixed := r.attention(r.rope(columns(qkv, 0, h), 1000), r.rope(columns(qkv, h, 2*h), 1000), columns(qkv, 2*h, 3*h), none, all)
		x = r.norm(plus(r.linear(mixed, at+"attn.out_proj"), x), at+"norm1")
		gate := r.linear(x, at+"mlp.fc12")
		inner := r.each(r.linear(x, at+"mlp.fc11"), func(i, k int, v float64) float64 { return v * activate("silu", gate[i][k]) })
		x = r.norm(plus(r.linear(inner, at+"mlp.fc2"), x), at+"norm2")
	}
	return x
}

func (r *reference) modern(words []int, all func(int, int) bool, none func(int, int, int) float64) vectors {
	x := r.norm(r.table("embeddings.tok_embeddings.weight", words), "embeddings.norm")
	h := r.hidden
	for i := range r.layers {
		at := fmt.Sprintf("layers.%d.", i)
		input, allowed, base := x, all, 160000.0
		if i > 0 {
			input = r.norm(x, at+"attn_norm")
		}
		if i%3 != 0 { // local_attention 20 is 10 to each side
			allowed, base = func(i, j int) bool { return i-j <= 10 && j-i <= 10 }, 10000
		}
		qkv := r.linear(input, at+"attn.Wqkv")
		mixed := r.attention(r.rope(columns(qkv, 0, h), base), r.rope(columns(qkv, h, 2*h), base), columns(qkv, 2*h, 3*h), none, allowed)
		x = plus(x, r.linear(mixed, at+"attn.Wo"))
		both := r.linear(r.norm(x, at+"mlp_norm"), at+"mlp.Wi")
		half := len(both[0]) / 2
		inner := r.each(columns(both, 0, half), func(i, k int, v float64) float64 { return activate(r.act, v) * both[i][half+k] })
		x = plus(x, r.linear(inner, at+"mlp.Wo"))
	}
	return r.norm(x, "final_norm")
}

// families and variants of the architecture tests, and the length of the longest
// sequence to try.
func architectures() map[string]struct {
	model   func() *model
	longest int
} {
	type entry = struct {
		model   func() *model
		longest int
	}
	all := map[string]entry{}
	for family, longest := range map[string]int{
		"bert": 40, "roberta": 38, "xlm-roberta": 38, "distilbert": 40, "mpnet": 300, "nomic_bert": 300, "modernbert": 300,
	} {
		all[family] = entry{func() *model { return tiny(family) }, longest}
	}
	for _, act := range []string{"gelu_new", "relu", "silu"} {
		all["bert "+act] = entry{func() *model {
			m := tiny("bert")
			m.config["hidden_act"] = act
			return m
		}, 20}
	}
	for _, dtype := range []weights.DType{weights.F16, weights.BF16} {
		all["bert "+string(dtype)] = entry{func() *model {
			m := tiny("bert")
			m.dtype = dtype
			return m
		}, 20}
	}
	return all
}

// TestArchitectures compares the states of every family with the reference.
func TestArchitectures(t *testing.T) {
	for name, a := range architectures() {
		t.Run(name, func(t *testing.T) {
			m := a.model()
			dir := m.writeIn(t)
			r := newReference(t, m, dir)
			random := kerneltest.Rand(t)
			lengths := []int{1, 2, 13, 1 + random.IntN(a.longest), a.longest}
			kerneltest.EachTier(t, func(t *testing.T) {
				e := open(t, dir, Options{Threads: 1 + random.IntN(3)})
				if e.space.MaxTokens != a.longest && a.longest > 20 {
					t.Errorf("%d tokens at most, want %d", e.space.MaxTokens, a.longest)
				}
				for _, n := range lengths {
					ids := randomIDs(random, n)
					worst, cosine := compare(e.states(t, ids), flatten(r.states(ids)))
					if !(worst <= 1e-4) || !(cosine >= 0.99999) {
						t.Errorf("%d tokens: difference %g, cosine %.8f", n, worst, cosine)
					}
				}
			})
		})
	}
}

// randomIDs has the ids of padding tokens in it too, as a text can spell them.
func randomIDs(random *rand.Rand, n int) []uint32 {
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(random.IntN(tinyTokens))
		if random.IntN(8) == 0 {
			ids[i] = uint32(random.IntN(2))
		}
	}
	return ids
}

func flatten(x vectors) (flat []float64) {
	for _, row := range x {
		flat = append(flat, row...)
	}
	return flat
}

// TestArchitecturesInt8 wants quantization to cost little, in every family.
func TestArchitecturesInt8(t *testing.T) {
	for name, a := range architectures() {
		m := a.model()
		dir := m.writeIn(t)
		ids := randomIDs(kerneltest.Rand(t), a.longest)
		_, cosine := compare(open(t, dir, Options{Precision: compat.PrecisionInt8}).states(t, ids), open(t, dir, Options{}).states(t, ids))
		if !(cosine >= 0.998) {
			t.Errorf("%s: the states of int8 and f32 have a cosine of %.5f", name, cosine)
		}
	}
}
