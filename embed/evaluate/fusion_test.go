package evaluate

import "testing"

// TestFuse compares with rankings worked out by hand.
func TestFuse(t *testing.T) {
	c := Collection{IDs: []string{"a", "b", "c"}, Documents: make([]string, 3), Queries: []string{"q"}, Gains: []map[string]float64{{"b": 1}}}
	// Reciprocal ranks: a 1/61+1/63, b 1/62+1/61, c 1/63+1/62: b first. By
	// scores a is far ahead in the first run and hardly behind in the second.
	one := [][]Ranked{{{0, .9}, {1, .2}, {2, .1}}}
	two := [][]Ranked{{{1, .52}, {2, .51}, {0, .5}}}
	if got := Fuse(c, FusionRRF, one, two)[0].RR10; got != 1 {
		t.Errorf("rrf: 1/rank %g, want 1", got)
	}
	// z against the last: one: deviation .3559: a 2.248, b .281, c 0; two:
	// deviation .00816: b 2.449, c 1.225, a 0. Sums: b 2.730, a 2.248, c 1.225.
	c.Gains[0] = map[string]float64{"a": 1}
	if got := Fuse(c, FusionZScore, one, two)[0].RR10; got != 0.5 {
		t.Errorf("zscore: 1/rank %g, want 1/2", got)
	}
	if got := Fuse(c, FusionRRF, one, two)[0].RR10; got != 0.5 {
		t.Errorf("rrf: 1/rank of a %g, want 1/2", got)
	}
	if got := Fuse(c, FusionZScore, [][]Ranked{nil}, [][]Ranked{nil})[0]; got != (Scores{}) {
		t.Errorf("nothing ranked: %+v", got)
	}
}
