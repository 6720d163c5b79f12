package bert

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/embed/weights"
)

func TestConformance(t *testing.T) {
	for family, prompts := range map[string]map[string]string{
		"bert":    {"query": "query: ", "passage": "passage: "},
		"roberta": {},
	} {
		m := tiny(family)
		m.files["config_sentence_transformers.json"] = map[string]any{"prompts": prompts}
		dir := m.writeIn(t)
		t.Run(family, func(t *testing.T) {
			embedtest.Run(t, func() embed.Encoder {
				e, err := Open(dir, Options{})
				if err != nil {
					t.Fatal(err)
				}
				return e
			}, embedtest.Options{})
		})
	}
}

func TestConformanceInt8(t *testing.T) {
	dir := tiny("bert").writeIn(t)
	embedtest.Run(t, func() embed.Encoder {
		e, err := Open(dir, Options{Precision: compat.PrecisionInt8})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}, embedtest.Options{})
}

// vector encodes one text.
func vector(t *testing.T, e *Encoder, role embed.Role, text string) []float32 {
	t.Helper()
	out, err := e.Encode(context.Background(), role, []string{text})
	if err != nil {
		t.Fatal(err)
	}
	return out.Vectors.Row(0)
}

// ids are the token ids of a text without its role's prompt.
func ids(e *Encoder, text string) []uint32 {
	return e.tokenizer.Encode(text, token.Options{MaxTokens: e.space.MaxTokens}).IDs
}

func normalized(v []float64) []float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x / math.Sqrt(sum)
	}
	return out
}

// near wants two vectors to agree within 1e-4.
func near(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	if worst, cosine := compare(got, want); !(worst <= 1e-4) || !(cosine >= 0.99999) {
		t.Errorf("%s: difference %g, cosine %.7f", what, worst, cosine)
	}
}

// TestModules goes through a Dense module of either activation, and a Matryoshka
// cut, and compares with the reference and arithmetic of the test's own.
func TestModules(t *testing.T) {
	const text = "the fox and the dogs."
	for _, c := range []struct {
		activation string
		f          func(float64) float64
	}{
		{"torch.nn.modules.activation.Tanh", math.Tanh},
		{"torch.nn.modules.linear.Identity", func(x float64) float64 { return x }},
	} {
		m := tiny("bert")
		m.modules = slices.Insert(m.modules, 2, module{Path: "2_Dense", Type: "sentence_transformers.models.Dense"})
		m.dense["2_Dense"] = [2]int{24, 10}
		m.files["2_Dense/config.json"] = map[string]any{"in_features": 24, "out_features": 10, "bias": true, "activation_function": c.activation}
		m.files["config_sentence_transformers.json"] = map[string]any{"matryoshka_dims": []int{4, 10, 7}}
		dir := m.writeIn(t)
		e := open(t, dir, Options{})
		states := newReference(t, m, dir).states(ids(e, text))
		file, err := weights.OpenDir(filepath.Join(dir, "2_Dense"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		dense := &reference{t: t, file: file}
		want := dense.linear(vectors{mean(states)}, "linear")[0]
		for i := range want {
			want[i] = c.f(want[i])
		}
		near(t, c.activation, vector(t, e, embed.RoleDocument, text), normalized(want))
		if s := e.Space(); s.Dimension != 10 || s.FullDimension != 10 || !slices.Equal(e.Info().Matryoshka, []int{4, 7}) {
			t.Errorf("dimension %d of %d, Matryoshka %v", s.Dimension, s.FullDimension, e.Info().Matryoshka)
		}
		cut := open(t, dir, Options{Dimension: 4})
		near(t, "cut to 4", vector(t, cut, embed.RoleDocument, text), normalized(want[:4]))
		if s := cut.Space(); s.Dimension != 4 || s.FullDimension != 10 || s.Fingerprint() == e.Space().Fingerprint() {
			t.Errorf("cut: dimension %d of %d", s.Dimension, s.FullDimension)
		}
		if _, err := Open(dir, Options{Dimension: 5}); err == nil || !strings.Contains(err.Error(), "[4 7 10]") {
			t.Errorf("a dimension that isn't declared: %v", err)
		}
		open(t, dir, Options{Dimension: 5, Matryoshka: []int{5}})
	}
}

func mean(states vectors) []float64 {
	sum := make([]float64, len(states[0]))
	for _, row := range states {
		for i, x := range row {
			sum[i] += x / float64(len(states))
		}
	}
	return sum
}

// TestPooling compares every way of pooling, from the files and by Options, with
// the reference's states.
func TestPooling(t *testing.T) {
	const text = "query the fox: dogs"
	for mode, kind := range map[string]compat.Pooling{
		"cls_token": compat.PoolingCLS, "mean_tokens": compat.PoolingMean, "max_tokens": compat.PoolingMax, "lasttoken": compat.PoolingLast,
	} {
		m := tiny("bert")
		m.modules = m.modules[:2]
		m.files["1_Pooling/config.json"] = map[string]any{"word_embedding_dimension": 24, "pooling_mode_" + mode: true}
		dir := m.writeIn(t)
		e := open(t, dir, Options{})
		states := newReference(t, m, dir).states(ids(e, text))
		want := mean(states)
		switch kind {
		case compat.PoolingCLS:
			want = states[0]
		case compat.PoolingLast:
			want = states[len(states)-1]
		case compat.PoolingMax:
			want = slices.Clone(states[0])
			for _, row := range states {
				for i, x := range row {
					want[i] = max(want[i], x)
				}
			}
		}
		near(t, mode, vector(t, e, embed.RoleDocument, text), want)
		if s := e.Space(); s.Pooling != kind || s.Normalization != compat.NormalizeNone {
			t.Errorf("%s: the space says %s, %s", mode, s.Pooling, s.Normalization)
		}
		near(t, mode+" normalized", vector(t, open(t, dir, Options{Normalization: compat.NormalizeL2}), embed.RoleDocument, text), normalized(want))
		plain := tiny("bert")
		plain.modules, plain.files = nil, map[string]any{}
		near(t, mode+" by option", vector(t, open(t, plain.writeIn(t), Options{Pooling: kind}), embed.RoleDocument, text), want)
	}
}

// TestPrompts takes prompts from the files and from Options, and leaves their
// tokens out of pooling where the files say so.
func TestPrompts(t *testing.T) {
	m := tiny("bert")
	m.modules = m.modules[:2]
	m.files["1_Pooling/config.json"] = map[string]any{"pooling_mode_mean_tokens": true, "include_prompt": false}
	m.files["config_sentence_transformers.json"] = map[string]any{
		"prompts": map[string]string{"query": "query: ", "other": "the "}, "default_prompt_name": "other",
	}
	dir := m.writeIn(t)
	e := open(t, dir, Options{})
	if s := e.Space(); s.QueryPrompt != "query: " || s.DocumentPrompt != "the " {
		t.Errorf("prompts %q and %q", s.QueryPrompt, s.DocumentPrompt)
	}
	// [CLS] query : fox [SEP]: the mean is over the last two.
	states := newReference(t, m, dir).states(ids(e, "query: fox"))
	if len(states) != 5 {
		t.Fatalf("%d tokens", len(states))
	}
	near(t, "without the prompt's tokens", vector(t, e, embed.RoleQuery, "fox"), mean(states[3:]))
	none := ""
	other := open(t, dir, Options{QueryPrompt: &none, DocumentPrompt: &none})
	near(t, "no prompt", vector(t, other, embed.RoleQuery, "query: fox"), mean(states))
	if got := e.CountTokens(embed.RoleQuery, []string{"fox", ""}); !slices.Equal(got, []int{5, 4}) {
		t.Errorf("tokens with the prompt: %v", got)
	}
}

// TestLimits has the least of the lengths, and refuses what there are no
// positions for.
func TestLimits(t *testing.T) {
	m := tiny("roberta")
	m.files["sentence_bert_config.json"] = map[string]any{"max_seq_length": 500, "do_lower_case": true}
	dir := m.writeIn(t)
	long := strings.Repeat("FOX ", 100)
	e := open(t, dir, Options{})
	out, err := e.Encode(context.Background(), embed.RoleDocument, []string{long, "fox"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.Tokens, []int{38, 3}) || !slices.Equal(out.Truncated, []bool{true, false}) {
		t.Errorf("tokens %v, truncated %v", out.Tokens, out.Truncated)
	}
	if cut := vector(t, open(t, dir, Options{MaxTokens: 7}), embed.RoleDocument, long); len(cut) != 24 {
		t.Errorf("%d components", len(cut))
	}
	for _, tokens := range []int{39, 2} {
		if _, err := Open(dir, Options{MaxTokens: tokens}); err == nil {
			t.Errorf("max tokens %d was taken", tokens)
		}
	}
	m.files["sentence_bert_config.json"] = map[string]any{"max_seq_length": 12}
	if got := open(t, m.writeIn(t), Options{}).Space().MaxTokens; got != 12 {
		t.Errorf("max_seq_length 12 gives %d tokens", got)
	}
}

// TestSpace wants every setting that changes the floats to change the space, and
// nothing else to.
func TestSpace(t *testing.T) {
	base := open(t, tiny("bert").writeIn(t), Options{}).Space()
	if base.Encoder != "bert/1" || base.Dimension != 24 {
		t.Errorf("the space is %+v", base)
	}
	for name, change := range map[string]func(*model){
		"heads":      func(m *model) { m.config["num_attention_heads"] = 4 },
		"activation": func(m *model) { m.config["hidden_act"] = "relu" },
		"epsilon":    func(m *model) { m.config["layer_norm_eps"] = 1e-5 },
		"lower case": func(m *model) { m.files["sentence_bert_config.json"] = map[string]any{"do_lower_case": true} },
		"weights":    func(m *model) { m.edit = func(_ string, v []float32) { v[0] += 1e-3 } },
		"pooling": func(m *model) {
			m.files["1_Pooling/config.json"] = map[string]any{"pooling_mode_mean_tokens": true, "include_prompt": false}
		},
	} {
		m := tiny("bert")
		change(m)
		if open(t, m.writeIn(t), Options{}).Space().Fingerprint() == base.Fingerprint() {
			t.Errorf("%s: the same space", name)
		}
	}
	m := tiny("bert")
	m.config["transformers_version"], m.config["attention_probs_dropout_prob"] = "9", 0.5
	if open(t, m.writeIn(t), Options{Name: "other", Threads: 2}).Space() != base {
		t.Error("a label changed the space")
	}
	if open(t, m.writeIn(t), Options{Precision: compat.PrecisionInt8}).Space().Fingerprint() == base.Fingerprint() {
		t.Error("int8 is in the space of f32")
	}
}

func TestIs(t *testing.T) {
	for _, family := range []string{"bert", "modernbert"} {
		if !Is(tiny(family).writeIn(t)) {
			t.Errorf("a %s directory is none", family)
		}
	}
	other := tiny("bert")
	other.modules = nil
	other.config["model_type"] = "t5"
	if !Is(other.writeIn(t)) {
		t.Error("a directory of another transformer is none")
	}
	static := tiny("bert")
	static.modules = []module{{Path: ".", Type: "sentence_transformers.models.StaticEmbedding"}}
	if Is(static.writeIn(t)) || Is(t.TempDir()) || Is(filepath.Join(t.TempDir(), "missing")) {
		t.Error("a static, empty or missing directory is one")
	}
}

// TestRefused goes through models that can't be run.
func TestRefused(t *testing.T) {
	type change = func(*model)
	set := func(key string, value any) change { return func(m *model) { m.config[key] = value } }
	unsupported := map[string]change{
		"t5":          set("model_type", "t5"),
		"custom code": set("architectures", []string{"JinaBertModel"}),
		"hidden_act":  set("hidden_act", "mish"),
		"alibi":       set("position_embedding_type", "alibi"),
		"decoder":     set("is_decoder", true),
		"sqrt pooling": func(m *model) {
			m.files["1_Pooling/config.json"] = map[string]any{"pooling_mode_mean_sqrt_len_tokens": true}
		},
		"two poolings": func(m *model) {
			m.files["1_Pooling/config.json"] = map[string]any{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}
		},
		"no pooling":       func(m *model) { m.files["1_Pooling/config.json"] = map[string]any{} },
		"LSTM":             func(m *model) { m.modules[2].Type = "sentence_transformers.models.LSTM" },
		"pooling only":     func(m *model) { m.modules = m.modules[1:] },
		"integer weights":  func(m *model) { m.dtype = weights.I16 },
		"embedding factor": set("embedding_size", 12),
	}
	damaged := map[string]change{
		"no heads":         set("num_attention_heads", 0),
		"negative heads":   set("num_attention_heads", -3),
		"uneven heads":     set("num_attention_heads", 5),
		"no hidden":        set("hidden_size", 0),
		"huge hidden":      set("hidden_size", math.MaxInt64),
		"overflow":         set("hidden_size", 1e30),
		"fraction":         set("hidden_size", 24.5),
		"text":             set("hidden_size", "24"),
		"no layers":        set("num_hidden_layers", 0),
		"fewer layers":     set("num_hidden_layers", 2),
		"huge layers":      set("num_hidden_layers", 1<<40),
		"no inner":         set("intermediate_size", 0),
		"inner":            set("intermediate_size", 38),
		"vocabulary":       set("vocab_size", 1<<29),
		"small vocabulary": set("vocab_size", 4),
		"positions":        set("max_position_embeddings", 1<<29),
		"no positions":     set("max_position_embeddings", 0),
		"epsilon":          set("layer_norm_eps", -1),
		"types":            set("type_vocab_size", 1<<29),
		"NaN":              func(m *model) { m.edit = func(_ string, v []float32) { v[len(v)-1] = float32(math.NaN()) } },
		"infinity":         func(m *model) { m.edit = func(_ string, v []float32) { v[0] = float32(math.Inf(1)) } },
		"shape": func(m *model) {
			m.change = func(s map[string][]int) { s["encoder.layer.1.output.dense.weight"] = []int{37, 24} }
		},
		"outside": func(m *model) { m.modules[1].Path = "../1_Pooling" },
		"pooling width": func(m *model) {
			m.files["1_Pooling/config.json"] = map[string]any{"pooling_mode_mean_tokens": true, "word_embedding_dimension": 25}
		},
		"sequence":   func(m *model) { m.files["sentence_bert_config.json"] = map[string]any{"max_seq_length": -1} },
		"truncation": func(m *model) { m.files["config_sentence_transformers.json"] = map[string]any{"truncate_dim": -5} },
		"dense": func(m *model) {
			m.modules[2] = module{Path: "2_Dense", Type: "sentence_transformers.models.Dense"}
			m.files["2_Dense/config.json"] = map[string]any{"in_features": 1 << 40, "out_features": 1 << 40}
		},
	}
	for name, change := range unsupported {
		m := tiny("bert")
		change(m)
		_, err := Open(m.writeIn(t), Options{})
		var refused *UnsupportedError
		if !errors.As(err, &refused) || refused.What == "" || refused.Reason == "" {
			t.Errorf("%s: %v is no *UnsupportedError", name, err)
		}
	}
	for name, change := range damaged {
		m := tiny("bert")
		shapes := m.shapes() // those of the sound configuration
		change(m)
		if m.change != nil {
			m.change(shapes)
		}
		m.tensors = shapes
		_, err := Open(m.writeIn(t), Options{})
		var wrong *ModelError
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v is no *ModelError", name, err)
		}
	}
	missing := tiny("bert")
	missing.change = func(s map[string][]int) { delete(s, "encoder.layer.2.attention.self.key.bias") }
	if _, err := Open(missing.writeIn(t), Options{}); !errors.Is(err, weights.ErrNoTensor) {
		t.Errorf("a missing tensor: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

// TestOverflow has weights that are finite, but give states that are not.
func TestOverflow(t *testing.T) {
	m := tiny("bert")
	m.edit = func(name string, v []float32) {
		for i := range v {
			v[i] *= 1e30
		}
	}
	e := open(t, m.writeIn(t), Options{})
	_, err := e.Encode(context.Background(), embed.RoleDocument, []string{"fox"})
	var refused *embed.TextError
	if !errors.As(err, &refused) || refused.Index != 0 || !errors.Is(err, compat.ErrNotFinite) {
		t.Errorf("states that overflow: %v", err)
	}
}

// TestRotaryRefused has what is special to the rotary families.
func TestRotaryRefused(t *testing.T) {
	for key, value := range map[string]any{
		"num_experts": 8, "activation_function": "gelu", "rotary_emb_fraction": 0.5, "rotary_emb_interleaved": true,
		"prenorm": true, "causal": true, "mlp_fc1_bias": true,
	} {
		m := tiny("nomic_bert")
		m.config[key] = value
		_, err := Open(m.writeIn(t), Options{})
		var refused *UnsupportedError
		if !errors.As(err, &refused) {
			t.Errorf("%s %v: %v is no *UnsupportedError", key, value, err)
		}
	}
	var wrong *ModelError
	for key, value := range map[string]any{
		"global_rope_theta": -1.0, "local_attention": -4, "global_attn_every_n_layers": 0, "num_attention_heads": 8,
		"attention_bias": true, "norm_bias": true,
	} {
		m := tiny("modernbert")
		m.config[key] = value
		if _, err := Open(m.writeIn(t), Options{}); !errors.As(err, &wrong) && !errors.Is(err, weights.ErrNoTensor) {
			t.Errorf("%s %v: %v is no *ModelError", key, value, err)
		}
	}
	// The same windows in the words of newer files.
	m := tiny("modernbert")
	dir := m.writeIn(t)
	want := open(t, dir, Options{}).Space()
	delete(m.config, "global_attn_every_n_layers")
	m.config["layer_types"] = []string{"full_attention", "sliding_attention", "sliding_attention", "full_attention", "sliding_attention"}
	if got := open(t, m.writeIn(t), Options{}).Space(); got != want {
		t.Errorf("layer_types give another space")
	}
	// A longer text than was trained, where the angles would depend on its batch.
	m = tiny("nomic_bert")
	m.config["rotary_scaling_factor"], m.config["max_trained_positions"] = 2, 128
	if got := open(t, m.writeIn(t), Options{}).Space().MaxTokens; got != 128 {
		t.Errorf("with scaled angles %d tokens, want 128", got)
	}
}

// TestBytes: a model takes the memory of its files and of the packed weights, which
// are a quarter in int8.
func TestBytes(t *testing.T) {
	dir := tiny("bert").writeIn(t)
	file, err := os.Stat(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	packed := map[compat.Precision]int64{}
	for _, precision := range []compat.Precision{compat.PrecisionF32, compat.PrecisionInt8} {
		e := open(t, dir, Options{Precision: precision})
		packed[precision] = e.Bytes() - file.Size()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if f32, i8 := packed[compat.PrecisionF32], packed[compat.PrecisionInt8]; i8 <= 0 || f32 != 4*i8 {
		t.Errorf("packed weights of %d bytes in f32, of %d in int8", f32, i8)
	}
}
