package bert

import (
	"fmt"
	"strings"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/f32"
)

// pooling is how the states of a text's tokens become one vector.
type pooling struct {
	kind          compat.Pooling
	includePrompt bool // tokens of the prompt are pooled too
	width         int  // of the states, as the file says; 0: not said
}

// readPooling reads the configuration of a Pooling module.
func readPooling(dir, path string) (pooling, error) {
	var c struct {
		Width         int    `json:"word_embedding_dimension"`
		CLS           bool   `json:"pooling_mode_cls_token"`
		Mean          bool   `json:"pooling_mode_mean_tokens"`
		Max           bool   `json:"pooling_mode_max_tokens"`
		MeanSqrt      bool   `json:"pooling_mode_mean_sqrt_len_tokens"`
		WeightedMean  bool   `json:"pooling_mode_weightedmean_tokens"`
		Last          bool   `json:"pooling_mode_lasttoken"`
		Mode          string `json:"pooling_mode"` // the same in newer files
		IncludePrompt *bool  `json:"include_prompt"`
	}
	has, err := readJSON(path, &c)
	if err != nil {
		return pooling{}, err
	}
	if !has {
		return pooling{}, wrong(path, "modules.json names a Pooling module, but there is no such file")
	}
	p := pooling{includePrompt: or(c.IncludePrompt, true), width: c.Width}
	var modes []string
	for _, m := range []struct {
		name string
		on   bool
		kind compat.Pooling
	}{
		{"cls", c.CLS, compat.PoolingCLS},
		{"mean", c.Mean, compat.PoolingMean},
		{"max", c.Max, compat.PoolingMax},
		{"lasttoken", c.Last, compat.PoolingLast},
		{"mean_sqrt_len_tokens", c.MeanSqrt, ""},
		{"weightedmean", c.WeightedMean, ""},
	} {
		if m.on || c.Mode == m.name {
			modes, p.kind = append(modes, m.name), m.kind
		}
	}
	if len(modes) != 1 || p.kind == "" {
		return p, unsupported(dir, fmt.Sprintf("pooling by %q", strings.Join(append(modes, short(c.Mode)), " ")), "exactly one of cls, mean, max and lasttoken is")
	}
	return p, nil
}

// pool sets dst to the vector of one text: states are its tokens', row-major.
// With a prompt that isn't pooled, skip is how many tokens at the start are the
// prompt's and special ones before it; one token at least is left. The first
// token stands for the text (CLS) in any case.
func (p pooling) pool(dst, states []float32, skip int) {
	width := len(dst)
	tokens := len(states) / width
	skip = min(skip, tokens-1)
	rest := states[skip*width:]
	switch p.kind {
	case compat.PoolingCLS:
		copy(dst, states)
	case compat.PoolingLast:
		copy(dst, states[(tokens-1)*width:])
	case compat.PoolingMax:
		copy(dst, rest)
		for rest = rest[width:]; len(rest) > 0; rest = rest[width:] {
			for i, x := range rest[:width] {
				dst[i] = max(dst[i], x)
			}
		}
	default:
		clear(dst)
		for ; len(rest) > 0; rest = rest[width:] {
			f32.Add(dst, rest[:width])
		}
		f32.Scale(dst, 1/float32(tokens-skip))
	}
}
