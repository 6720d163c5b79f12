package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	reports "github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

// upgrade leads a collection to another model before the eyes of a newcomer:
// plan, migration beside writes and queries, evaluation, cut-over, rollback,
// cut-over, commit.
type upgrade struct {
	*tour
	collection string
	from, to   string   // models
	start      []string // further flags of "migrate start"
	queries    []string
	excerpts   bool            // show hits by their texts, not by their titles
	before     []upgradeAnswer // of the queries, from the former model
	id         string          // of the migration
	written    []string        // ids of the texts that were written meanwhile
	deleted    []string        // ids of those among them that were deleted again
	asked      int             // queries that were answered meanwhile
}

// upgradeHit is a hit of any collection.
type upgradeHit struct {
	ID      any            `json:"id"`
	Score   float64        `json:"score"`
	Text    string         `json:"text"`
	Payload map[string]any `json:"payload"`
}

// name is what is shown of a hit: its title, or the text that follows it.
func (u *upgrade) name(h upgradeHit) string {
	title, _ := h.Payload["title"].(string)
	if title == "" || u.excerpts {
		title = strings.TrimPrefix(h.Text, title+". ")
	}
	return line(title, upgradeWidth-9)
}

// upgradeAnswer is the hits of a query and the space that they come from.
type upgradeAnswer struct {
	hits  []upgradeHit
	space string // fingerprint
}

const (
	upgradeWidth = 52 // of a column of hits
	upgradeHits  = 3  // of a query
	upgradeEvery = 250 * time.Millisecond
)

// errMixed says that the collection answered from a space that does not serve.
var errMixed = errors.New("an answer came from another embedding space than the one that serves")

// path is the collection's and what follows it.
func (u *upgrade) path(rest string) string { return collection(u.collection, rest) }

// ask asks one query.
func (u *upgrade) ask(ctx context.Context, text string) (upgradeAnswer, error) {
	body := map[string]any{"query": map[string]any{"text": text}, "limit": upgradeHits, "with_payload": true}
	var found struct {
		Points []upgradeHit `json:"points"`
	}
	answer, err := u.rest.answer(ctx, http.MethodPost, u.path("/points/query"), body, &found)
	return upgradeAnswer{found.Points, answer.space}, err
}

// askAll asks every query.
func (u *upgrade) askAll(ctx context.Context) ([]upgradeAnswer, error) {
	answers := make([]upgradeAnswer, len(u.queries))
	for i, q := range u.queries {
		var err error
		if answers[i], err = u.ask(ctx, q); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// first shows what the former model finds.
func (u *upgrade) first(ctx context.Context) (err error) {
	if u.before, err = u.askAll(ctx); err != nil {
		return err
	}
	for i, q := range u.queries {
		u.p.line("")
		u.p.command("$ " + typed([]string{"query", "-c", u.collection, "--limit", strconv.Itoa(upgradeHits), q}))
		for j, h := range u.before[i].hits {
			u.p.hit(j == 0, h.Score, u.name(h), "")
		}
	}
	return u.p.err
}

// run is the whole of it, after first.
func (u *upgrade) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{u.plan, u.migrate, u.evaluation, u.cutOver, u.rollBack, u.commit} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return u.p.err
}

func (u *upgrade) plan(ctx context.Context) error {
	u.section("The plan: what " + u.to + " would mean, and take")
	return u.vecino(ctx, 0, "migrate", "plan", "-c", u.collection, "--model", u.to)
}

// migrate starts the migration; texts are written and queries asked until it
// is ready.
func (u *upgrade) migrate(ctx context.Context) error {
	u.section("The migration, while texts are written and queries are answered")
	args := append([]string{"migrate", "start", "-c", u.collection, "--model", u.to}, u.start...)
	if err := u.vecino(ctx, 1, append(args, "--detach")...); err != nil {
		return err
	}
	shown := ""
	for {
		var m migrationState
		var list struct{ Migrations []migrationState }
		if _, err := u.rest.result(ctx, http.MethodGet, u.path("/migrations"), nil, &list); err != nil {
			return err
		}
		m = list.Migrations[0]
		u.id = m.ID
		if err := u.traffic(ctx); err != nil {
			return err
		}
		text := fmt.Sprintf("%-13s %d of %d documents; %d queries answered by %s, %d texts written, %d deleted", m.State, m.Progress.Done, m.Progress.Total, u.asked, u.from, len(u.written)+len(u.deleted), len(u.deleted))
		if m.State != shown || m.State == string(migrate.Backfilling) {
			u.p.line(text)
			shown = m.State
		}
		switch migrate.State(m.State) {
		case migrate.Ready:
			return u.p.err
		case migrate.Failed, migrate.Paused, migrate.Aborted:
			return fmt.Errorf("migration %s is %s: %s", m.ID, m.State, m.Reason)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(upgradeEvery):
		}
	}
}

// traffic is what goes on beside the migration: a text is written, one in
// three is deleted again, and queries are answered from the space that serves.
func (u *upgrade) traffic(ctx context.Context) error {
	n := len(u.written) + len(u.deleted) + 1
	id := fmt.Sprintf("written-meanwhile-%d", n)
	point := map[string]any{"id": id, "text": fmt.Sprintf("Invoice %d has been paid by bank transfer.", 4000+n), "payload": map[string]any{"title": "A paid invoice"}}
	var done any
	if _, err := u.rest.result(ctx, http.MethodPut, u.path("/points?wait=true"), map[string]any{"points": []any{point}}, &done); err != nil {
		return err
	}
	u.written = append(u.written, id)
	if n%3 == 0 {
		gone := u.written[0]
		if _, err := u.rest.result(ctx, http.MethodPost, u.path("/points/delete?wait=true"), map[string]any{"points": []string{gone}}, &done); err != nil {
			return err
		}
		u.written, u.deleted = u.written[1:], append(u.deleted, gone)
	}
	answers, err := u.askAll(ctx)
	if err != nil {
		return err
	}
	u.asked += len(answers)
	return u.sameSpace(answers, u.before[0].space)
}

// sameSpace wants every answer from one space.
func (u *upgrade) sameSpace(answers []upgradeAnswer, space string) error {
	for _, a := range answers {
		if a.space != space {
			return fmt.Errorf("%w: %.12s, not %.12s", errMixed, a.space, space)
		}
	}
	return nil
}

// evaluation shows the gates, and what was measured of the answers.
func (u *upgrade) evaluation(ctx context.Context) error {
	u.section("The evaluation: both generations, side by side, before anything is switched")
	if err := u.vecino(ctx, 0, "migrate", "status", "-c", u.collection); err != nil {
		return err
	}
	var m struct{ Evaluation reports.Report }
	if _, err := u.rest.result(ctx, http.MethodGet, u.path("/migrations/"+u.id), nil, &m); err != nil {
		return err
	}
	u.p.line("")
	if j := m.Evaluation.Judgement; j != nil {
		d := j.Difference.NDCG10
		u.p.line(fmt.Sprintf("nDCG@10 over %d judged queries: %.3f before, %.3f after, %+.3f [%+.3f, %+.3f].", j.Queries, j.Old.NDCG10.Mean, j.New.NDCG10.Mean, d.Mean, d.Low, d.High))
		switch {
		case d.Decided() && d.Mean > 0:
			u.p.line("The interval leaves 0 out: the new model is better by more than the luck of these queries.")
		case d.Decided():
			u.p.line("The interval leaves 0 out: the new model is worse.")
		default:
			u.p.line("0 lies in the interval: these queries don't decide between the two.")
		}
	}
	if a := m.Evaluation.Agreement; a != nil {
		u.p.line(fmt.Sprintf("Of the first %d hits %.0f %% are the same, over %d queries: this much changes for people who search.", a.K, 100*a.Overlap, a.Queries))
	}
	if k := m.Evaluation.Thresholds; k != nil {
		if anew, sampled := k.Map(upgradeThreshold); sampled {
			u.p.line(fmt.Sprintf("A score_threshold of %.2f lets the same share of hits pass as %.2f does afterwards.", upgradeThreshold, anew))
		}
	}
	if a := m.Evaluation.Agreement; m.Evaluation.Judgement == nil && a != nil && len(a.MostChanged) > 0 {
		u.p.line("The query that changes most, of those that were sampled:")
		most := a.MostChanged[0]
		u.sideBySide(most.Text, upgradeHitsOf(most.Old), upgradeHitsOf(most.New))
		u.p.line("")
	}
	u.p.line(fmt.Sprintf("The whole report: vecino migrate status -c %s --report DIR", u.collection))
	return u.p.err
}

// upgradeHitsOf are the hits of a report.
func upgradeHitsOf(hits []compare.Hit) []upgradeHit {
	shown := make([]upgradeHit, len(hits))
	for i, h := range hits {
		shown[i] = upgradeHit{ID: h.ID, Score: h.Score, Text: h.Text}
	}
	return shown
}

// upgradeThreshold is the score threshold whose equivalent is shown.
const upgradeThreshold = 0.2

// cutOver lets the new model serve, and shows its hits beside the former ones.
func (u *upgrade) cutOver(ctx context.Context) error {
	u.section("Cut over: " + u.to + " answers")
	after, err := u.switchTo(ctx, "cutover", u.before[0].space, false)
	if err != nil {
		return err
	}
	for i, q := range u.queries {
		u.sideBySide(q, u.before[i].hits, after[i].hits)
	}
	return u.p.err
}

// sideBySide shows the hits of a query from both models.
func (u *upgrade) sideBySide(query string, before, after []upgradeHit) {
	u.p.line("")
	u.p.line(u.p.styled(styleAsk, "? "+line(query, 2*upgradeWidth)))
	u.p.line(u.p.styled(styleDim, "  "+pad("before, "+u.from, upgradeWidth)+"after, "+u.to))
	cell := func(hits []upgradeHit, i int) string {
		if i >= len(hits) {
			return ""
		}
		return fmt.Sprintf("%.3f  %s", hits[i].Score, u.name(hits[i]))
	}
	for i := range min(upgradeHits, max(len(before), len(after))) {
		u.p.line("  " + pad(cell(before, i), upgradeWidth) + cell(after, i))
	}
}

// switchTo takes a step and wants all answers from the right space: the one
// named, or, without same, another one.
func (u *upgrade) switchTo(ctx context.Context, step, space string, same bool) ([]upgradeAnswer, error) {
	if err := u.vecino(ctx, 1, "migrate", step, "-c", u.collection); err != nil {
		return nil, err
	}
	answers, err := u.askAll(ctx)
	if err != nil {
		return nil, err
	}
	if (answers[0].space == space) != same {
		return nil, fmt.Errorf("after %s: %w", step, errMixed)
	}
	u.p.line(fmt.Sprintf("fingerprint of the answers  %.16s…, of the first ones %.16s…", answers[0].space, u.before[0].space))
	return answers, u.sameSpace(answers, answers[0].space)
}

// rollBack goes back, and looks whether everything is as it was, and whether
// what was written meanwhile is there.
func (u *upgrade) rollBack(ctx context.Context) error {
	u.section("Roll back: " + u.from + " answers again, and no write is lost")
	answers, err := u.switchTo(ctx, "rollback", u.before[0].space, true)
	if err != nil {
		return err
	}
	same := 0
	for i, a := range answers {
		if slices.EqualFunc(a.hits, u.before[i].hits, func(x, y upgradeHit) bool { return x.ID == y.ID }) {
			same++
		}
	}
	u.p.line(fmt.Sprintf("%d of %d queries find what they found at first.", same, len(answers)))
	return u.count(ctx)
}

// count says what became of the texts that were written meanwhile.
func (u *upgrade) count(ctx context.Context) error {
	var there, gone []upgradeHit
	if _, err := u.rest.result(ctx, http.MethodPost, u.path("/points"), map[string]any{"ids": u.written}, &there); err != nil {
		return err
	}
	if _, err := u.rest.result(ctx, http.MethodPost, u.path("/points"), map[string]any{"ids": append([]string{}, u.deleted...)}, &gone); err != nil {
		return err
	}
	u.p.line(fmt.Sprintf("Written while the migration ran: %d of %d are there; deleted: %d of %d are gone.", len(there), len(u.written), len(u.deleted)-len(gone), len(u.deleted)))
	return u.p.err
}

// commit goes over for good.
func (u *upgrade) commit(ctx context.Context) error {
	u.section("Cut over again, and commit: the former generation goes")
	if _, err := u.switchTo(ctx, "cutover", u.before[0].space, false); err != nil {
		return err
	}
	if _, err := u.switchTo(ctx, "commit", u.before[0].space, false); err != nil {
		return err
	}
	if err := u.count(ctx); err != nil {
		return err
	}
	return u.vecino(ctx, 0, "manifest", "history", "-c", u.collection)
}
