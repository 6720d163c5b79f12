package compat

import (
	"errors"
	"fmt"
	"math"
)

// How far the vectors of a probe may lie from the stored ones. Kernels of
// different CPUs differ in the last bits; another model differs in the first.
const (
	MinProbeCosine = 0.999
	// MaxProbeLength bounds the ratio of the longer to the shorter vector:
	// under dot and L2 a model that scales its vectors is another one.
	MaxProbeLength = 1.01
)

// ErrNoProbes means that there is nothing to compare, so nothing is proved.
var ErrNoProbes = errors.New("no probes were stored: the encoder can't be recognized; embed a sample of the documents again to compare")

// ErrProbe is what every *ProbeError wraps.
var ErrProbe = errors.New("the encoder has changed")

// ProbeTexts are the fixed texts of the probes: sentences, a list of
// keywords, code and numbers, in several scripts, so that most encoders have
// tokens for most of them. The slice is the caller's own.
func ProbeTexts() []string {
	return []string{
		"The ferry leaves the harbour at seven and returns before the storm.",
		"invoice overdue payment reminder second notice",
		"func add(a, b int) int { return a + b } // 42 != 0x2A",
		"Élodie pèse 3,5 kg de pêches mûres à la boulangerie d'en face.",
		"Старый мост через реку закрыли на ремонт до весны.",
		"図書館は月曜日に休みますが、返却箱はいつでも使えます。",
		"تصل القهوة من المزرعة إلى السوق في ثلاثة أيام.",
		"क्या यह दवा भोजन के बाद लेनी चाहिए?",
	}
}

// ProbeError says which probe did not come out as it was stored.
type ProbeError struct {
	Text   string
	Role   string  // "document" or "query"
	Cosine float64 // similarity to the stored vector; NaN when there is none
	Detail string
}

// Error names the text, the similarity and what to do.
func (e *ProbeError) Error() string {
	return fmt.Sprintf("%v: probe %q in the %s role: %s: restore the model's files of the collection, or put the texts into another collection for this model", ErrProbe, e.Text, e.Role, e.Detail)
}

// Unwrap gives ErrProbe.
func (e *ProbeError) Unwrap() error { return ErrProbe }

// CompareProbes compares stored probes with vectors that the encoder gave for
// their texts just now: document[i] and query[i] belong to stored[i]. An empty
// row is absent: the encoder has no tokens for the text, and must have had
// none when it was stored. It returns the least cosine, which is at least
// MinProbeCosine unless the error is a *ProbeError. ErrNoProbes means that no
// pair with a direction was there to compare.
func CompareProbes(stored []Probe, document, query [][]float32) (worst float64, err error) {
	if len(document) != len(stored) || len(query) != len(stored) {
		return 0, fmt.Errorf("compare probes: %d stored, but %d document and %d query vectors: embed each stored text once in both roles", len(stored), len(document), len(query))
	}
	worst = math.Inf(1)
	for i, p := range stored {
		for _, side := range [...]struct {
			role      string
			old, anew []float32
		}{{"document", p.Document, document[i]}, {"query", p.Query, query[i]}} {
			if sumSquares(side.old) == 0 && sumSquares(side.anew) == 0 && len(side.old) == len(side.anew) {
				continue // both absent, or both without a direction: this pair proves nothing
			}
			cosine, detail := compareRows(side.old, side.anew)
			if detail != "" {
				return cosine, &ProbeError{Text: p.Text, Role: side.role, Cosine: cosine, Detail: detail}
			}
			worst = min(worst, cosine)
		}
	}
	if math.IsInf(worst, 1) {
		return 0, ErrNoProbes
	}
	return worst, nil
}

// compareRows returns the cosine, and what is wrong if anything is.
func compareRows(old, anew []float32) (cosine float64, detail string) {
	switch {
	case len(old) == 0:
		return math.NaN(), "the encoder had no tokens for it when it was stored, and has some now"
	case len(anew) == 0:
		return math.NaN(), "the encoder had tokens for it when it was stored, and has none now"
	case len(old) != len(anew):
		return math.NaN(), fmt.Sprintf("the dimension was %d and is %d", len(old), len(anew))
	}
	l := Compare(old, anew)
	switch {
	case !l.Direction():
		return l.Cosine, fmt.Sprintf("the cosine to the stored vector is %.6f, below %g", l.Cosine, MinProbeCosine)
	case !l.Length():
		return l.Cosine, fmt.Sprintf("the length was %g and is %g", l.Stored, l.Anew)
	}
	return l.Cosine, ""
}

// Likeness is what a stored vector and a new one of the same text have in
// common. They are the same encoder's where Direction and Length hold.
type Likeness struct {
	Cosine       float64 // NaN where one of them has no direction
	Stored, Anew float64 // their lengths
}

// Compare compares two vectors of equal dimension.
func Compare(stored, anew []float32) Likeness {
	var dot float64
	for i, x := range stored {
		dot += float64(x) * float64(anew[i])
	}
	l := Likeness{Stored: math.Sqrt(sumSquares(stored)), Anew: math.Sqrt(sumSquares(anew))}
	l.Cosine = min(dot/(l.Stored*l.Anew), 1) // the last bit of a rounding is no likeness
	return l
}

// Direction reports whether they point the same way, as two runs of one encoder
// do. No direction is none.
func (l Likeness) Direction() bool { return l.Cosine >= MinProbeCosine }

// Length reports whether they are of one length, as two runs of one encoder are.
func (l Likeness) Length() bool {
	return max(l.Stored, l.Anew) <= MaxProbeLength*min(l.Stored, l.Anew)
}
