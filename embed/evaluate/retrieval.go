package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// The depths of the measures of Retrieve.
const (
	depthNDCG   = 10
	depthRecall = 100
)

// Collection is a judged collection.
type Collection struct {
	IDs       []string // of the documents
	Documents []string // their texts
	Queries   []string
	Gains     []map[string]float64 // of each query: gains above 0 by document id
	Missing   int                  // judgements of documents that are not there, which are left out
}

// Retrieval is how an encoder does on a collection.
type Retrieval struct {
	NDCG10    float64 `json:"ndcg_at_10"`
	Recall100 float64 `json:"recall_at_100"`
	MRR10     float64 `json:"mrr_at_10"`
	Documents int     `json:"documents"`
	Queries   int     `json:"queries"`
	Unusable  int     `json:"unusable"` // documents and queries without a token that the encoder knows
	Tokens    int     `json:"tokens"`   // of the documents, as encoded
	// EncodeSeconds is the time of encoding the documents.
	EncodeSeconds float64 `json:"encode_seconds"`
	// Scores are those of each query; the measures above are their means.
	Scores []Scores `json:"-"`
	// Ranked are the first 100 documents of each query, nearest first; none for
	// a query without a token that the encoder knows.
	Ranked [][]Ranked `json:"-"`
}

// Ranked is one document of a ranking.
type Ranked struct {
	Document int     // of Collection.Documents
	Score    float64 // cosine
}

// Retrieve encodes the collection and ranks all documents for every query.
// Texts that the encoder has no tokens for count as found nowhere and finding
// nothing. Errors are the encoder's, and the context's.
func Retrieve(ctx context.Context, enc embed.Encoder, c Collection) (Retrieval, error) {
	out := Retrieval{Documents: len(c.Documents), Queries: len(c.Queries)}
	begun := time.Now()
	documents, err := encodeAll(ctx, enc, embed.RoleDocument, c.Documents)
	if err != nil {
		return out, fmt.Errorf("encode the documents: %w", err)
	}
	out.EncodeSeconds = time.Since(begun).Seconds()
	queries, err := encodeAll(ctx, enc, embed.RoleQuery, c.Queries)
	if err != nil {
		return out, fmt.Errorf("encode the queries: %w", err)
	}
	out.Tokens, out.Unusable = documents.tokens, documents.missing+queries.missing
	out.Scores, out.Ranked = make([]Scores, len(c.Queries)), make([][]Ranked, len(c.Queries))
	for q := range c.Queries {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if queries.row(q) == nil {
			continue
		}
		out.Ranked[q] = nearest(queries.row(q), documents, depthRecall)
		if len(c.Gains[q]) == 0 {
			continue
		}
		gains := make([]float64, 0, depthRecall)
		for _, d := range out.Ranked[q] {
			gains = append(gains, c.Gains[q][c.IDs[d.Document]])
		}
		s := scoresOf(gains, c.Gains[q])
		out.Scores[q] = s
		out.NDCG10, out.Recall100, out.MRR10 = out.NDCG10+s.NDCG10, out.Recall100+s.Recall100, out.MRR10+s.RR10
	}
	if n := float64(len(c.Queries)); n > 0 {
		out.NDCG10, out.Recall100, out.MRR10 = out.NDCG10/n, out.Recall100/n, out.MRR10/n
	}
	return out, nil
}

// nearest are the documents with the k largest cosines, largest first.
func nearest(query []float32, documents encoded, k int) []Ranked {
	list := make([]Ranked, 0, len(documents.rows))
	for d := range documents.rows {
		if row := documents.row(d); row != nil {
			list = append(list, Ranked{d, Cosine(query, row)})
		}
	}
	slices.SortStableFunc(list, func(a, b Ranked) int { return cmp.Compare(b.Score, a.Score) })
	return slices.Clone(list[:min(k, len(list))])
}

// Pair is two sentences and how alike people found them.
type Pair struct {
	A, B  string
	Score float64
}

// Similarity is how an encoder does on pairs.
type Similarity struct {
	Spearman float64 `json:"spearman"`
	Pairs    int     `json:"pairs"`
	Unusable int     `json:"unusable"` // sentences without a token that the encoder knows
}

// Correlate compares people's scores with the cosines of the sentences, both
// encoded as documents. A sentence without tokens is like no other: cosine 0.
func Correlate(ctx context.Context, enc embed.Encoder, pairs []Pair) (Similarity, error) {
	out := Similarity{Pairs: len(pairs)}
	texts := make([]string, 0, 2*len(pairs))
	people, cosines := make([]float64, len(pairs)), make([]float64, len(pairs))
	for i, p := range pairs {
		texts = append(texts, p.A, p.B)
		people[i] = p.Score
	}
	vectors, err := encodeAll(ctx, enc, embed.RoleDocument, texts)
	if err != nil {
		return out, err
	}
	out.Unusable = vectors.missing
	for i := range pairs {
		if a, b := vectors.row(2*i), vectors.row(2*i+1); a != nil && b != nil {
			cosines[i] = Cosine(a, b)
		}
	}
	out.Spearman, err = Spearman(people, cosines)
	return out, err
}

// encoded are the vectors of texts; a text without tokens has none.
type encoded struct {
	vectors compat.Vectors
	rows    []int // of each text in vectors; -1: it has no tokens
	tokens  int
	missing int
}

// row is the vector of a text, nil when it has none.
func (e encoded) row(i int) []float32 {
	if e.rows[i] < 0 {
		return nil
	}
	return e.vectors.Row(e.rows[i])
}

// encodeAll encodes texts, and leaves those out that have no tokens.
func encodeAll(ctx context.Context, enc embed.Encoder, role embed.Role, texts []string) (encoded, error) {
	out := encoded{rows: make([]int, len(texts))}
	left, at := slices.Clone(texts), make([]int, len(texts))
	for i := range at {
		at[i] = i
	}
	for len(left) > 0 {
		got, err := embed.EncodeAll(ctx, enc, role, left, embed.Budget{}, nil)
		var refused *embed.TextError
		if errors.As(err, &refused) && errors.Is(err, embed.ErrNoTokens) {
			out.rows[at[refused.Index]] = -1
			out.missing++
			left, at = slices.Delete(left, refused.Index, refused.Index+1), slices.Delete(at, refused.Index, refused.Index+1)
			continue
		}
		if err != nil {
			return out, err
		}
		out.vectors = got.Vectors
		for row, i := range at {
			out.rows[i] = row
			out.tokens += got.Tokens[row]
		}
		break
	}
	return out, nil
}
