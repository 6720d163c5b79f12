package evaluate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// NDCG is nDCG@k of one ranking: gains[i] is that of the document at rank i+1
// (0: not judged), ideal the gains of all judged documents in any order. It is
// 0 where nothing is judged.
func NDCG(gains, ideal []float64, k int) float64 {
	best := slices.Clone(ideal)
	slices.SortFunc(best, func(a, b float64) int { return cmp.Compare(b, a) })
	most := discounted(best, k)
	if most == 0 {
		return 0
	}
	return discounted(gains, k) / most
}

// discounted is DCG@k.
func discounted(gains []float64, k int) float64 {
	sum := 0.0
	for i, gain := range gains[:min(k, len(gains))] {
		sum += gain / math.Log2(float64(i)+2)
	}
	return sum
}

// Recall is recall@k of one ranking, of which judged documents have gains above
// 0; 0 where nothing is judged.
func Recall(gains []float64, judged, k int) float64 {
	if judged == 0 {
		return 0
	}
	found := 0
	for _, gain := range gains[:min(k, len(gains))] {
		if gain > 0 {
			found++
		}
	}
	return float64(found) / float64(judged)
}

// ReciprocalRank is RR@k of one ranking.
func ReciprocalRank(gains []float64, k int) float64 {
	for i, gain := range gains[:min(k, len(gains))] {
		if gain > 0 {
			return 1 / float64(i+1)
		}
	}
	return 0
}

// ErrNoOrder means that a rank correlation needs two lists of like length with at least
// two different values each.
var ErrNoOrder = errors.New("no order to compare")

// Spearman is the rank correlation of two lists. The error wraps ErrNoOrder.
func Spearman(x, y []float64) (float64, error) {
	if len(x) != len(y) || len(x) < 2 {
		return 0, fmt.Errorf("%w: lists of %d and %d values: give two of like length, 2 at least", ErrNoOrder, len(x), len(y))
	}
	a, b := ranks(x), ranks(y)
	mean := float64(len(x)+1) / 2
	var ab, aa, bb float64
	for i := range a {
		ab += (a[i] - mean) * (b[i] - mean)
		aa += (a[i] - mean) * (a[i] - mean)
		bb += (b[i] - mean) * (b[i] - mean)
	}
	if aa == 0 || bb == 0 {
		return 0, fmt.Errorf("%w: all values of a list are equal", ErrNoOrder)
	}
	return ab / math.Sqrt(aa*bb), nil
}

// ranks gives each value its place in ascending order from 1, equal values the
// mean of theirs.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	out := make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, at := range order[i:j] {
			out[at] = float64(i+j+1) / 2
		}
		i = j
	}
	return out
}

// Cosine of two vectors; 0 where one has no direction.
func Cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
