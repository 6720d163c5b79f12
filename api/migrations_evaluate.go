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
	effort := newEffort(m.c.traffic, m.limits)
	var r report.Report
	err := effort.alone(ctx, func(l *lane) (err error) {
		e.lane = l
		r, err = e.run(l.aside())
		return err
	})
	if err != nil {
		return err
	}
	record.Progress.CPU += effort.take().Seconds()
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

// evaluation measures two generations.
type evaluation struct {
	m         *migration
	record    migrate.Migration
	c         *Collection
	old, anew *generation
	lane      *lane // that it works in
	report    report.Report
}

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
	if err := e.bridge(); err != nil {
		return report.Report{}, err
	}
	for _, gate := range []func(context.Context) error{e.coverage, e.probes, e.vectors, e.recall, e.card, e.compare} {
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
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if temporary(err) > 0 {
		return err
	}
	measured := fmt.Sprintf("%d texts in both roles come out the same", len(e.anew.manifest.Evidence.Probes))
	if err != nil {
		measured = err.Error()
	}
	e.gate("probes", err == nil, measured, fmt.Sprintf("cosine of at least %g", compat.MinProbeCosine))
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
	queries, warnings, err := e.queries(ctx)
	if err != nil {
		return err
	}
	judged := e.m.judged
	if now := e.old.encoding.Load(); now.encoder == nil {
		// Judged queries, too, would be compared with nothing.
		queries, judged = nil, nil
		e.report.Reasons["judgement"] = "the former generation has no encoder that can be run"
		e.report.Reasons["agreement"] = e.report.Reasons["judgement"]
	}
	var runs []compare.Query
	var old, anew []float64 // milliseconds
	ran := map[string]int{} // into runs, of live queries: what was asked twice counts twice, and is run once
	began := time.Now()
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
		var refused *Error
		if errors.As(err, &refused) && ctx.Err() == nil {
			e.report.Reasons["agreement"] = "a query could not be answered in both generations: " + refused.Detail
			if len(e.m.judged) > 0 {
				run = compare.Query{ID: q.ID, Text: q.Text} // a run without hits counts 0
				runs = append(runs, run)
			}
			continue
		}
		if err != nil {
			return err
		}
		if e.report.Sample == sampleLive {
			ran[q.Text] = len(runs)
		}
		runs, old, anew = append(runs, run), append(old, a), append(anew, b)
	}
	e.latency(old, anew)
	evaluated := report.Evaluation{
		Runs: runs, Judged: judged, Warnings: warnings, Old: e.old.manifest.Metric, New: e.anew.manifest.Metric,
		Options: compare.Options{Bootstrap: evaluate.Bootstrap{Seed: 1}},
	}
	if err := e.report.Evaluate(evaluated); err != nil {
		return err
	}
	if j := e.report.Judgement; j != nil {
		d := j.Difference.NDCG10
		passed := d.Mean >= 0 || !d.Decided()
		e.gate("judgement", passed, fmt.Sprintf("nDCG@10 %+.4f (%.4f to %.4f)", d.Mean, d.Low, d.High), "not decidedly worse")
	}
	return nil
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
// beginnings of sampled documents.
func (e *evaluation) queries(ctx context.Context) (queries []compare.Query, warnings []evaluate.Warning, err error) {
	if len(e.m.judged) > 0 {
		e.report.Sample = sampleJudged
		check := evaluate.NewCheck(e.m.judged)
		for _, q := range e.m.judged {
			queries = append(queries, compare.Query{ID: q.ID, Text: q.Text})
		}
		err = e.c.each(ctx, func(d store.Stored) { check.Document(d.ID.String(), d.Text) })
		return queries, check.Warnings(), err
	}
	if texts, different := e.c.recent.sample(); different >= liveLeast {
		e.report.Sample = sampleLive
		for i, text := range texts {
			queries = append(queries, compare.Query{ID: fmt.Sprintf("live-%d", i+1), Text: text})
		}
		return queries, nil, nil
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
	return queries, nil, err
}

// both answers a query in both generations, and says how long the searches
// took in milliseconds.
func (e *evaluation) both(ctx context.Context, q compare.Query) (run compare.Query, old, anew float64, err error) {
	run = compare.Query{ID: q.ID, Text: q.Text}
	if run.Old, old, err = e.one(ctx, e.old, q.Text); err != nil {
		return run, 0, 0, err
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
	return run, old, anew, err
}

func (e *evaluation) one(ctx context.Context, g *generation, text string) (hits []compare.Hit, ms float64, err error) {
	encoded, err := e.c.encode(ctx, g, embed.RoleQuery, []string{text})
	if err != nil {
		return nil, 0, textError(err, func(int) string { return "" })
	}
	// The least of some is the search's own time; what others do beside it,
	// writes and the backlog among them, is not its fault.
	ms = math.Inf(1)
	for range latencyTries {
		e.lane.pause()
		began := time.Now()
		if _, err = e.c.stored.Search(ctx, encoded.Vectors, store.SearchQuery{Limit: gateRecallK, Generation: g.number}); err != nil {
			return nil, 0, err
		}
		ms = min(ms, float64(time.Since(began))/float64(time.Millisecond))
	}
	e.lane.pause()
	found, err := e.c.stored.Search(ctx, encoded.Vectors, store.SearchQuery{Limit: evaluateDepth, Generation: g.number})
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
