package api

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// A rehearsal does with some of a collection's documents what a migration would
// do with all, in lanes beside whatever else goes on, and keeps nothing: it
// reads them, makes their vectors, links these into a graph in memory, and lets
// the log wait for the disk as often.

const (
	// rehearsedDocuments are what it takes at most, and rehearsedRemote where
	// each text costs money; the graph takes rehearsedBytes of memory at most.
	rehearsedDocuments, rehearsedRemote = 20_000, 256
	rehearsedBytes                      = 64 << 20
	// rehearsedTime is when it ends, with rehearsedBatches done. An insert into a
	// graph of twenty thousand of 1,024 dimensions takes four times as long as
	// into one of a thousand and a half, so it wants to see the graph grow.
	rehearsedTime    = 5 * time.Second
	rehearsedBatches = 4
)

// rehearsedOf is how many documents it takes at most for a target.
func rehearsedOf(want compat.Manifest, remote bool) int {
	if remote {
		return rehearsedRemote
	}
	return max(rehearsedRemote, min(rehearsedDocuments, int(rehearsedBytes/graphBytes(want))))
}

// rehearsal is what one needs, and has found.
type rehearsal struct {
	c       *Collection
	effort  *effort
	want    compat.Manifest
	encoder *served // nil: vectors are derived
	batches []rehearsed
}

// rehearsed is what a batch took.
type rehearsed struct {
	documents, tokens int
	graph             int           // vectors that the graph had before
	made              time.Duration // their vectors
	linked            time.Duration
	stored            time.Duration // to read the documents and to write the vectors
}

// size is the logarithm of the size of the graph, at its middle.
func (b rehearsed) size() float64 { return math.Log(float64(b.graph) + float64(b.documents)/2) }

// run rehearses with documents, in their order, which should be random.
func (r *rehearsal) run(ctx context.Context, ids []store.ID) (err error) {
	scratch, err := store.NewScratch(r.want)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	began := time.Now()
	for batch := range slices.Chunk(ids, migrate.DefaultBatch) {
		if len(r.batches) >= rehearsedBatches && time.Since(began) > rehearsedTime {
			break
		}
		done := rehearsed{documents: len(batch), graph: scratch.Len()}
		if err := r.batch(ctx, scratch, batch, &done); err != nil {
			return err
		}
		r.batches = append(r.batches, done)
	}
	// The first one finds everything cold.
	if len(r.batches) > rehearsedBatches {
		r.batches = r.batches[1:]
	}
	return nil
}

// batch does one batch.
func (r *rehearsal) batch(ctx context.Context, scratch *store.Scratch, ids []store.ID, done *rehearsed) error {
	watch := stopwatch(time.Now())
	var docs []store.Stored
	err := r.effort.alone(ctx, func(l *lane) (err error) {
		l.waiting(func() { docs, err = r.c.stored.Get(ctx, ids, r.encoder == nil) })
		return err
	})
	if err != nil {
		return err
	}
	done.stored = watch.lap()
	vectors, err := r.vectors(ctx, docs, done)
	if err != nil || vectors.Len() == 0 {
		return err
	}
	done.made = watch.lap()
	return r.effort.alone(ctx, func(l *lane) (err error) {
		l.waiting(func() { err = r.c.stored.TrySync(vectors.Len() * int(vectorBytes(r.want))) })
		if err != nil {
			return err
		}
		done.stored += watch.lap()
		l.waiting(func() { err = scratch.Fill(ctx, vectors, l.link) })
		l.pause()
		done.linked = watch.lap()
		return err
	})
}

// vectors makes those of a batch.
func (r *rehearsal) vectors(ctx context.Context, docs []store.Stored, done *rehearsed) (v compat.Vectors, err error) {
	if r.encoder == nil {
		rows := make([]float32, 0, len(docs)*r.c.Manifest().Space.Dimension)
		for _, d := range docs {
			rows = append(rows, d.Vector...)
		}
		err = r.effort.alone(ctx, func(*lane) error {
			v, err = deriveRows(r.c.Manifest(), r.want, rows)
			return err
		})
		return v, err
	}
	var texts []string
	for _, d := range docs {
		if d.HasText {
			texts = append(texts, d.Text)
		}
	}
	if len(texts) == 0 {
		return v, nil
	}
	// Past the cache, which would prove nothing.
	encode := func(ctx context.Context, texts []string) (embed.Encoded, error) {
		return r.encoder.queue.Encode(ctx, embed.RoleDocument, texts)
	}
	encoded, _, err := r.effort.encode(ctx, r.encoder.endpoint != nil, encode, texts)
	for _, n := range encoded.Tokens {
		done.tokens += n
	}
	return encoded.Vectors, err
}

// deriveRows derives the rows of one manifest into the space of another; none
// where one of them has no direction there.
func deriveRows(have, want compat.Manifest, rows []float32) (compat.Vectors, error) {
	d, err := compat.NewDerivation(have, want)
	if err != nil || d == nil {
		return compat.Vectors{}, err
	}
	stamper, err := have.Stamper()
	if err != nil {
		return compat.Vectors{}, err
	}
	v, err := stamper.Stamp(rows)
	if err != nil {
		return compat.Vectors{}, err
	}
	if v, err = d.Derive(v); err != nil {
		return compat.Vectors{}, nil
	}
	return v, nil
}

// stopwatch is when the present lap began.
type stopwatch time.Time

// lap is the time of a lap, and begins the next.
func (w *stopwatch) lap() time.Duration {
	began := time.Time(*w)
	*w = stopwatch(time.Now())
	return time.Since(began)
}

// tokensPerSecond is the measured speed of the encoder; 0: none was measured.
func (r *rehearsal) tokensPerSecond() float64 {
	tokens, took := 0, time.Duration(0)
	for _, b := range r.batches {
		tokens, took = tokens+b.tokens, took+b.made
	}
	if took == 0 {
		return 0
	}
	return float64(tokens) / took.Seconds()
}

// backfill is the time in seconds that so many documents take, of which so many
// tokens have to be encoded, and the quartiles of what single batches say of it.
func (r *rehearsal) backfill(documents, tokens int) (seconds, low, high float64) {
	if len(r.batches) == 0 || documents == 0 {
		return 0, 0, 0
	}
	all, each := 0.0, make([]float64, len(r.batches))
	level, slope := r.linking()
	n := float64(documents)
	link := level*n + slope*(n*math.Log(n)-n) // of all, the integral of level + slope ln n
	for i, b := range r.batches {
		share := float64(b.documents)
		// By tokens, because a sample's texts may be longer than others.
		made := b.made.Seconds() / share * n
		if b.tokens > 0 {
			made = b.made.Seconds() / float64(b.tokens) * float64(tokens)
		}
		each[i] = made + b.stored.Seconds()/share*n
		if expected := (level + slope*b.size()) * share; expected > 0 {
			each[i] += b.linked.Seconds() / expected * link
		}
		all += each[i] / float64(len(each))
	}
	slices.Sort(each)
	return all, min(all, each[len(each)/4]), max(all, each[len(each)*3/4])
}

// linking fits what linking a vector takes, in seconds, to level + slope ln n,
// where n is the size of the graph: an insert is a search, and a search in a
// graph of n goes through about ln n nodes (Malkov, Yashunin, "Efficient and
// robust approximate nearest neighbor search using Hierarchical Navigable Small
// World graphs", 2016). The slope is not negative.
func (r *rehearsal) linking() (level, slope float64) {
	var x, y, xx, xy, w float64
	for _, b := range r.batches {
		// A graph of fewer is searched whole.
		if b.graph < leastGraph && r.batches[len(r.batches)-1].graph >= 2*leastGraph {
			continue
		}
		n, at, took := float64(b.documents), b.size(), b.linked.Seconds()
		w, x, y, xx, xy = w+n, x+n*at, y+took, xx+n*at*at, xy+took*at
	}
	if spread := w*xx - x*x; spread > 0 {
		slope = max(0, (w*xy-x*y)/spread)
	}
	return (y - slope*x) / w, slope
}

// explain is an error of it as one of the service.
func (r *rehearsal) explain(ctx context.Context, err error) error {
	if r.encoder == nil {
		return err
	}
	return r.encoder.explain(ctx, err)
}

// rehearsedQueries are asked to find out what an evaluation's take.
const rehearsedQueries = 16

// evaluation is about the time in seconds that the evaluation takes, some
// documents' beginnings being its queries: what is measured in the generation
// that serves takes as many times as long in the target as that has dimensions
// more. Judged queries are others, and not known yet.
func (r *rehearsal) evaluation(ctx context.Context, ids []store.ID, documents int) (seconds float64, err error) {
	g := r.c.serving()
	both := 1 + float64(r.want.Space.Dimension)/float64(g.manifest.Space.Dimension)
	recall, err := r.c.stored.MeasureRecall(ctx, store.RecallQuery{Sample: rehearsedQueries, K: gateRecallK})
	if err != nil {
		return 0, err
	}
	if recall.Queries > 0 {
		seconds += both * recall.Took.Seconds() / float64(recall.Queries) * float64(min(evaluateQueries, documents))
	}
	if now := g.encoding.Load(); now.encoder == nil {
		return seconds, nil // the queries are asked in none
	}
	docs, err := r.c.stored.Get(ctx, ids[:min(rehearsedQueries, len(ids))], false)
	if err != nil || len(docs) == 0 {
		return seconds, err
	}
	old, anew, asked := 0.0, 0.0, 0
	err = r.effort.alone(ctx, func(l *lane) error {
		e := evaluation{c: r.c, lane: l}
		for _, d := range docs {
			words := strings.Fields(d.Text)
			if len(words) == 0 {
				continue
			}
			watch := stopwatch(time.Now())
			text := strings.Join(words[:min(len(words), sampledWords)], " ")
			var refused *Error
			if _, _, err := e.one(l.aside(), g, text); err != nil && !errors.As(err, &refused) || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			old += watch.lap().Seconds()
			if r.encoder != nil {
				var none *embed.TextError
				if _, err := r.encoder.queue.Encode(l.aside(), embed.RoleQuery, []string{text}); err != nil && !errors.As(err, &none) {
					return err
				}
				anew += watch.lap().Seconds()
			}
			asked++
		}
		return nil
	})
	if err != nil || asked == 0 {
		return seconds, err
	}
	queries := float64(min(sampledQueries, documents))
	if _, different := r.c.recent.sample(); different >= liveLeast {
		queries = float64(different)
	}
	each := (both*old + anew) / float64(asked)
	return seconds + min(queries*each, max(sampledTime.Seconds(), evaluateQueries*each)), nil
}

// leastGraph is the size from which a graph is searched as one.
const leastGraph = 512
