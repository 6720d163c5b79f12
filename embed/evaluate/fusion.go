package evaluate

import (
	"cmp"
	"math"
	"slices"
)

// Fusion is a way of making one ranking of several.
type Fusion string

// The fusions. A document that a run does not list gets nothing from it under
// FusionRRF, and the score of its last document under FusionZScore.
const (
	// FusionRRF adds up 1/(60+rank) (Cormack, Clarke and Buettcher 2009,
	// "Reciprocal rank fusion outperforms Condorcet and individual rank
	// learning methods").
	FusionRRF Fusion = "rrf"
	// FusionZScore adds up the scores, brought to mean 0 and deviation 1 within
	// each run's list.
	FusionZScore Fusion = "zscore"
)

// Fuse makes one ranking of a query's rankings, 100 deep, and measures it by
// the collection's judgements. Runs are Retrieval.Ranked of the same collection.
func Fuse(c Collection, how Fusion, runs ...[][]Ranked) []Scores {
	out := make([]Scores, len(c.Queries))
	for q := range c.Queries {
		sums := map[int]float64{}
		for _, run := range runs {
			how.add(sums, run[q])
		}
		list := make([]Ranked, 0, len(sums))
		for document, score := range sums {
			list = append(list, Ranked{document, score})
		}
		slices.SortFunc(list, func(a, b Ranked) int {
			return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Document, b.Document))
		})
		if len(list) == 0 || len(c.Gains[q]) == 0 {
			continue
		}
		gains := make([]float64, 0, depthRecall)
		for _, d := range list[:min(depthRecall, len(list))] {
			gains = append(gains, c.Gains[q][c.IDs[d.Document]])
		}
		out[q] = scoresOf(gains, c.Gains[q])
	}
	return out
}

// add adds a run's list to the sums. Against its last document, so that one it
// does not list needs no entry: a constant for all documents changes no order.
func (how Fusion) add(sums map[int]float64, list []Ranked) {
	const constant = 60
	var mean, squares float64
	for _, d := range list {
		mean += d.Score / float64(len(list))
	}
	for _, d := range list {
		squares += (d.Score - mean) * (d.Score - mean) / float64(len(list))
	}
	for i, d := range list {
		switch {
		case how == FusionRRF:
			sums[d.Document] += 1 / float64(constant+i+1)
		case squares > 0:
			sums[d.Document] += (d.Score - list[len(list)-1].Score) / math.Sqrt(squares)
		default:
			sums[d.Document] += 0
		}
	}
}
