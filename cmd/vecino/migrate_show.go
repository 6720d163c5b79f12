package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat/migrate"
)

// working are the states that change by themselves.
var working = map[string]bool{string(migrate.Planned): true, string(migrate.Backfilling): true, string(migrate.CatchingUp): true, string(migrate.Evaluating): true, string(migrate.CutOver): true}

// followMigration shows a migration, behind a wait where one is asked for; then
// one that did not get where it should is an error.
func followMigration(ctx context.Context, out *output, r *remote, name, id string, wait, asJSON bool) error {
	if !wait {
		return showMigration(ctx, out, r, name, id, asJSON)
	}
	ended, err := waitMigration(ctx, out, r, name, id)
	if err != nil {
		return err
	}
	return errors.Join(showMigration(ctx, out, r, name, id, asJSON), ended.missed(name))
}

// missed is the error of a migration that was waited for and is neither ready
// nor serves; of an automatic one, that does not serve.
func (m migrationState) missed(name string) error {
	switch state := migrate.State(m.State); {
	case state.Served(), !m.Auto && (state == migrate.Ready || state == migrate.RolledBack):
		return nil
	}
	text := fmt.Sprintf("migration %s of %s is %s", m.ID, name, m.State)
	if m.Reason != "" {
		text += ": " + line(m.Reason, 400)
	}
	if next := m.next(); next != "" {
		text += fmt.Sprintf("\n  what to do: vecino migrate %s -c %s", next, name)
	}
	return errors.New(text)
}

// waitMigration waits until nothing goes on by itself, tells of it, and gives
// what there is then.
func waitMigration(ctx context.Context, out *output, r *remote, name, id string) (got migrationState, err error) {
	told := time.Time{}
	for {
		got = migrationState{}
		if err := r.result(ctx, http.MethodGet, migrationsPath(name, id), nil, &got); err != nil {
			return got, err
		}
		waits := !working[got.State] && !(got.Auto && got.State == string(migrate.Ready))
		every := 5 * time.Second
		if out.terminal() {
			every = 200 * time.Millisecond
		}
		if waits || time.Since(told) > every {
			told = time.Now()
			text, end := got.progress(), "\n"
			if out.terminal() && !waits {
				text, end = line(text, 78), "\r"
			}
			fmt.Fprintf(out.errors, "%-78s%s", text, end)
		}
		if waits {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// progress is how far it is, on one line.
func (m migrationState) progress() string {
	text := fmt.Sprintf("%s: %d of %d documents, %d tokens", m.State, m.Progress.Done, m.Progress.Total, m.Progress.Tokens)
	return text + m.outlook(", ")
}

// outlook is when the target will be filled, or what is waited for, behind a
// separator; "" where neither is known.
func (m migrationState) outlook(separator string) string {
	switch {
	case m.Waiting != "":
		return separator + "waiting " + line(m.Waiting, 400)
	case m.Progress.ETA != nil && working[m.State]:
		return separator + time.Duration(*m.Progress.ETA*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return ""
}

// limitsText says what is bounded; "": nothing is.
func limitsText(l migrate.Limits) string {
	var parts []string
	if l.TokensPerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%d tokens a second", l.TokensPerSecond))
	}
	if l.CPUs > 0 {
		parts = append(parts, fmt.Sprintf("%g processors", l.CPUs))
	}
	if l.Batch > 0 {
		parts = append(parts, fmt.Sprintf("batches of %d", l.Batch))
	}
	return strings.Join(parts, ", ")
}

// nexts are what people do in a state.
var nexts = map[string]string{
	string(migrate.Ready): "cutover", string(migrate.RollbackWindow): "commit|rollback", string(migrate.RolledBack): "abort|cutover",
	string(migrate.Paused): "resume|abort", string(migrate.Failed): "resume|evaluate|abort",
}

// next is what people do with it now.
func (m migrationState) next() string {
	if m.State == string(migrate.Failed) && m.From == m.To {
		return "abort" // there is no target to go on with
	}
	return nexts[m.State]
}

// bridge says what became of a migration's bridge.
func (m migrationState) bridge() string {
	b, state := m.Bridge, migrate.State(m.State)
	switch b.State {
	case api.BridgeWaiting:
		return fmt.Sprintf("waiting; it is fitted when the new generation has %d documents, and texts are refused until then", b.Wanted)
	case api.BridgeRefused:
		return "refused; texts wait for the cut-over: " + b.Reason
	}
	use := "serving; it carries texts over to the former generation"
	if state.Served() || state.Final() {
		use = "not in use any more"
	}
	if c := b.Check; c != nil {
		use += fmt.Sprintf(": %s, recall@%d %.3f on %d held-out documents, at least %.2f was wanted", b.Method, c.K, c.Recall, c.HeldOut, b.Least)
	}
	return use
}

// showMigration shows one.
func showMigration(ctx context.Context, out *output, r *remote, name, id string, asJSON bool) error {
	var raw json.RawMessage
	if err := r.result(ctx, http.MethodGet, migrationsPath(name, id), nil, &raw); err != nil {
		return err
	}
	if asJSON {
		return out.JSON(raw)
	}
	var got migrationState
	if err := json.Unmarshal(raw, &got); err != nil {
		return fmt.Errorf("the answer is not vecino's: %w", err)
	}
	p := got.Progress
	fmt.Fprintf(out, "migration %s of %s: %s (%s, generation %d to %d)\n", got.ID, name, got.State, got.Verdict, got.From, got.To)
	fmt.Fprintf(out, "  %d of %d documents, %d texts of %d tokens encoded in %.1f s; %.1f s of processor time with the evaluation\n", p.Done, p.Total, p.Encoded, p.Tokens, p.Worked, p.CPU)
	if outlook := got.outlook("  "); outlook != "" {
		fmt.Fprintln(out, outlook)
	}
	if p.Blocked > 0 {
		fmt.Fprintf(out, "  %d can't be brought over: %s\n", p.Blocked, line(strings.Join(p.BlockedIDs, ", "), 100))
	}
	if l := limitsText(got.Limits); l != "" {
		fmt.Fprintf(out, "  limits: %s\n", l)
	}
	if got.Reason != "" {
		fmt.Fprintf(out, "  %s\n", line(got.Reason, 400))
	}
	if got.Bridge != nil {
		fmt.Fprintf(out, "  bridge: %s\n", line(got.bridge(), 400))
	}
	var rows []table.Row
	for _, g := range got.Gates {
		verdict := "passed"
		if !g.Passed {
			verdict = "NOT PASSED"
		}
		rows = append(rows, table.Row{g.Name, verdict, line(g.Measured, 80), line(g.Wanted, 40)})
	}
	if len(rows) > 0 {
		out.Table(table.Row{"gate", "", "measured", "wanted"}, rows)
	}
	for _, w := range got.Evaluation.Judgement.Warnings {
		fmt.Fprintf(out, "warning: %s\n", line(w.Text, 300))
	}
	showLive(out, got)
	if next := got.next(); next != "" {
		fmt.Fprintf(out, "Next: vecino migrate %s -c %s\n", next, name)
	}
	return nil
}
