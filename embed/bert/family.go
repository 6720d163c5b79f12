package bert

import (
	"fmt"
)

// family is one kind of transformer: how its configuration is read, and how its
// tensors are called.
type family struct {
	modelType string // model_type of config.json
	class     string // how its classes' names begin
	prefixes  []string
	tensors   tensors
	design    func(c *config, dir string) (design, error)
}

// tensors are the names of a family. Those of layers stand behind the layer's
// name; ".weight" and ".bias" follow. Empty: there is none.
type tensors struct {
	word, position, types   string
	embeddingNorm, lastNorm string
	relative                string
	layer                   string // with %d
	query, key, value       string // or
	qkv                     string // all three in one
	out                     string
	attentionNorm           string
	up, gate                string // or
	upGate                  string // both in one, up first
	down                    string
	innerNorm               string
}

// families are all that this version runs.
func families() []family {
	return []family{
		{modelType: "bert", class: "Bert", prefixes: []string{"", "bert.", "model."}, tensors: bertTensors(), design: bertDesign},
		{modelType: "roberta", class: "Roberta", prefixes: []string{"", "roberta."}, tensors: bertTensors(), design: robertaDesign},
		{modelType: "xlm-roberta", class: "XLMRoberta", prefixes: []string{"", "roberta."}, tensors: bertTensors(), design: robertaDesign},
		{modelType: "camembert", class: "Camembert", prefixes: []string{"", "roberta."}, tensors: bertTensors(), design: robertaDesign},
		{modelType: "distilbert", class: "DistilBert", prefixes: []string{"", "distilbert."}, tensors: distilTensors(), design: distilDesign},
		{modelType: "mpnet", class: "MPNet", prefixes: []string{"", "mpnet."}, tensors: mpnetTensors(), design: mpnetDesign},
		{modelType: "nomic_bert", class: "NomicBert", prefixes: []string{"", "bert."}, tensors: nomicTensors(), design: nomicDesign},
		{modelType: "modernbert", class: "ModernBert", prefixes: []string{"", "model."}, tensors: modernTensors(), design: modernDesign},
	}
}

// bertTensors are the names of BERT (Devlin et al., 2018) and of RoBERTa (Liu et
// al., 2019) in transformers.
func bertTensors() tensors {
	return tensors{
		word: "embeddings.word_embeddings.weight", position: "embeddings.position_embeddings.weight",
		types: "embeddings.token_type_embeddings.weight", embeddingNorm: "embeddings.LayerNorm",
		layer: "encoder.layer.%d.",
		query: "attention.self.query", key: "attention.self.key", value: "attention.self.value",
		out: "attention.output.dense", attentionNorm: "attention.output.LayerNorm",
		up: "intermediate.dense", down: "output.dense", innerNorm: "output.LayerNorm",
	}
}

func bertDesign(c *config, dir string) (design, error) {
	d := design{
		Hidden: c.HiddenSize, Heads: c.Heads, Layers: c.Layers, Inner: c.Inner, Vocab: c.Vocab,
		Positions: c.Positions, Types: c.Types, Eps: or(c.LayerNormEps, 1e-12),
		AttentionBias: true, InnerBias: true, NormBias: true, LearnedPositions: true, PadID: -1,
	}
	switch {
	case c.PositionType != "" && c.PositionType != "absolute":
		return d, unsupported(dir, fmt.Sprintf("position_embedding_type %q", short(c.PositionType)), `only "absolute" is`)
	case c.IsDecoder:
		return d, unsupported(dir, "is_decoder", "a decoder's attention looks backwards only")
	case c.EmbeddingSize != 0 && c.EmbeddingSize != c.HiddenSize:
		return d, unsupported(dir, fmt.Sprintf("embedding_size %d", c.EmbeddingSize), "embeddings must be as wide as the layers")
	}
	var err error
	d.Activation, err = activationOf(dir, "hidden_act", c.Activation)
	return d, err
}

// robertaDesign differs by its positions, which count from behind the padding
// token's id.
func robertaDesign(c *config, dir string) (design, error) {
	d, err := bertDesign(c, dir)
	d.PadID = or(c.PadID, 1)
	if d.PadID < 0 {
		d.PadID = -2 // refused with the other numbers
	}
	return d, err
}

// distilTensors are the names of DistilBERT (Sanh et al., 2019).
func distilTensors() tensors {
	return tensors{
		word: "embeddings.word_embeddings.weight", position: "embeddings.position_embeddings.weight",
		embeddingNorm: "embeddings.LayerNorm",
		layer:         "transformer.layer.%d.",
		query:         "attention.q_lin", key: "attention.k_lin", value: "attention.v_lin", out: "attention.out_lin",
		attentionNorm: "sa_layer_norm", up: "ffn.lin1", down: "ffn.lin2", innerNorm: "output_layer_norm",
	}
}

func distilDesign(c *config, dir string) (design, error) {
	d := design{
		Hidden: c.DistilDim, Heads: c.DistilHeads, Layers: c.DistilLayers, Inner: c.DistilInner, Vocab: c.Vocab,
		Positions: c.Positions, Eps: 1e-12, // DistilBERT's is no setting
		AttentionBias: true, InnerBias: true, NormBias: true, LearnedPositions: true, PadID: -1,
	}
	var err error
	d.Activation, err = activationOf(dir, "activation", c.DistilActivation)
	return d, err
}

// mpnetTensors are the names of MPNet (Song et al., 2020).
func mpnetTensors() tensors {
	t := bertTensors()
	t.types, t.relative = "", "encoder.relative_attention_bias.weight"
	t.query, t.key, t.value = "attention.attn.q", "attention.attn.k", "attention.attn.v"
	t.out, t.attentionNorm = "attention.attn.o", "attention.LayerNorm"
	return t
}

// mpnetPadID is MPNet's, which is no setting of its positions.
const mpnetPadID = 1

func mpnetDesign(c *config, dir string) (design, error) {
	d, err := bertDesign(c, dir)
	d.Types, d.PadID, d.Buckets = 0, mpnetPadID, or(c.RelativeBuckets, 32)
	if err == nil && (d.Buckets < 4 || d.Buckets > 256 || d.Buckets%4 != 0) {
		err = wrong(dir, "config.json: %d buckets of relative positions", d.Buckets)
	}
	return d, err
}
