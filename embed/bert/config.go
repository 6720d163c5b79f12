package bert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/compat"
)

// Bounds of what config.json may claim. They only keep arithmetic from
// overflowing: what is allocated follows the tensors that the weights have.
const (
	maxWidth  = compat.MaxDimension
	maxLayers = 1024
	maxRows   = 1 << 30
)

// config is the part of config.json that matters here, under the names of all
// families.
type config struct {
	ModelType     string   `json:"model_type"`
	Architectures []string `json:"architectures"`

	HiddenSize       int      `json:"hidden_size"`
	Layers           int      `json:"num_hidden_layers"`
	Heads            int      `json:"num_attention_heads"`
	Inner            int      `json:"intermediate_size"`
	Vocab            int      `json:"vocab_size"`
	Types            int      `json:"type_vocab_size"`
	Positions        int      `json:"max_position_embeddings"`
	Activation       string   `json:"hidden_act"`
	LayerNormEps     *float64 `json:"layer_norm_eps"`
	PositionType     string   `json:"position_embedding_type"`
	PadID            *int     `json:"pad_token_id"`
	IsDecoder        bool     `json:"is_decoder"`
	RelativeBuckets  *int     `json:"relative_attention_num_buckets"` // MPNet
	EmbeddingSize    int      `json:"embedding_size"`
	MatryoshkaSizes  []int    `json:"matryoshka_dimensions"`
	AnyMatryoshka    bool     `json:"is_matryoshka"`
	DistilDim        int      `json:"dim"` // DistilBERT
	DistilLayers     int      `json:"n_layers"`
	DistilHeads      int      `json:"n_heads"`
	DistilInner      int      `json:"hidden_dim"`
	DistilActivation string   `json:"activation"`

	nomicConfig
	modernConfig
}

// design is what a configuration comes to, whatever the family: all that,
// beside the weights, decides the floats. Its JSON is part of the digest of a
// model, so a new field wants omitempty.
type design struct {
	Family                                         string
	Hidden, Heads, Layers, Inner, Vocab, Positions int
	Types                                          int     `json:",omitempty"`
	Eps                                            float64 // of all layer norms
	Activation                                     activation
	Gated                                          bool    `json:",omitempty"` // act(up) * gate
	PreNorm                                        bool    `json:",omitempty"` // norms before the parts of a layer, not behind
	AttentionBias                                  bool    // of the linear layers around attention
	InnerBias                                      bool    // of the feed-forward layers
	NormBias                                       bool    // of the layer norms
	LearnedPositions                               bool    // there is a table of positions
	PadID                                          int     // rows of positions count from PadID+1, and padding has row PadID; -1: from 0
	Buckets                                        int     `json:",omitempty"` // of relative positions
	Theta                                          float64 `json:",omitempty"` // of rotary positions
	LocalTheta                                     float64 `json:",omitempty"` // of layers that look at a window
	Window                                         int     `json:",omitempty"` // tokens to each side
	GlobalEvery                                    int     `json:",omitempty"` // every such layer, from the first, looks at all
}

// maxTokens is the most tokens of a text that there are positions for.
func (d *design) maxTokens() int {
	if !d.LearnedPositions {
		return min(d.Positions, compat.MaxTokensLimit)
	}
	return min(d.Positions-d.PadID-1, compat.MaxTokensLimit)
}

// headSize is the width of an attention head.
func (d *design) headSize() int { return d.Hidden / d.Heads }

// local reports whether layer i looks at a window only.
func (d *design) local(i int) bool { return d.Window > 0 && i%d.GlobalEvery != 0 }

// architecture is what config.json calls the model.
func (c *config) architecture() string {
	switch {
	case len(c.Architectures) > 0:
		return short(c.Architectures[0])
	case c.ModelType != "":
		return short(c.ModelType)
	default:
		return "unknown"
	}
}

// family finds the family of the configuration.
func (c *config) family(dir string) (family, error) {
	for _, f := range families() {
		if f.modelType != c.ModelType && !(c.ModelType == "" && len(c.Architectures) > 0 && strings.HasPrefix(c.Architectures[0], f.class)) {
			continue
		}
		if len(c.Architectures) > 0 && !strings.HasPrefix(c.Architectures[0], f.class) {
			break // custom code under a common type
		}
		return f, nil
	}
	var known []string
	for _, f := range families() {
		known = append(known, f.modelType)
	}
	return family{}, unsupported(dir, fmt.Sprintf("architecture %q (model_type %q)", c.architecture(), short(c.ModelType)),
		"this version runs %s", strings.Join(known, ", "))
}

// design checks the configuration and makes the design of its family.
func (c *config) design(dir string, f family) (design, error) {
	d, err := f.design(c, dir)
	if err != nil {
		return d, err
	}
	d.Family = f.modelType
	switch {
	case d.Hidden < 1 || d.Hidden > maxWidth:
		return d, wrong(dir, "config.json: a hidden size of %d", d.Hidden)
	case d.Heads < 1 || d.Hidden%d.Heads != 0:
		return d, wrong(dir, "config.json: %d attention heads for a hidden size of %d", d.Heads, d.Hidden)
	case d.Layers < 1 || d.Layers > maxLayers:
		return d, wrong(dir, "config.json: %d layers", d.Layers)
	case d.Inner < 1 || d.Inner > maxWidth:
		return d, wrong(dir, "config.json: a feed-forward size of %d", d.Inner)
	case d.Vocab < 1 || d.Vocab > maxRows || d.Positions < 1 || d.Positions > maxRows || d.Types < 0 || d.Types > maxRows:
		return d, wrong(dir, "config.json: %d tokens, %d positions, %d token types", d.Vocab, d.Positions, d.Types)
	case d.PadID < -1 || d.maxTokens() < 1:
		return d, wrong(dir, "config.json: a padding token %d for %d positions", d.PadID, d.Positions)
	case !(d.Eps >= 0 && d.Eps <= 1):
		return d, wrong(dir, "config.json: a layer norm epsilon of %g", d.Eps)
	case (d.Theta != 0 || d.LocalTheta != 0) && (d.headSize()%2 != 0 || !(d.Theta > 0) || !(d.LocalTheta >= 0)):
		return d, wrong(dir, "config.json: rotary positions of base %g and %g for heads of %d", d.Theta, d.LocalTheta, d.headSize())
	case d.Window < 0 || d.Window > maxRows || d.Window > 0 && d.GlobalEvery < 1:
		return d, wrong(dir, "config.json: attention to %d tokens on each side, and to all in every %d layers", d.Window, d.GlobalEvery)
	}
	return d, nil
}

// activation of a feed-forward part, by our name.
type activation string

const (
	gelu     activation = "gelu"
	geluTanh activation = "gelu_tanh"
	relu     activation = "relu"
	silu     activation = "silu"
)

// activationOf knows the names of transformers' activations.py.
func activationOf(dir, key, name string) (activation, error) {
	switch name {
	case "gelu", "gelu_python":
		return gelu, nil
	case "gelu_new", "gelu_pytorch_tanh", "gelu_fast":
		return geluTanh, nil
	case "relu":
		return relu, nil
	case "silu", "swish":
		return silu, nil
	}
	return "", unsupported(dir, fmt.Sprintf("%s %q", key, short(name)), "the activations gelu, gelu_new, gelu_pytorch_tanh, relu and silu are")
}

// or gives the default of a value that isn't there.
func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// matryoshka is the declared dimensions below full, ascending.
func matryoshka(full int, lists ...[]int) []int {
	all := slices.Concat(lists...)
	all = slices.DeleteFunc(all, func(d int) bool { return d < 1 || d >= full })
	slices.Sort(all)
	return slices.Compact(all)
}
