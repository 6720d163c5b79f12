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
	// rehearsedTime is when it ends, with a batch done. An insert into a
	// graph of twenty thousand of 1,024 dimensions takes four times as long as
	// into one of a thousand and a half, so it wants to see the graph grow.
	rehearsedTime = 5 * time.Second
	// rehearsedSyncs are the batches that wait for the disk.
	rehearsedSyncs = 32
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
	read, made        time.Duration // the documents, and their vectors
	synced, linked    time.Duration // the vectors
	syncs             bool
}

// size is the logarithm of the size of the graph, at its middle.
func (b rehearsed) size() float64 { return math.Log(float64(b.graph) + float64(b.documents)/2) }

// run rehearses with documents, in their order, which should be random.
func (r *rehearsal) run(ctx context.Context, s *store.Store, ids []store.ID) (err error) {
	scratch, err := s.NewScratch(r.want)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	began := time.Now()
	for batch := range slices.Chunk(ids, migrate.DefaultBatch) {
		if time.Since(began) > rehearsedTime {
			break
		}
		done := rehearsed{documents: len(batch), graph: scratch.Len(), syncs: len(r.batches) < rehearsedSyncs}
		if err := r.batch(ctx, scratch, batch, &done); err != nil {
			return err
		}
		r.batches = append(r.batches, done)
	}
	// The first one finds everything cold.
	if len(r.batches) > 2 {
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
	done.read = watch.lap()
	vectors, err := r.vectors(ctx, docs, done)
	if err != nil || vectors.Len() == 0 {
		return err
	}
	done.made = watch.lap()
	return r.effort.alone(ctx, func(l *lane) (err error) {
		if done.syncs {
			l.waiting(func() { err = scratch.Sync(vectors.Len() * int(vectorBytes(r.want))) })
			if err != nil {
				return err
			}
			done.synced = watch.lap()
		}
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
		encoded, err := r.encoder.queue.Encode(ctx, embed.RoleDocument, texts)
		return encoded, r.encoder.explain(ctx, err)
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
	n := float64(documents)
	sum, syncs := rehearsed{}, 0
	for _, b := range r.batches {
		sum.documents, sum.tokens = sum.documents+b.documents, sum.tokens+b.tokens
		sum.read, sum.made, sum.synced = sum.read+b.read, sum.made+b.made, sum.synced+b.synced
		if b.syncs {
			syncs += b.documents
		}
	}
	// A vector is written into the log and into a table, and so is its part of the
	// graph's checkpoint; the log alone is waited for, the others take as much.
	writes := 2 * (1 + float64(graphBytes(r.want))/float64(vectorBytes(r.want)))
	sync := writes * sum.synced.Seconds() / float64(max(1, syncs)) * n
	others := func(b rehearsed) float64 {
		made := b.made.Seconds() / float64(b.documents) * n
		if b.tokens > 0 { // by tokens, because a sample's texts may be longer than others
			made = b.made.Seconds() / float64(b.tokens) * float64(tokens)
		}
		return made + b.read.Seconds()/float64(b.documents)*n + sync
	}
	level, slope := r.linking()
	link := max(0, level*n+slope*(n*math.Log(n)-n)) // the integral of level + slope ln n
	seconds = others(sum) + link
	var each []float64
	for _, b := range r.fitted() {
		// What the batch took of what it should have taken, of all linking.
		ratio := 1.0
		if expected := (level + slope*b.size()) * float64(b.documents); expected > 0.2*link/n*float64(b.documents) {
			ratio = b.linked.Seconds() / expected
		}
		each = append(each, others(b)+ratio*link)
	}
	slices.Sort(each)
	return seconds, min(seconds, each[len(each)/4]), max(seconds, each[len(each)*3/4])
}

// fitted is the batches that tell what linking takes: a small graph is searched
// whole, so where there are enough others its are left out.
func (r *rehearsal) fitted() []rehearsed {
	at := slices.IndexFunc(r.batches, func(b rehearsed) bool { return b.graph >= leastGraph })
	if last := r.batches[len(r.batches)-1]; at > 0 && last.graph >= 2*leastGraph {
		return r.batches[at:]
	}
	return r.batches
}

// linking fits what linking a vector takes, in seconds, to level + slope ln n,
// where n is the size of the graph: an insert is a search, and a search in a
// graph of n goes through about ln n nodes (Malkov, Yashunin, "Efficient and
// robust approximate nearest neighbor search using Hierarchical Navigable Small
// World graphs", 2016). The slope is not negative.
func (r *rehearsal) linking() (level, slope float64) {
	var x, y, xx, xy, w float64
	for _, b := range r.fitted() {
		n, at, took := float64(b.documents), b.size(), b.linked.Seconds()
		w, x, y, xx, xy = w+n, x+n*at, y+took, xx+n*at*at, xy+took*at
	}
	if spread := w*xx - x*x; spread > 1e-6*x*x {
		slope = max(0, (w*xy-x*y)/spread)
	}
	return (y - slope*x) / w, slope
}

// rehearsedQueries are asked to find out what an evaluation's take.
const rehearsedQueries = 16

// evaluation is about the time in seconds that the evaluation takes, some
// documents' beginnings being its queries: what is measured in the generation
// that serves takes as many times as long in the target as that has dimensions
// more. Judged queries are others, and not known yet.
func (r *rehearsal) evaluation(ctx context.Context, ids []store.ID, documents int) (seconds float64, err error) {
	docs, err := r.c.stored.Get(ctx, ids[:min(rehearsedQueries, len(ids))], false)
	if err != nil {
		return 0, err
	}
	g := r.c.serving()
	both := 1 + float64(r.want.Space.Dimension)/float64(g.manifest.Space.Dimension)
	err = r.effort.alone(ctx, func(l *lane) error {
		scan, err := r.scan(l)
		if err != nil {
			return err
		}
		// Recall compares so many vectors with all that there are.
		seconds = both * scan.Seconds() * float64(min(evaluateQueries, documents))
		if now := g.encoding.Load(); now.encoder == nil {
			return nil // the queries are asked in none
		}
		each, asked := r.ask(l, g, both, docs)
		if asked == 0 {
			return ctx.Err()
		}
		queries := float64(min(sampledQueries, documents))
		if _, different := r.c.recent.sample(); different >= liveLeast {
			queries = float64(different)
		}
		seconds += min(queries*each, max(sampledTime.Seconds(), evaluateQueries*each))
		return nil
	})
	return seconds, err
}

// scan is what an exact search in the generation that serves takes.
func (r *rehearsal) scan(l *lane) (took time.Duration, err error) {
	l.waiting(func() {
		var v compat.Vectors
		if v, err = r.c.stored.SampleVectors(l.ctx, 0, 1); err != nil || v.Len() == 0 {
			return
		}
		began := time.Now()
		_, err = r.c.stored.Search(l.ctx, v, store.SearchQuery{Limit: gateRecallK, Exact: true})
		took = time.Since(began)
	})
	l.pause()
	return took, err
}

// ask is what an evaluation's query takes in both generations, in seconds, and
// of how many that was measured; a model that can't be asked ends it.
func (r *rehearsal) ask(l *lane, g *generation, both float64, docs []store.Stored) (each float64, asked int) {
	e := evaluation{c: r.c, lane: l}
	old, anew := 0.0, 0.0
	for _, d := range docs {
		words := strings.Fields(d.Text)
		if len(words) == 0 {
			continue
		}
		text := strings.Join(words[:min(len(words), sampledWords)], " ")
		var none *embed.TextError
		watch := stopwatch(time.Now())
		if _, _, err := e.one(l.aside(), g, text); errors.As(err, &none) {
			continue
		} else if err != nil {
			break
		}
		old += watch.lap().Seconds()
		if r.encoder != nil {
			if _, err := r.encoder.queue.Encode(l.aside(), embed.RoleQuery, []string{text}); errors.As(err, &none) {
				continue
			} else if err != nil {
				break
			}
			anew += watch.lap().Seconds()
		}
		asked++
	}
	return (both*old + anew) / float64(max(1, asked)), asked
}

// leastGraph is the size from which a graph is searched as one.
const leastGraph = 512
