package bert

import (
	"fmt"
	"slices"
)

// nomicConfig is the part of config.json that only nomic-bert has
// (github.com/nomic-ai/contrastors; Nussbaum et al., 2024).
type nomicConfig struct {
	NomicEmbd         int      `json:"n_embd"`
	NomicHeads        int      `json:"n_head"`
	NomicLayers       int      `json:"n_layer"`
	NomicInner        int      `json:"n_inner"`
	NomicPositions    int      `json:"n_positions"`
	NomicTrained      int      `json:"max_trained_positions"`
	NomicActivation   string   `json:"activation_function"`
	NomicEps          *float64 `json:"layer_norm_epsilon"`
	RotaryFraction    float64  `json:"rotary_emb_fraction"`
	RotaryBase        *float64 `json:"rotary_emb_base"`
	RotaryInterleaved bool     `json:"rotary_emb_interleaved"`
	RotaryScaleBase   *float64 `json:"rotary_emb_scale_base"`
	RotaryScaling     *float64 `json:"rotary_scaling_factor"`
	QKVBias           *bool    `json:"qkv_proj_bias"`
	InnerBias1        *bool    `json:"mlp_fc1_bias"`
	InnerBias2        *bool    `json:"mlp_fc2_bias"`
	PreNorm           bool     `json:"prenorm"`
	ParallelBlock     bool     `json:"parallel_block"`
	RMSNorm           bool     `json:"use_rms_norm"`
	NumExperts        int      `json:"num_experts"`
	Causal            bool     `json:"causal"`
	ScaleByLayer      bool     `json:"scale_attn_by_inverse_layer_idx"`
	ScaleAttention    *bool    `json:"scale_attn_weights"`
}

func nomicTensors() tensors {
	return tensors{
		word: "embeddings.word_embeddings.weight", types: "embeddings.token_type_embeddings.weight", embeddingNorm: "emb_ln",
		layer: "encoder.layers.%d.", qkv: "attn.Wqkv", out: "attn.out_proj", attentionNorm: "norm1",
		up: "mlp.fc12", gate: "mlp.fc11", down: "mlp.fc2", innerNorm: "norm2",
	}
}

func nomicDesign(c *config, dir string) (design, error) {
	d := design{
		Hidden: c.NomicEmbd, Heads: c.NomicHeads, Layers: c.NomicLayers, Inner: c.NomicInner, Vocab: c.Vocab,
		Positions: c.NomicPositions, Types: c.Types, Eps: or(c.NomicEps, 1e-5), Activation: silu, Gated: true,
		AttentionBias: or(c.QKVBias, true), InnerBias: or(c.InnerBias1, true), NormBias: true,
		PadID: -1, Theta: or(c.RotaryBase, 10000),
	}
	if or(c.RotaryScaling, 1) != 1 && c.NomicTrained > 0 {
		// Longer texts would be scaled by the length of the batch they are in.
		d.Positions = min(d.Positions, c.NomicTrained)
	}
	var what, reason string
	switch {
	case c.NumExperts > 0:
		what, reason = "a mixture of experts", "one feed-forward part for all tokens is"
	case c.NomicActivation != "swiglu":
		what, reason = fmt.Sprintf("activation_function %q", short(c.NomicActivation)), "of nomic-bert only swiglu is"
	case c.RotaryFraction != 1:
		what, reason = fmt.Sprintf("rotary_emb_fraction %g", c.RotaryFraction), "only rotary positions of whole heads (1) are"
	case c.RotaryInterleaved || c.RotaryScaleBase != nil:
		what, reason = "rotary_emb_interleaved or rotary_emb_scale_base", "only rotary positions by halves, without scale, are"
	case c.PreNorm || c.ParallelBlock || c.RMSNorm || c.Causal || c.ScaleByLayer || !or(c.ScaleAttention, true):
		what, reason = "prenorm, parallel_block, use_rms_norm, causal or another scale of attention", "of nomic-bert only its published form is"
	case or(c.InnerBias1, true) != or(c.InnerBias2, true):
		what, reason = "mlp_fc1_bias other than mlp_fc2_bias", "both or neither are"
	default:
		return d, nil
	}
	return d, &UnsupportedError{Dir: dir, What: what, Reason: reason}
}

// modernConfig is the part of config.json that only ModernBERT has (Warner et
// al., 2024).
type modernConfig struct {
	ModernActivation string   `json:"hidden_activation"`
	ModernEps        *float64 `json:"norm_eps"`
	AttentionBias    bool     `json:"attention_bias"`
	MLPBias          bool     `json:"mlp_bias"`
	NormBias         bool     `json:"norm_bias"`
	GlobalEvery      *int     `json:"global_attn_every_n_layers"`
	LocalAttention   *int     `json:"local_attention"`
	GlobalTheta      *float64 `json:"global_rope_theta"`
	LocalTheta       *float64 `json:"local_rope_theta"`
	LayerTypes       []string `json:"layer_types"`
	RopeParameters   map[string]struct {
		Type  string   `json:"rope_type"`
		Theta *float64 `json:"rope_theta"`
	} `json:"rope_parameters"`
}

func modernTensors() tensors {
	return tensors{
		word: "embeddings.tok_embeddings.weight", embeddingNorm: "embeddings.norm", lastNorm: "final_norm",
		layer: "layers.%d.", qkv: "attn.Wqkv", out: "attn.Wo", attentionNorm: "attn_norm",
		upGate: "mlp.Wi", down: "mlp.Wo", innerNorm: "mlp_norm",
	}
}

func modernDesign(c *config, dir string) (design, error) {
	d := design{
		Hidden: c.HiddenSize, Heads: c.Heads, Layers: c.Layers, Inner: c.Inner, Vocab: c.Vocab,
		Positions: c.Positions, Eps: or(c.ModernEps, 1e-5), Gated: true, PreNorm: true,
		AttentionBias: c.AttentionBias, InnerBias: c.MLPBias, NormBias: c.NormBias, PadID: -1,
		Theta: or(c.GlobalTheta, 160000), LocalTheta: or(c.LocalTheta, 10000),
		// The width counts both sides (sliding_window_mask in transformers).
		Window: or(c.LocalAttention, 128) / 2, GlobalEvery: or(c.GlobalEvery, 3),
	}
	// Newer files say the same by layer_types and rope_parameters.
	for kind, theta := range map[string]*float64{"full_attention": &d.Theta, "sliding_attention": &d.LocalTheta} {
		r, ok := c.RopeParameters[kind]
		if ok && r.Type != "" && r.Type != "default" {
			return d, unsupported(dir, fmt.Sprintf("rope_type %q", short(r.Type)), `only "default" is`)
		}
		if ok && r.Theta != nil {
			*theta = *r.Theta
		}
	}
	if c.LayerTypes != nil {
		if len(c.LayerTypes) != c.Layers {
			return d, wrong(dir, "config.json: %d layer_types for %d layers", len(c.LayerTypes), c.Layers)
		}
		if next := slices.Index(c.LayerTypes[min(1, len(c.LayerTypes)):], "full_attention"); c.GlobalEvery == nil {
			d.GlobalEvery = next + 1
			if next < 0 {
				d.GlobalEvery = len(c.LayerTypes) + 1
			}
		}
		for i, kind := range c.LayerTypes {
			if want := map[bool]string{true: "sliding_attention", false: "full_attention"}[d.local(i)]; d.GlobalEvery < 1 || kind != want {
				return d, unsupported(dir, fmt.Sprintf("layer_types with %q at %d", short(kind), i), "only full_attention at regular distances, from the first layer on, is")
			}
		}
	}
	var err error
	name := c.ModernActivation
	if name == "" {
		name = "gelu"
	}
	d.Activation, err = activationOf(dir, "hidden_activation", name)
	return d, err
}
