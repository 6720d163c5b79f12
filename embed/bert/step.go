package bert

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/gemm"
)

// step is what is done to vectors after pooling: scaled to length 1, or sent
// through a dense layer.
type step struct {
	normalize bool
	dense     linear
	in, out   int
	tanh      bool
}

// readDense loads a Dense module that takes vectors of width in.
func readDense(dir string, in int) (step, compat.Digest, error) {
	var c struct {
		In         int    `json:"in_features"`
		Out        int    `json:"out_features"`
		Bias       *bool  `json:"bias"`
		Activation string `json:"activation_function"`
	}
	at := filepath.Join(dir, "config.json")
	has, err := readJSON(at, &c)
	if err != nil {
		return step{}, compat.Digest{}, err
	}
	if !has {
		return step{}, compat.Digest{}, wrong(at, "modules.json names a Dense module, but there is no such file")
	}
	if c.In != in || c.Out < 1 || c.Out > compat.MaxDimension {
		return step{}, compat.Digest{}, wrong(at, "a dense layer of %d to %d features behind vectors of %d", c.In, c.Out, in)
	}
	s := step{in: c.In, out: c.Out}
	switch name := c.Activation[strings.LastIndexByte(c.Activation, '.')+1:]; name {
	case "Tanh":
		s.tanh = true
	case "Identity":
	case "":
		s.tanh = true // sentence-transformers' default
	default:
		return s, compat.Digest{}, unsupported(dir, fmt.Sprintf("activation_function %q", short(c.Activation)), "of a dense module Tanh and Identity are")
	}
	file, err := weights.OpenDir(dir)
	if err != nil {
		return s, compat.Digest{}, err
	}
	defer file.Close()
	l := &loader{dir: dir, file: file, precision: compat.PrecisionF32}
	s.dense, err = l.linear("linear", s.out, s.in, or(c.Bias, true))
	if err == nil && s.dense.bias != nil {
		s.dense.bias = append([]float32(nil), s.dense.bias...) // the file's memory goes
	}
	return s, file.Digest(), err
}

// name says what decides the floats of a step beside its weights.
func (s *step) name() string {
	switch {
	case s.normalize:
		return "normalize"
	case s.tanh:
		return "dense tanh"
	default:
		return "dense"
	}
}

// apply takes rows of vectors through the step, to the next buffer or in place.
func (s *step) apply(rows []float32, width int, next *[]float32) ([]float32, int) {
	if s.normalize {
		for at := 0; at < len(rows); at += width {
			f32.Normalize(rows[at : at+width])
		}
		return rows, width
	}
	n := len(rows) / width
	out := grow(next, n*s.out)
	gemm.Mul(out, s.out, rows, s.in, n, s.dense.floats, gemm.Epilogue{Bias: s.dense.bias})
	if s.tanh {
		for i, x := range out {
			out[i] = float32(math.Tanh(float64(x)))
		}
	}
	return out, s.out
}
