package compat

import (
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestProbeTexts(t *testing.T) {
	texts := ProbeTexts()
	if len(texts) != 8 || len(texts) > MaxProbes {
		t.Fatalf("%d probe texts", len(texts))
	}
	seen := map[string]bool{}
	for _, text := range texts {
		if seen[text] || !utf8.ValidString(text) || strings.TrimSpace(text) != text || text == "" {
			t.Errorf("probe text %q", text)
		}
		seen[text] = true
	}
	texts[0] = "changed"
	if ProbeTexts()[0] == "changed" {
		t.Error("a caller can change the probe texts of others")
	}
}

func TestCompareProbes(t *testing.T) {
	a, b := []float32{1, 2, 3, 4}, []float32{4, -3, 2, 1}
	near := []float32{1.000001, 2, 3, 3.999999}
	off := []float32{1, 2, 3, 4.5}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	zero := make([]float32, 4)
	type rows = [][]float32
	for _, c := range []struct {
		name            string
		stored          []Probe
		document, query rows
		err             error
		says            string
	}{
		{"the same", []Probe{{"x", a, b}}, rows{a}, rows{b}, nil, ""},
		{"other last bits", []Probe{{"x", a, b}}, rows{near}, rows{b}, nil, ""},
		{"absent in both", []Probe{{"x", a, b}, {"y", nil, nil}}, rows{a, nil}, rows{b, {}}, nil, ""},
		{"zero in both", []Probe{{"x", a, zero}}, rows{a}, rows{zero}, nil, ""},
		{"another document vector", []Probe{{"x", a, b}}, rows{off}, rows{b}, ErrProbe, "document role"},
		{"another query vector", []Probe{{"x", a, b}}, rows{a}, rows{a}, ErrProbe, "query role"},
		{"roles swapped", []Probe{{"x", a, b}}, rows{b}, rows{a}, ErrProbe, "cosine"},
		{"the opposite", []Probe{{"x", a, nil}}, rows{{-1, -2, -3, -4}}, rows{nil}, ErrProbe, "-1.000000"},
		{"twice as long", []Probe{{"x", a, b}}, rows{{2, 4, 6, 8}}, rows{b}, ErrProbe, "length"},
		{"gone", []Probe{{"x", a, b}}, rows{nil}, rows{b}, ErrProbe, "none now"},
		{"come", []Probe{{"x", a, nil}}, rows{a}, rows{b}, ErrProbe, "some now"},
		{"become zero", []Probe{{"x", a, b}}, rows{zero}, rows{b}, ErrProbe, "cosine"},
		{"been zero", []Probe{{"x", zero, b}}, rows{a}, rows{b}, ErrProbe, "cosine"},
		{"NaN", []Probe{{"x", a, b}}, rows{{1, 2, 3, nan}}, rows{b}, ErrProbe, "NaN"},
		{"infinite", []Probe{{"x", a, b}}, rows{{1, 2, 3, inf}}, rows{b}, ErrProbe, "cosine"},
		{"stored NaN", []Probe{{"x", []float32{nan}, b}}, rows{{nan}}, rows{b}, ErrProbe, "NaN"},
		{"another dimension", []Probe{{"x", a, b}}, rows{{1, 2, 3}}, rows{b}, ErrProbe, "dimension"},
		{"the second text", []Probe{{"x", a, b}, {"second", a, b}}, rows{a, off}, rows{b, b}, ErrProbe, `"second"`},
		{"no probes", nil, nil, nil, ErrNoProbes, ""},
		{"nothing but absent ones", []Probe{{"x", nil, nil}}, rows{nil}, rows{nil}, ErrNoProbes, ""},
		{"nothing but zeros", []Probe{{"x", zero, zero}}, rows{zero}, rows{zero}, ErrNoProbes, ""},
	} {
		worst, err := CompareProbes(c.stored, c.document, c.query)
		if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v saying %q", c.name, err, c.err, c.says)
		}
		if err == nil && !(worst >= MinProbeCosine && worst <= 1+1e-9) {
			t.Errorf("%s: the worst cosine is %v", c.name, worst)
		}
		var detail *ProbeError
		if (c.err == ErrProbe) != errors.As(err, &detail) {
			t.Errorf("%s: %v is no ProbeError", c.name, err)
		}
	}
	if _, err := CompareProbes([]Probe{{"x", a, b}}, nil, rows{b}); err == nil {
		t.Error("too few rows pass")
	}
}

// TestCompareProbesThreshold: the border lies at a cosine of 0.999.
func TestCompareProbesThreshold(t *testing.T) {
	at := func(cosine float64) []float32 {
		return []float32{float32(cosine), float32(math.Sqrt(1 - cosine*cosine))}
	}
	stored := []Probe{{Text: "x", Document: []float32{1, 0}}}
	for cosine, ok := range map[float64]bool{0.9991: true, 0.9989: false, 0.99901: true, 0.99899: false} {
		worst, err := CompareProbes(stored, [][]float32{at(cosine)}, [][]float32{nil})
		if (err == nil) != ok || math.Abs(worst-cosine) > 1e-6 {
			t.Errorf("cosine %v: %v, %v", cosine, worst, err)
		}
	}
}
