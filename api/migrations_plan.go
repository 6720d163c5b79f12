package api

import (
	"context"
	"crypto/sha256"
	"math"
	"runtime"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// Estimate is what a migration would take, before anything runs.
type Estimate struct {
	Documents int `json:"documents"`
	// Tokens that would be encoded, by the target's own tokenizer; 0 where no
	// text is. Exact is false where the model's server alone could say it.
	Tokens int  `json:"tokens"`
	Exact  bool `json:"exact"`
	// Truncated texts are longer than the target takes.
	Truncated int `json:"truncated"`
	// Cached texts need no encoding.
	Cached          int      `json:"cached"`
	TokensPerSecond float64  `json:"tokens_per_second"` // measured on a sample; 0: no text is encoded
	Seconds         float64  `json:"seconds"`
	DiskBytes       int64    `json:"disk_bytes"` // beside what there is, until the commit
	FreeBytes       int64    `json:"free_bytes"`
	MemoryBytes     int64    `json:"memory_bytes"` // beside what there is, until the commit
	Price           *float64 `json:"price"`        // by the price of a million tokens; null: none was given
}

// samplePlanned is how many texts the speed is measured on.
const samplePlanned = 256

// Estimate counts and measures what a migration to a wish would take, and
// changes nothing. price is that of a million tokens; 0: not known. Documents
// without text are left out where texts are encoded.
func (s *Service) Estimate(ctx context.Context, c *Collection, w Wish, price float64) (Estimate, error) {
	want, err := s.target(ctx, c, w)
	if err != nil {
		return Estimate{}, err
	}
	n, err := c.stored.Count(ctx, nil)
	if err != nil {
		return Estimate{}, err
	}
	verdict := compat.Worst(compat.Diff(c.Manifest(), want))
	want.Evidence = compat.Evidence{} // of the manifest there is
	e := Estimate{Documents: n, Exact: true}
	if e.FreeBytes, err = s.store.FreeBytes(); err != nil {
		e.FreeBytes = 0 // a file system that can't say
	}
	if verdict.Opens() || verdict == compat.VerdictRefuse {
		return e, nil
	}
	e.DiskBytes = diskNeed(want, n)
	e.MemoryBytes = int64(n) * graphBytes(want)
	var sample compat.Vectors
	perText := 0.0
	if verdict == compat.VerdictReembed {
		encoder, problem := s.encoderOf(ctx, want)
		if encoder == nil {
			return e, problem
		}
		defer encoder.release()
		texts, err := s.countTokens(ctx, c, encoder, &e)
		if err != nil {
			return e, err
		}
		if sample, perText, err = e.measure(ctx, encoder, texts); err != nil {
			return e, encoder.explain(ctx, err)
		}
	} else if sample, err = c.sampleFor(ctx, want); err != nil {
		return e, err
	}
	insert, err := s.store.TryInsert(ctx, want, sample)
	if err != nil {
		return e, err
	}
	e.Seconds = e.seconds(perText, insert, sample.Len())
	if price > 0 {
		cost := price * float64(e.Tokens) / 1e6
		e.Price = &cost
	}
	return e, nil
}

// seconds adds up encoding, graph and syncs. An insert into a graph of n costs
// about the logarithm of n, so what was measured on a sample is carried up.
func (e Estimate) seconds(perText float64, insert time.Duration, sampled int) float64 {
	seconds := perText * float64(max(0, e.Documents-e.Cached))
	if sampled > 1 && e.Documents > 1 {
		growth := max(1, math.Log(float64(e.Documents))/math.Log(float64(sampled)))
		// Searches, writes and the tail before the graph take cores, too.
		seconds = max(seconds, insert.Seconds()/float64(sampled)*float64(e.Documents)*growth*float64(runtime.GOMAXPROCS(0)))
	}
	const perBatch, batch = 0.004, 64 // a sync and its reads
	return seconds + perBatch*math.Ceil(float64(e.Documents)/batch)
}

// countTokens counts all texts and draws some.
func (s *Service) countTokens(ctx context.Context, c *Collection, encoder *served, e *Estimate) (sample []string, err error) {
	stamper, err := embed.NewStamper(encoder.Space())
	if err != nil {
		return nil, err
	}
	cached := s.cache != nil && encoder.endpoint == nil && encoder.Encoder != embed.Encoder(encoder.queue)
	e.Exact = encoder.endpoint == nil
	limit, stride, i := encoder.Space().MaxTokens, max(1, e.Documents/samplePlanned), 0
	var texts []string
	count := func() error {
		for _, n := range encoder.CountTokens(embed.RoleDocument, texts) {
			if limit > 0 && n > limit {
				e.Truncated++
				n = limit
			}
			e.Tokens += n
		}
		if cached {
			keys := make([][32]byte, len(texts))
			for i, text := range texts {
				keys[i] = sha256.Sum256([]byte(text))
			}
			_, rows, _, err := s.cache.Get(ctx, stamper, false, keys)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if row >= 0 {
					e.Cached++
				}
			}
		}
		texts = texts[:0]
		return ctx.Err()
	}
	var failed error
	err = c.each(ctx, func(d store.Stored) {
		if !d.HasText || failed != nil {
			return
		}
		if i++; i%stride == 0 && len(sample) < samplePlanned {
			sample = append(sample, d.Text)
		}
		if texts = append(texts, d.Text); len(texts) == factsPage {
			failed = count()
		}
	})
	if err == nil {
		err = failed
	}
	if err == nil && len(texts) > 0 {
		err = count()
	}
	return sample, err
}

// measure encodes a sample as the migration would, past the cache.
func (e *Estimate) measure(ctx context.Context, encoder *served, texts []string) (v compat.Vectors, perText float64, err error) {
	ctx = embed.WithPriority(ctx, embed.PriorityMigration)
	tokens, done := 0, 0
	began := time.Now()
	var parts []compat.Vectors
	for from := 0; from < len(texts); from += 64 {
		batch := texts[from:min(from+64, len(texts))]
		encoded, err := encoder.queue.Encode(ctx, embed.RoleDocument, batch)
		if err != nil {
			if ctx.Err() != nil {
				return v, 0, ctx.Err()
			}
			continue // a text without tokens: others tell the speed
		}
		parts = append(parts, encoded.Vectors)
		for _, n := range encoded.Tokens {
			tokens += n
		}
		done += len(batch)
	}
	if took := time.Since(began).Seconds(); done > 0 && took > 0 {
		e.TokensPerSecond, perText = float64(tokens)/took, took/float64(done)
		// By tokens, because the sample's texts may be longer than others.
		if e.Tokens > 0 && e.Documents > 0 && tokens > 0 {
			perText = took / float64(tokens) * float64(e.Tokens) / float64(e.Documents)
		}
	}
	v, err = compat.Concat(parts...)
	return v, perText, err
}

// sampleFor is some vectors of the collection as the target would have them.
func (c *Collection) sampleFor(ctx context.Context, want compat.Manifest) (compat.Vectors, error) {
	rows, err := c.stored.SampleVectors(ctx, 0, samplePlanned)
	if err != nil {
		return rows, err
	}
	d, err := compat.NewDerivation(c.Manifest(), want)
	if err != nil || d == nil {
		return compat.Vectors{}, err
	}
	v, err := d.Derive(rows)
	if err != nil {
		return compat.Vectors{}, nil // a row without a direction: nothing is measured
	}
	return v, nil
}
