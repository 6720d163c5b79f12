package evaluate

import (
	"context"
	"slices"
	"time"

	"github.com/vecino-db/vecino/embed"
)

// Sample is what an encoder made of some texts.
type Sample struct {
	Tokens  int
	Seconds float64 // that encoding took

	encoded encoded
}

// Encode encodes texts as documents, once to warm up and once measured. Texts
// without tokens are left out.
func Encode(ctx context.Context, enc embed.Encoder, texts []string) (Sample, error) {
	if _, err := encodeAll(ctx, enc, embed.RoleDocument, texts[:min(len(texts), 64)]); err != nil {
		return Sample{}, err
	}
	begun := time.Now()
	got, err := encodeAll(ctx, enc, embed.RoleDocument, texts)
	return Sample{Tokens: got.tokens, Seconds: time.Since(begun).Seconds(), encoded: got}, err
}

// Bytes is the memory of the sample's vectors.
func (s Sample) Bytes() int64 {
	return 4 * int64(s.encoded.vectors.Len()) * int64(s.encoded.vectors.Dim())
}

// Cosines says how near the vectors are that two encoders gave the same texts.
type Cosines struct {
	Texts int     `json:"texts"`
	Mean  float64 `json:"mean"`
	Least float64 `json:"least"`
}

// Compare compares two samples of the same texts and dimension; texts that
// either encoder had no tokens for are left out. nil: none is left.
func (s Sample) Compare(other Sample) *Cosines {
	out := Cosines{Least: 1}
	for i := range min(len(s.encoded.rows), len(other.encoded.rows)) {
		a, b := s.encoded.row(i), other.encoded.row(i)
		if a == nil || b == nil || len(a) != len(b) {
			continue
		}
		cosine := Cosine(a, b)
		out.Texts++
		out.Mean += cosine
		out.Least = min(out.Least, cosine)
	}
	if out.Texts == 0 {
		return nil
	}
	out.Mean /= float64(out.Texts)
	return &out
}

// shortQuery is of a length that people type.
const shortQuery = "how long does the bread keep after it was baked"

// QueryTime is the median time of encoding one short query, in milliseconds.
func QueryTime(ctx context.Context, enc embed.Encoder) (float64, error) {
	const runs = 25
	times := make([]float64, 0, runs)
	for range runs {
		begun := time.Now()
		if _, err := enc.Encode(ctx, embed.RoleQuery, []string{shortQuery}); err != nil {
			return 0, err
		}
		times = append(times, 1e3*time.Since(begun).Seconds())
	}
	slices.Sort(times)
	return times[runs/2], nil
}
