package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
	"github.com/vecino-db/vecino/store"
)

// What the gates ask for.
const (
	gateRecallK   = 10
	gateRecall    = 0.90 // of the new graph in its own space
	gateLatency   = 2.0  // p99 of searches, new to old
	gateLatencyMS = 10.0 // a p99 below it is fast enough, whatever the old one is
	gateAlike     = 0.999

	recallTries  = 3 // writes beside the measurement make it less
	latencyTries = 3
	recallLeast  = 50 // queries below which nothing is decided

	evaluateQueries = 200 // that decide something
	// sampledQueries are sampled where none are judged: a threshold map wants
	// many (see package compare). Where the time of sampling is up, as many as
	// were run by then do, evaluateQueries at least.
	sampledQueries = 2000
	sampledTime    = 10 * time.Second
	evaluateDepth  = 100
	sampledWords   = 12 // of a document's text make a query
)

// evaluate measures the gates and takes the step that follows from them.
func (m *migration) evaluate(ctx context.Context, record migrate.Migration) error {
	e := evaluation{m: m, record: record, c: m.c, old: m.c.now().of(record.From), anew: m.c.now().of(record.To)}
	if e.old == nil || e.anew == nil {
		return fmt.Errorf("generations %d and %d of %q are not both there", record.From, record.To, m.c.Name())
	}
	r, cpu, err := e.measure(ctx, m.limits)
	if err != nil {
		return err
	}
	record.Progress.CPU += cpu.Seconds()
	if record.Evaluation, err = json.Marshal(r); err != nil {
		return err
	}
	defer m.c.scales.forget()
	if s, ok := m.c.stored.Standby(); ok && s.Filled < s.Documents && record.Progress.Blocked == 0 {
		if err := record.Apply(migrate.EventBehind, time.Now().UTC()); err != nil {
			return err
		}
		return m.Keep(ctx, record)
	}
	event := migrate.EventPassed
	if !r.Passed() {
		event = migrate.EventRefused
	}
	if err := record.Apply(event, time.Now().UTC()); err != nil {
		return err
	}
	record.Reason = failedGates(r.Gates)
	return m.Keep(ctx, record)
}

// failedGates names the gates that keep from cutting over; "" when none does.
func failedGates(gates []report.Gate) string {
	var names []string
	for _, g := range gates {
		if g.Decides && !g.Passed {
			names = append(names, fmt.Sprintf("%s (%s, wanted %s)", g.Name, g.Measured, g.Wanted))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "gates not passed: " + strings.Join(names, "; ")
}

// evaluation measures two generations, or the one that serves with another query
// prompt.
type evaluation struct {
	m         *migration
	record    migrate.Migration
	c         *Collection
	old, anew *generation
	lane      *lane // that it works in
	report    report.Report
}

// measure is run in a lane of its own, with the processor time that it took.
func (e *evaluation) measure(ctx context.Context, limits func() migrate.Limits) (r report.Report, cpu time.Duration, err error) {
	effort := newEffort(e.c.traffic, limits)
	err = effort.alone(ctx, func(l *lane) (err error) {
		e.lane = l
		r, err = e.run(l.aside())
		return err
	})
	return r, effort.take(), err
}

// inPlace reports whether only the query prompt differs, so that both sides are
// the same vectors in the same index.
func (e *evaluation) inPlace() bool { return e.record.InPlace() }

// run makes the report.
func (e *evaluation) run(ctx context.Context) (report.Report, error) {
	n, err := e.c.stored.Count(ctx, nil)
	if err != nil {
		return report.Report{}, err
	}
	e.report = report.Report{
		Collection: e.c.Name(), Migration: fmt.Sprint(e.record.ID), At: time.Now().UTC(), Program: strings.TrimPrefix(e.m.owner.service.program, "vecino "),
		Old: report.GenerationOf(int(e.record.From), n, e.old.manifest), New: report.GenerationOf(int(e.record.To), n, e.anew.manifest),
		Verdict: e.record.Verdict, Changes: e.record.Changes, Reasons: map[string]string{},
	}
	gates := []func(context.Context) error{e.coverage, e.probes, e.vectors, e.recall, e.card, e.compare}
	if e.inPlace() {
		gates = []func(context.Context) error{e.probes, e.compare}
		e.report.Reasons["recall"] = "the index stays as it is"
		e.report.Reasons["latency"] = e.report.Reasons["recall"]
	} else if err := e.bridge(); err != nil {
		return report.Report{}, err
	}
	for _, gate := range gates {
		if err := gate(ctx); err != nil {
			return report.Report{}, err
		}
	}
	return e.report, nil
}

func (e *evaluation) gate(name string, passed bool, measured, wanted string) {
	e.report.Gates = append(e.report.Gates, report.Gate{Name: name, Passed: passed, Measured: measured, Wanted: wanted, Decides: true})
}

// coverage: every document has a vector in the target.
func (e *evaluation) coverage(context.Context) error {
	have, total := e.m.backlog(e.record.To).Coverage()
	measured := fmt.Sprintf("%d of %d documents", have, total)
	if ids := e.record.Progress.BlockedIDs; len(ids) > 0 {
		measured += ", without " + strings.Join(ids[:min(len(ids), 5)], ", ")
	}
	e.gate("coverage", have == total, measured, "all")
	return nil
}

// probes: the target's encoder is the one that the migration began with. Vectors
// that follow from those that serve need none.
func (e *evaluation) probes(ctx context.Context) error {
	now := e.anew.encoding.Load()
	switch {
	case now.encoder != nil:
	case e.anew.manifest.Space.Raw():
		e.gate("probes", true, "there is no encoder", "the encoder of the target")
		return nil
	case e.record.Verdict < compat.VerdictReembed:
		e.gate("probes", true, "the encoder can't be asked; the vectors follow from those that serve", "the encoder of the target")
		return nil
	default:
		if err := e.c.noEncoder(e.anew, now.problem); temporary(err) > 0 {
			return err
		}
		e.gate("probes", false, "there is no encoder", "the encoder of the target")
		return nil
	}
	err := checkProbes(ctx, now.encoder.fresh(), e.anew.manifest.Evidence.Probes)
	follows := e.record.Verdict < compat.VerdictReembed && !e.inPlace()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if temporary(err) > 0 && !follows {
		return err
	}
	measured := fmt.Sprintf("%d texts in both roles come out the same", len(e.anew.manifest.Evidence.Probes))
	if err != nil {
		measured = err.Error()
	}
	if err != nil && follows {
		measured += "; the vectors follow from those that serve"
	}
	e.gate("probes", err == nil || follows, measured, fmt.Sprintf("cosine of at least %g", compat.MinProbeCosine))
	return nil
}

// vectors: what is stored is finite and has a direction (the stamper saw to
// that; here it is looked at once more) and tells documents apart.
func (e *evaluation) vectors(ctx context.Context) error {
	rows, err := e.c.stored.SampleVectors(ctx, e.record.To, evaluateQueries)
	if err != nil {
		return err
	}
	bad, alike, pairs := 0, 0, 0
	for i := range rows.Len() {
		sum := 0.0
		for _, x := range rows.Row(i) {
			sum += float64(x) * float64(x)
		}
		if !(sum > 0) || math.IsInf(sum, 0) {
			bad++
		}
		if i > 0 {
			pairs++
			if evaluate.Cosine(rows.Row(i-1), rows.Row(i)) > gateAlike {
				alike++
			}
		}
	}
	measured := fmt.Sprintf("%d of %d sampled are zero or not finite; %d of %d pairs are alike", bad, rows.Len(), alike, pairs)
	e.gate("vectors", bad == 0 && alike*2 <= pairs, measured, "none, and at most half")
	return nil
}

// recall of the new graph in its own space.
func (e *evaluation) recall(ctx context.Context) error {
	var anew store.Recall
	for try := range recallTries {
		r, err := e.c.stored.MeasureRecall(ctx, store.RecallQuery{Sample: evaluateQueries, K: gateRecallK, Generation: e.record.To, Seed: uint64(try), Breathe: e.lane.pause})
		if err != nil {
			return err
		}
		if anew.Queries == 0 || r.Recall > anew.Recall {
			anew = r
		}
		if anew.High >= gateRecall {
			break
		}
	}
	e.report.Recall = &report.Recall{K: anew.K, Ef: anew.Ef, Queries: anew.Queries, New: anew.Recall}
	if old, err := e.c.stored.MeasureRecall(ctx, store.RecallQuery{Sample: evaluateQueries, K: gateRecallK, Generation: e.record.From, Breathe: e.lane.pause}); err == nil {
		e.report.Recall.Old = &old.Recall
	} else if ctx.Err() != nil {
		return ctx.Err()
	}
	// What the interval allows passes, and so does a collection so small that
	// nothing can be said of it.
	e.gate("recall", anew.High >= gateRecall || anew.Queries < recallLeast, fmt.Sprintf("recall@%d %.3f (%.3f to %.3f) over %d queries", anew.K, anew.Recall, anew.Low, anew.High, anew.Queries), fmt.Sprintf("%.2f within the interval", gateRecall))
	if anew.Queries == 0 {
		return nil
	}
	return e.c.stored.SetEvidenceOf(ctx, e.record.To, func(have *compat.Evidence) { have.Recall = &anew.MeasuredRecall })
}

// bridge takes over what was measured when the bridge was fitted.
func (e *evaluation) bridge() error {
	r, err := readBridge(e.record)
	switch {
	case err != nil:
		return err
	case r == nil:
		e.report.Reasons["bridge"] = "none was asked for"
	case r.Check == nil:
		e.report.Reasons["bridge"] = r.Reason
	default:
		e.report.Bridge = &report.Bridge{Check: *r.Check, Wanted: r.Least, Refused: r.State == BridgeRefused}
	}
	return nil
}

// compare runs queries in both generations.
func (e *evaluation) compare(ctx context.Context) error {
	queries, check, err := e.queries(ctx)
	if err != nil {
		return err
	}
	judged := e.m.judged
	if now := e.old.encoding.Load(); errors.Is(now.problem, errUnchecked) {
		return e.c.noEncoder(e.old, now.problem) // it is being asked at this moment
	} else if now.encoder == nil {
		// Judged queries, too, would be compared with nothing.
		queries, judged = nil, nil
		e.nothingBefore("the former generation has no encoder that can be run")
	}
	var runs []compare.Query
	var old, anew []float64 // milliseconds
	ran := map[string]int{} // into runs, of live queries: what was asked twice counts twice, and is run once
	began := time.Now()
asking:
	for _, q := range queries {
		if len(e.m.judged) == 0 && len(runs) >= evaluateQueries && time.Since(began) > sampledTime {
			break
		}
		if i, again := ran[q.Text]; again {
			runs = append(runs, runs[i])
			continue
		}
		e.lane.pause()
		run, a, b, err := e.both(ctx, q)
		var former *formerError
		var refused *Error
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &former) && !e.inPlace():
			if temporary(err) > 0 && e.m.formerAway < formerTries {
				e.m.formerAway++
				return err
			}
			e.nothingBefore(former.Error())
			judged, runs, old, anew = nil, nil, nil, nil
			break asking
		case errors.As(err, &refused) && refused.Kind == KindInvalid:
			e.report.Reasons["agreement"] = "a query could not be answered in both generations: " + refused.Detail
			if len(e.m.judged) > 0 {
				runs = append(runs, run) // a side without hits counts 0
			}
			continue
		default:
			return err
		}
		if e.report.Sample == sampleLive {
			ran[q.Text] = len(runs)
		}
		runs, old, anew = append(runs, run), append(old, a), append(anew, b)
	}
	e.m.formerAway = 0
	if !e.inPlace() {
		e.latency(old, anew)
	}
	evaluated := report.Evaluation{
		Runs: runs, Judged: judged, Warnings: check.Warnings(), Old: e.old.manifest.Metric, New: e.anew.manifest.Metric,
		Options: compare.Options{Bootstrap: evaluate.Bootstrap{Seed: 1}},
	}
	if err := e.report.Evaluate(evaluated); err != nil {
		return err
	}
	if e.report.Judgement != nil {
		e.judgement(check)
	}
	return nil
}

// judgement: judged queries do not decidedly worse, and there are some that can
// do better or worse.
func (e *evaluation) judgement(check *evaluate.Check) {
	j := e.report.Judgement
	missing, all := check.Missing()
	d := j.Difference.NDCG10
	tells := slices.ContainsFunc(j.PerQuery, func(q compare.JudgedQuery) bool { return q.Old.NDCG10 > 0 || q.New.NDCG10 > 0 })
	measured := fmt.Sprintf("nDCG@10 %+.4f (%.4f to %.4f)", d.Mean, d.Low, d.High)
	switch {
	case all == 0:
		measured = "no query has a relevant document"
	case missing == all:
		measured = fmt.Sprintf("none of the %d judged documents is in the collection", all)
	case !tells:
		measured = "nDCG@10 of every query is 0 in both"
	}
	if missing > 0 && missing < all {
		measured += fmt.Sprintf("; %d of %d judged documents are missing", missing, all)
	}
	e.gate("judgement", tells && (d.Mean >= 0 || !d.Decided()), measured, "not decidedly worse")
}

// latency compares the slowest searches.
func (e *evaluation) latency(old, anew []float64) {
	if len(old) == 0 {
		e.report.Reasons["latency"] = "no queries were run in both generations"
		return
	}
	slices.Sort(old)
	slices.Sort(anew)
	at := func(sorted []float64, q float64) float64 { return sorted[int(q*float64(len(sorted)-1))] }
	l := report.Latency{Queries: len(old), OldP50: at(old, 0.5), OldP99: at(old, 0.99), NewP50: at(anew, 0.5), NewP99: at(anew, 0.99)}
	e.report.Latency = &l
	passed := l.NewP99 <= gateLatency*l.OldP99 || l.NewP99 <= gateLatencyMS
	e.gate("latency", passed, fmt.Sprintf("p99 of searches %.2f ms, %.2f ms before", l.NewP99, l.OldP99), fmt.Sprintf("at most %g times, or %g ms", gateLatency, gateLatencyMS))
}

// Where the queries of an evaluation come from, as the report says it.
const (
	sampleJudged    = "judged queries"
	sampleLive      = "live queries"
	sampleDocuments = "sampled documents"
)

// queries are the judged ones, or those that people asked lately, or the
// beginnings of sampled documents. check has seen every document where there are
// judged ones.
func (e *evaluation) queries(ctx context.Context) (queries []compare.Query, check *evaluate.Check, err error) {
	check = evaluate.NewCheck(e.m.judged)
	if len(e.m.judged) > 0 {
		e.report.Sample = sampleJudged
		for _, q := range e.m.judged {
			queries = append(queries, compare.Query{ID: q.ID, Text: q.Text})
		}
		err = e.c.each(ctx, func(d store.Stored) { check.Document(d.ID.String(), d.Text) })
		return queries, check, err
	}
	if texts, different := e.c.recent.sample(); different >= liveLeast {
		e.report.Sample = sampleLive
		for i, text := range texts {
			queries = append(queries, compare.Query{ID: fmt.Sprintf("live-%d", i+1), Text: text})
		}
		return queries, check, nil
	}
	e.report.Sample = sampleDocuments
	n, err := e.c.stored.Count(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	stride, i := max(1, n/sampledQueries), 0
	err = e.c.each(ctx, func(d store.Stored) {
		if i++; i%stride == 0 && d.HasText && len(queries) < sampledQueries {
			if words := strings.Fields(d.Text); len(words) > 0 {
				queries = append(queries, compare.Query{ID: d.ID.String(), Text: strings.Join(words[:min(len(words), sampledWords)], " ")})
			}
		}
	})
	// The first of them are as good a sample as all.
	rand.New(rand.NewPCG(1, uint64(n))).Shuffle(len(queries), func(i, j int) { queries[i], queries[j] = queries[j], queries[i] })
	return queries, check, err
}

// formerTries is how often an evaluation begins again because the endpoint of the
// former model is away; after that it is taken as lost.
const formerTries = 10

// nothingBefore says why there is nothing to compare the target with. Whoever
// wants judged queries to decide by themselves wants no cut-over without.
func (e *evaluation) nothingBefore(reason string) {
	e.report.Reasons["judgement"], e.report.Reasons["agreement"] = reason, reason
	if e.record.Auto && len(e.m.judged) > 0 {
		e.gate("judgement", false, "there is nothing to compare with: "+reason, "not decidedly worse")
	}
}

// formerError is that the encoder of the generation before can't be run.
type formerError struct{ error }

func (e *formerError) Unwrap() error { return e.error }

// both answers a query in both generations, and says how long the searches
// took in milliseconds. A text that one of them refuses is an error of
// KindInvalid, and run has the hits of the other.
func (e *evaluation) both(ctx context.Context, q compare.Query) (run compare.Query, old, anew float64, err error) {
	run = compare.Query{ID: q.ID, Text: q.Text}
	var refused error
	if run.Old, old, refused = e.one(ctx, e.old, q.Text); refused != nil {
		if lostEncoder(e.old, refused) {
			return run, 0, 0, &formerError{refused}
		}
		if e := (*Error)(nil); !errors.As(refused, &e) || e.Kind != KindInvalid {
			return run, 0, 0, refused
		}
	}
	run.New, anew, err = e.one(ctx, e.anew, q.Text)
	switch e.report.Sample {
	case sampleLive:
		run.Text = "" // the report is kept, and what people ask is not
	case sampleDocuments:
		// The document that the query was taken from is found by any model, with
		// a score that no query of people's has.
		own := func(h compare.Hit) bool { return h.ID == q.ID }
		run.Old, run.New = slices.DeleteFunc(run.Old, own), slices.DeleteFunc(run.New, own)
	}
	if err == nil {
		err = refused
	}
	return run, old, anew, err
}

func (e *evaluation) one(ctx context.Context, g *generation, text string) (hits []compare.Hit, ms float64, err error) {
	encoded, err := e.c.encode(ctx, g, embed.RoleQuery, []string{text})
	if err != nil {
		return nil, 0, textError(err, func(int) string { return "" })
	}
	vectors := encoded.Vectors
	if e.inPlace() && g == e.anew {
		// The store knows the former prompt's space alone, and the vectors of both
		// can be compared: compat.VerdictRecheck.
		if vectors, err = e.old.raw.Stamp([][]float32{vectors.Row(0)}); err != nil {
			return nil, 0, err
		}
	}
	// The least of some is the search's own time; what others do beside it,
	// writes and the backlog among them, is not its fault.
	ms = math.Inf(1)
	for range latencyTries {
		e.lane.pause()
		began := time.Now()
		if _, err = e.c.stored.Search(ctx, vectors, store.SearchQuery{Limit: gateRecallK, Ef: g.manifest.Search.Ef, Generation: g.number}); err != nil {
			return nil, 0, err
		}
		ms = min(ms, float64(time.Since(began))/float64(time.Millisecond))
	}
	e.lane.pause()
	found, err := e.c.stored.Search(ctx, vectors, store.SearchQuery{Limit: evaluateDepth, Ef: g.manifest.Search.Ef, Generation: g.number})
	for _, h := range found.Hits {
		hits = append(hits, compare.Hit{ID: h.ID.String(), Score: float64(h.Score), Text: h.Text})
	}
	return hits, ms, err
}

// each calls f for every document.
func (c *Collection) each(ctx context.Context, f func(d store.Stored)) error {
	q := store.ScrollQuery{Limit: factsPage}
	for {
		page, next, err := c.stored.Scroll(ctx, q)
		if err != nil {
			return err
		}
		for _, d := range page {
			f(d)
		}
		if next == nil {
			return nil
		}
		q.From, q.HasFrom = *next, true
	}
}
