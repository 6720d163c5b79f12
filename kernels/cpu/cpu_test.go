package cpu

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSupported(t *testing.T) {
	tiers := Supported()
	if tiers[0] != Generic || !slices.IsSorted(tiers) {
		t.Fatalf("supported tiers: %v, want them ascending from generic", tiers)
	}
	if selectErr == nil && !slices.Contains(tiers, Active()) {
		t.Fatalf("%s runs, of %v", Active(), tiers)
	}
}

func TestChoose(t *testing.T) {
	supported := []Tier{Generic, AVX2, AVX512}
	for _, c := range []struct {
		name  string
		want  Tier
		known bool
		bad   bool
	}{
		{name: "", want: AVX512},
		{name: "avx2", want: AVX2},
		{name: "AVX2", want: AVX2},
		{name: "generic", want: Generic},
		{name: "avx512vnni", want: AVX512, known: true, bad: true},
		{name: "neon", want: AVX512, known: true, bad: true},
		{name: "sse9", want: AVX512, bad: true},
	} {
		got := choose(c.name, supported)
		if got.tier != c.want || (got.err != nil) != c.bad {
			t.Errorf("%q: %s, error %v", c.name, got.tier, got.err)
		}
		if !c.bad {
			continue
		}
		var te *TierError
		if !errors.As(got.err, &te) || te.Known != c.known || te.Name != c.name {
			t.Errorf("%q: error %#v", c.name, got.err)
		}
		if s := got.err.Error(); !strings.Contains(s, "generic, avx2, avx512") || !strings.Contains(s, EnvKernels) {
			t.Errorf("%q: the error doesn't say what to do: %s", c.name, s)
		}
	}
}

func TestForce(t *testing.T) {
	was := Active()
	for _, tier := range Supported() {
		restore, err := Force(tier)
		if err != nil || Active() != tier {
			t.Fatalf("forcing %s: %v, %s runs", tier, err, Active())
		}
		restore()
		if Active() != was {
			t.Fatalf("%s runs after %s was restored", Active(), was)
		}
	}
	restore, err := Force(numTiers)
	restore()
	if err == nil || Active() != was {
		t.Fatalf("forcing a tier that doesn't exist: %v, %s runs", err, Active())
	}
}
