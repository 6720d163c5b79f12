package bert

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/embed/weights"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model is a model of random weights, as files.
type model struct {
	family  string
	config  map[string]any
	modules []module
	files   map[string]any // further files, as JSON, by their paths
	dense   map[string][2]int
	change  func(shapes map[string][]int) // of the tensors
	tensors map[string][]int              // instead of those that the configuration asks for
	edit    func(name string, values []float32)
	dtype   weights.DType
}

// tinyTokens is the size of the vocabulary of tiny models.
const tinyTokens = 97

// tiny is a small model of a family, with odd sizes.
func tiny(family string) *model {
	m := &model{family: family, dtype: weights.F32, files: map[string]any{}, dense: map[string][2]int{}}
	m.modules = []module{
		{Type: "sentence_transformers.models.Transformer"},
		{Path: "1_Pooling", Type: "sentence_transformers.models.Pooling"},
		{Path: "2_Normalize", Type: "sentence_transformers.models.Normalize"},
	}
	m.files["1_Pooling/config.json"] = map[string]any{"pooling_mode_mean_tokens": true, "word_embedding_dimension": nil}
	common := map[string]any{
		"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 37, "vocab_size": tinyTokens,
		"max_position_embeddings": 40, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
	}
	switch family {
	case "bert":
		common["architectures"] = []string{"BertModel"}
	case "roberta", "xlm-roberta":
		common["type_vocab_size"], common["layer_norm_eps"], common["pad_token_id"] = 1, 1e-5, 1
		common["architectures"] = []string{map[string]string{"roberta": "RobertaModel", "xlm-roberta": "XLMRobertaModel"}[family]}
	case "mpnet":
		common["layer_norm_eps"], common["pad_token_id"], common["relative_attention_num_buckets"] = 1e-5, 1, 32
		common["max_position_embeddings"] = 302
		common["architectures"] = []string{"MPNetForMaskedLM"}
	case "distilbert":
		common = map[string]any{
			"architectures": []string{"DistilBertModel"}, "dim": 24, "n_layers": 3, "n_heads": 3, "hidden_dim": 37,
			"vocab_size": tinyTokens, "max_position_embeddings": 40, "activation": "gelu", "sinusoidal_pos_embds": false,
		}
	case "nomic_bert":
		common = map[string]any{
			"architectures": []string{"NomicBertModel"}, "n_embd": 24, "n_layer": 3, "n_head": 3, "n_inner": 37, "n_positions": 300,
			"vocab_size": tinyTokens, "type_vocab_size": 2, "activation_function": "swiglu", "layer_norm_epsilon": 1e-12,
			"rotary_emb_fraction": 1.0, "rotary_emb_base": 1000, "rotary_emb_interleaved": false, "rotary_emb_scale_base": nil,
			"qkv_proj_bias": false, "mlp_fc1_bias": false, "mlp_fc2_bias": false, "prenorm": false, "rotary_scaling_factor": nil,
		}
	case "modernbert":
		common = map[string]any{
			"architectures": []string{"ModernBertModel"}, "hidden_size": 24, "num_hidden_layers": 5, "num_attention_heads": 3,
			"intermediate_size": 37, "vocab_size": tinyTokens, "max_position_embeddings": 300, "hidden_activation": "gelu",
			"norm_eps": 1e-5, "global_attn_every_n_layers": 3, "local_attention": 20, "global_rope_theta": 160000.0,
			"local_rope_theta": 10000.0, "attention_bias": false, "mlp_bias": false, "norm_bias": false,
		}
	}
	common["model_type"] = family
	m.config = common
	return m
}

func (m *model) number(keys ...string) int {
	for _, key := range keys {
		if n, ok := m.config[key].(int); ok {
			return n
		}
	}
	return 0
}

// shapes are the tensors of the model, by the names that transformers gives
// them.
func (m *model) shapes() map[string][]int {
	if m.tensors != nil {
		return m.tensors
	}
	h, inner := m.number("hidden_size", "dim", "n_embd"), m.number("intermediate_size", "hidden_dim", "n_inner")
	layers, vocab := m.number("num_hidden_layers", "n_layers", "n_layer"), m.number("vocab_size")
	s := map[string][]int{}
	linear := func(name string, out, in int, bias bool) {
		s[name+".weight"] = []int{out, in}
		if bias {
			s[name+".bias"] = []int{out}
		}
	}
	norm := func(name string, bias bool) {
		s[name+".weight"] = []int{h}
		if bias {
			s[name+".bias"] = []int{h}
		}
	}
	if m.family != "modernbert" {
		s["embeddings.word_embeddings.weight"] = []int{vocab, h}
	}
	switch m.family {
	case "nomic_bert":
		s["embeddings.token_type_embeddings.weight"] = []int{2, h}
		norm("emb_ln", true)
	case "modernbert":
		s["embeddings.tok_embeddings.weight"] = []int{vocab, h}
		norm("embeddings.norm", false)
		norm("final_norm", false)
	default:
		s["embeddings.position_embeddings.weight"] = []int{m.number("max_position_embeddings"), h}
		norm("embeddings.LayerNorm", true)
		if types := m.number("type_vocab_size"); types > 0 && m.family != "mpnet" {
			s["embeddings.token_type_embeddings.weight"] = []int{types, h}
		}
	}
	if m.family == "mpnet" {
		s["encoder.relative_attention_bias.weight"] = []int{32, m.number("num_attention_heads")}
	}
	for i := range layers {
		switch m.family {
		case "distilbert":
			at := fmt.Sprintf("transformer.layer.%d.", i)
			for _, name := range []string{"q_lin", "k_lin", "v_lin", "out_lin"} {
				linear(at+"attention."+name, h, h, true)
			}
			linear(at+"ffn.lin1", inner, h, true)
			linear(at+"ffn.lin2", h, inner, true)
			norm(at+"sa_layer_norm", true)
			norm(at+"output_layer_norm", true)
		case "nomic_bert":
			at := fmt.Sprintf("encoder.layers.%d.", i)
			linear(at+"attn.Wqkv", 3*h, h, false)
			linear(at+"attn.out_proj", h, h, false)
			linear(at+"mlp.fc11", inner, h, false)
			linear(at+"mlp.fc12", inner, h, false)
			linear(at+"mlp.fc2", h, inner, false)
			norm(at+"norm1", true)
			norm(at+"norm2", true)
		case "modernbert":
			at := fmt.Sprintf("layers.%d.", i)
			linear(at+"attn.Wqkv", 3*h, h, false)
			linear(at+"attn.Wo", h, h, false)
			linear(at+"mlp.Wi", 2*inner, h, false)
			linear(at+"mlp.Wo", h, inner, false)
			if i > 0 {
				norm(at+"attn_norm", false)
			}
			norm(at+"mlp_norm", false)
		default:
			at := fmt.Sprintf("encoder.layer.%d.", i)
			names := []string{"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"}
			between := "attention.output.LayerNorm"
			if m.family == "mpnet" {
				names = []string{"attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"}
				between = "attention.LayerNorm"
			}
			for _, name := range names {
				linear(at+name, h, h, true)
			}
			linear(at+"intermediate.dense", inner, h, true)
			linear(at+"output.dense", h, inner, true)
			norm(at+between, true)
			norm(at+"output.LayerNorm", true)
		}
	}
	if m.change != nil {
		m.change(s)
	}
	return s
}

// write writes the model's directory.
func (m *model) write(dir string, seed uint64) error {
	if err := writeTensors(filepath.Join(dir, "model.safetensors"), m.shapes(), seed, m.dtype, m.edit); err != nil {
		return err
	}
	files := map[string]any{"config.json": m.config}
	if m.modules != nil {
		list := []map[string]string{}
		for _, x := range m.modules {
			list = append(list, map[string]string{"path": x.Path, "type": x.Type})
		}
		files["modules.json"] = list
	}
	for path, content := range m.files {
		files[path] = content
	}
	for path, shape := range m.dense {
		shapes := map[string][]int{"linear.weight": {shape[1], shape[0]}, "linear.bias": {shape[1]}}
		if err := writeTensors(filepath.Join(dir, path, "model.safetensors"), shapes, seed+1, weights.F32, nil); err != nil {
			return err
		}
	}
	for path, content := range files {
		text, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, path), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(dir, "vocab.txt"), func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(tinyVocab(), "\n")+"\n")
		return err
	})
}

// writeIn writes the model into a directory of the test.
func (m *model) writeIn(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := m.write(dir, 1); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		return err
	}
	return file.Close()
}

// writeTensors writes random tensors. Norms are around 1, so that a wrong use of
// one shows; the rest is of a size at which attention prefers some tokens.
func writeTensors(path string, shapes map[string][]int, seed uint64, dtype weights.DType, edit func(string, []float32)) error {
	random := rand.New(rand.NewPCG(seed, 0))
	var entries []weights.Entry
	names := make([]string, 0, len(shapes))
	for name := range shapes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		n := 1
		for _, d := range shapes[name] {
			n *= d
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(random.NormFloat64() * 0.2)
			if len(shapes[name]) == 1 && strings.HasSuffix(name, "weight") {
				values[i]++
			}
		}
		if edit != nil {
			edit(name, values)
		}
		entries = append(entries, entryOf(name, shapes[name], values, dtype))
	}
	return writeFile(path, func(w io.Writer) error { return weights.Write(w, entries, nil) })
}

func tinyVocab() []string {
	v := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "query", "passage", ":", ".", "fox", "dog", "##s"}
	for c := 'a'; c <= 'z'; c++ {
		v = append(v, string(c), "##"+string(c))
	}
	for c := '0'; c <= '9'; c++ {
		v = append(v, string(c), "##"+string(c))
	}
	return v
}

// entryOf is a tensor of values in one of the dtypes that models come in.
func entryOf(name string, shape []int, values []float32, dtype weights.DType) weights.Entry {
	e := weights.Float32Entry(name, shape, values)
	if dtype != weights.F32 {
		e.DType, e.Data = dtype, nil
		for _, v := range values {
			e.Data = binary.LittleEndian.AppendUint16(e.Data, half(v, dtype))
		}
	}
	return e
}

// half is a number in 16 bits, towards zero; of F16 normal numbers only.
func half(v float32, dtype weights.DType) uint16 {
	bits := math.Float32bits(v)
	if dtype == weights.BF16 {
		return uint16(bits >> 16)
	}
	sign, exponent := uint16(bits>>16)&0x8000, int(bits>>23&0xff)-127
	if exponent < -14 {
		return sign
	}
	return sign | uint16(exponent+15)<<10 | uint16(bits>>13)&0x3ff
}
