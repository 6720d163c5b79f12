package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate"
)

// migrateCmd holds the commands that lead a collection to another manifest.
type migrateCmd struct {
	Plan     migratePlanCmd     `cmd:"" help:"Say what a migration would mean and take; nothing changes."`
	Start    migrateStartCmd    `cmd:"" help:"Start one."`
	List     migrateListCmd     `cmd:"" help:"List those that there are and were."`
	Status   migrateStatusCmd   `cmd:"" help:"Say how far one is."`
	Set      migrateSetCmd      `cmd:"" help:"Change how much it takes, and what share of the live queries it compares (shadow) or lets the new generation answer (canary)."`
	Pause    migratePauseCmd    `cmd:"" help:"Stop the backfill until it is resumed."`
	Resume   migrateResumeCmd   `cmd:"" help:"Go on."`
	Evaluate migrateEvaluateCmd `cmd:"" help:"Measure the gates again, with judged queries if there are any."`
	Cutover  migrateCutoverCmd  `cmd:"" help:"Let the new generation serve."`
	Rollback migrateRollbackCmd `cmd:"" help:"Let the former generation serve again; no write is lost."`
	Commit   migrateCommitCmd   `cmd:"" help:"End the former generation."`
	Abort    migrateAbortCmd    `cmd:"" help:"End the new generation."`
}

// Help teaches the order of the steps.
func (migrateCmd) Help() string {
	return `A migration fills a second generation beside the one that serves, measures it, and
lets it serve when you say so. The steps, in their order:

  vecino migrate plan -c notes --model local:potion     what it means and takes
  vecino migrate start -c notes --model local:potion --qrels judged.jsonl
  vecino migrate status -c notes --report ./report      gates, figures, the report
  vecino migrate cutover -c notes                       the new generation serves
  vecino migrate rollback -c notes                      back, if it does not please
  vecino migrate commit -c notes                        the former generation goes

Between start and commit (or abort) every write goes to both generations, and the
disk holds both. No gate can be overridden: what fails is mended and evaluated
again, or aborted. One collection is filled after another.
The runbook: docs/MIGRATION.md.`
}

// target says what a collection should become: what is left out stays.
type target struct {
	Model          string  `help:"Model that encodes the texts anew, or the collection's own with other settings." placeholder:"MODEL" group:"target"`
	Dimensions     int     `help:"Dimensions of its vectors." placeholder:"N" group:"target"`
	Precision      string  `help:"Arithmetic of a transformer: f32 or int8." enum:"f32,int8," default:"" group:"target"`
	QueryPrompt    *string `help:"What stands before the text of a query." placeholder:"TEXT" group:"target"`
	DocumentPrompt *string `help:"What stands before the text of a document." placeholder:"TEXT" group:"target"`
	Normalize      *bool   `help:"Whether the vectors are brought to length 1, in place of the model's own habit." negatable:"" group:"target"`
	TextField      string  `help:"Where in the payload the text of a point lies that comes with its vector." placeholder:"KEY" group:"target"`
	Metric         string  `help:"cosine, dot or l2." enum:"cosine,dot,l2," default:"" group:"target"`
	Engine         string  `help:"Index: hnsw, exact, coder or auto." enum:"hnsw,exact,coder,auto," default:"" group:"target"`
	M              int     `help:"Links of a node." name:"m" placeholder:"N" group:"target"`
	EfConstruct    int     `help:"Breadth of the search of an insert." placeholder:"N" group:"target"`
	Encoding       string  `help:"Vectors in the graph: f32, int8 or lvq4x8." enum:"f32,int8,lvq4x8," default:"" group:"target"`
	Ef             int     `help:"Breadth of the search of a query." placeholder:"N" group:"target"`
	Oversampling   float64 `help:"How many times more points than otherwise a graph of codes (int8, lvq4x8) compares by its finer ones; 1 to 100." placeholder:"X" group:"target"`
}

// wish is the body that asks for the target.
func (t target) wish() (map[string]any, error) {
	body, embedding, index, search := map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}
	set := func(object map[string]any, key string, value any, given bool) {
		if given {
			object[key] = value
		}
	}
	set(embedding, "model", t.Model, t.Model != "")
	set(embedding, "dimensions", t.Dimensions, t.Dimensions != 0)
	set(embedding, "precision", t.Precision, t.Precision != "")
	set(embedding, "query_prompt", t.QueryPrompt, t.QueryPrompt != nil)
	set(embedding, "document_prompt", t.DocumentPrompt, t.DocumentPrompt != nil)
	set(embedding, "normalize", t.Normalize, t.Normalize != nil)
	set(embedding, "text_field", t.TextField, t.TextField != "")
	if t.Model == "" && len(embedding) > 0 {
		return nil, usageError{errors.New("--dimensions, --precision, --normalize, --text-field and prompts belong to a model; give --model, too, be it the one that the collection has")}
	}
	set(index, "engine", t.Engine, t.Engine != "")
	set(index, "m", t.M, t.M != 0)
	set(index, "ef_construct", t.EfConstruct, t.EfConstruct != 0)
	set(index, "encoding", t.Encoding, t.Encoding != "")
	set(body, "embedding", embedding, len(embedding) > 0)
	set(body, "index", index, len(index) > 0)
	set(search, "ef", t.Ef, t.Ef != 0)
	set(search, "oversampling", t.Oversampling, t.Oversampling != 0)
	set(body, "search", search, len(search) > 0)
	distance := map[string]string{"cosine": "Cosine", "dot": "Dot", "l2": "Euclid"}[t.Metric]
	set(body, "vectors", map[string]any{"distance": distance}, distance != "")
	if len(body) == 0 {
		return nil, usageError{errors.New("nothing is asked for; name what should be different, for example --model local:NAME")}
	}
	return body, nil
}

// judgedVars are what the help of --qrels names.
func judgedVars() kong.Vars {
	return kong.Vars{
		"judged": `a line each: {"id":"q1","text":"how long does rye bread keep","relevant":{"doc-7":1}}; or directory with BEIR's queries.jsonl and qrels`,
	}
}

// judgedQueries reads judged queries for a body, which has each as a line of a
// file of them is.
func judgedQueries(path string) ([]map[string]any, error) {
	judged, err := evaluate.OpenJudged(path)
	if err != nil {
		return nil, err
	}
	list := make([]map[string]any, len(judged))
	for i, q := range judged {
		list[i] = map[string]any{"id": q.ID, "text": q.Text, "relevant": q.Gains}
	}
	return list, nil
}

// migrationState is a migration as the server tells it.
type migrationState struct {
	ID, Collection, State, Reason, Waiting, Verdict string
	Changes                                         []compat.Change
	From                                            int `json:"from_generation"`
	To                                              int `json:"to_generation"`
	Auto                                            bool
	StartedAt                                       time.Time  `json:"started_at"`
	EndedAt                                         *time.Time `json:"ended_at"`
	Limits                                          migrate.Limits
	Progress                                        migrate.Progress
	Bridge                                          *api.BridgeRecord
	Shadow                                          *shadowState
	Canary                                          *canaryState
	Gates                                           []struct {
		Name, Measured, Wanted string
		Passed, Decides        bool
	}
	Evaluation struct { // zero before the first, and in lists
		Judgement struct{ Warnings []evaluate.Warning }
	}
}

// migrations is the path of a collection's migrations and what follows it.
func migrationsPath(name string, rest ...string) string {
	path := collection(name, "/migrations")
	for _, part := range rest {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// latest is the id of a collection's newest migration.
func latest(ctx context.Context, r *remote, name string) (string, error) {
	var got struct{ Migrations []migrationState }
	if err := r.result(ctx, http.MethodGet, migrationsPath(name), nil, &got); err != nil {
		return "", err
	}
	if len(got.Migrations) == 0 {
		return "", fmt.Errorf("collection %q has no migration; start one by: vecino migrate start -c %s --model MODEL", name, name)
	}
	return got.Migrations[0].ID, nil
}

// migratePlanCmd plans.
type migratePlanCmd struct {
	connection
	target
	Collection string  `short:"c" required:"" help:"Collection." placeholder:"NAME"`
	Price      float64 `help:"Price of a million tokens, for the cost." placeholder:"X"`
	JSON       bool    `help:"Print JSON."`
}

// Help teaches.
func (migratePlanCmd) Help() string {
	return `Examples:
  vecino migrate plan -c notes --model local:potion
  vecino migrate plan -c notes --engine hnsw --encoding int8
  vecino migrate plan -c notes --model openai:small --price 0.02

Every text is counted by the target's own tokenizer. The time is that of a
rehearsal: for about five seconds a sample of the documents goes through all
that a migration does, beside whatever else the server does. Nothing changes.
Exit status: 0 there is a way, 3 there is none (verdict refuse).`
}

// Run plans.
func (c *migratePlanCmd) Run(ctx context.Context, out *output) error {
	wish, err := c.wish()
	if err != nil {
		return err
	}
	return c.with(ctx, func(r *remote) error {
		path := collection(c.Collection, "/manifest/diff") + "?estimate=true"
		if c.Price > 0 {
			path += fmt.Sprintf("&price=%g", c.Price)
		}
		var raw json.RawMessage
		if err := r.result(ctx, http.MethodPost, path, wish, &raw); err != nil {
			return err
		}
		got, err := printPlan(out, c.Collection, raw, c.JSON)
		if err == nil && got.Verdict == compat.VerdictRefuse {
			err = refusedError{fmt.Errorf("%s: there is no way to what is asked for: %s", c.Collection, got.Plan.Summary)}
		}
		return err
	})
}

// plan is what a change would mean and take, as the server tells it.
type plan struct {
	Verdict  compat.Verdict
	Changes  []compat.Change
	Plan     compat.Plan
	Estimate *struct {
		Documents, Tokens, Truncated, Cached int
		Exact                                bool
		TokensPerSecond                      float64 `json:"tokens_per_second"`
		Seconds                              float64
		SecondsLow                           float64 `json:"seconds_low"`
		SecondsHigh                          float64 `json:"seconds_high"`
		EvaluationSeconds                    float64 `json:"evaluation_seconds"`
		DiskBytes                            int64   `json:"disk_bytes"`
		FreeBytes                            int64   `json:"free_bytes"`
		MemoryBytes                          int64   `json:"memory_bytes"`
		Price                                *float64
	}
}

// anotherSpace reports whether the vectors would be those of another space.
func (p plan) anotherSpace() bool {
	return p.Verdict == compat.VerdictRefuse || slices.ContainsFunc(p.Changes, func(c compat.Change) bool {
		return c.Verdict >= compat.VerdictDerive && strings.HasPrefix(c.Field, "space.")
	})
}

// printPlan shows a plan, and gives it.
func printPlan(out *output, name string, raw json.RawMessage, asJSON bool) (got plan, err error) {
	if err := json.Unmarshal(raw, &got); err != nil {
		return got, fmt.Errorf("the answer is not vecino's: %w", err)
	}
	if asJSON {
		return got, out.JSON(raw)
	}
	fmt.Fprintf(out, "%s: %s. %s\n", name, got.Verdict, got.Plan.Summary)
	printChanges(out, got.Changes)
	if e := got.Estimate; e != nil && e.DiskBytes > 0 {
		exact := "exactly"
		if !e.Exact {
			exact = "about"
		}
		rows := []table.Row{{"documents", e.Documents}}
		if e.Tokens > 0 {
			rows = append(rows, table.Row{"tokens", fmt.Sprintf("%s %d, %.0f a second on a sample", exact, e.Tokens, e.TokensPerSecond)},
				table.Row{"longer than the model takes", e.Truncated}, table.Row{"in the cache", e.Cached})
		}
		if got.Plan.BlockedDocuments > 0 {
			rows = append(rows, table.Row{"blocked: no text was kept", fmt.Sprintf("%d, for example %s", got.Plan.BlockedDocuments, line(strings.Join(got.Plan.BlockedIDs, ", "), 60))})
		}
		rows = append(rows,
			table.Row{"time to fill it", fmt.Sprintf("about %s; by single batches %s to %s", seconds(e.Seconds), seconds(e.SecondsLow), seconds(e.SecondsHigh))},
			table.Row{"then to evaluate it", "about " + seconds(e.EvaluationSeconds)},
			table.Row{"disk until the commit", fmt.Sprintf("%.1f MiB of %.1f free", float64(e.DiskBytes)/(1<<20), float64(e.FreeBytes)/(1<<20))},
			table.Row{"memory until the commit", fmt.Sprintf("%.1f MiB", float64(e.MemoryBytes)/(1<<20))})
		if e.Price != nil {
			rows = append(rows, table.Row{"price", fmt.Sprintf("%.4f", *e.Price)})
		}
		out.Table(table.Row{"", ""}, rows)
	}
	if got.Plan.Command != "" {
		fmt.Fprintf(out, "Next: %s\n", got.Plan.Command)
	} else {
		fmt.Fprintln(out, got.Plan.Remedy)
	}
	return got, nil
}

// seconds is a time for people.
func seconds(s float64) string {
	round := 100 * time.Millisecond
	if s < 1 {
		round = time.Millisecond
	}
	return time.Duration(s * float64(time.Second)).Round(round).String()
}

// printChanges shows what differs, field by field.
func printChanges(out *output, changes []compat.Change) {
	var rows []table.Row
	for _, c := range changes {
		if c.Verdict > compat.VerdictSame {
			rows = append(rows, table.Row{c.Field, line(c.Have, 30), line(c.Want, 30), c.Verdict.String()})
		}
	}
	if len(rows) > 0 {
		out.Table(table.Row{"field", "now", "then", "verdict"}, rows)
	}
}

// migrateStartCmd starts.
type migrateStartCmd struct {
	connection
	target
	Collection      string     `short:"c" required:"" help:"Collection." placeholder:"NAME"`
	Auto            bool       `help:"Cut over when the gates have passed, or stop and say which have not."`
	RequireCard     bool       `help:"Make a model card of the new generation one of the gates."`
	Qrels           string     `help:"File of judged queries, ${judged}." placeholder:"PATH"`
	TokensPerSecond int        `help:"Encode no more than this." placeholder:"N"`
	CPUs            float64    `name:"cpus" help:"Use no more processor time than so many processors have; 0.5 is half of one." placeholder:"X"`
	Batch           int        `help:"Documents that are encoded together; 64 when left out." placeholder:"N"`
	Bridge          bool       `help:"Where the collection's own model is lost: carry texts over from the new one until the cut-over."`
	Shadow          queryShare `help:"Share of the live queries by text that are compared in both generations when the new one is ready: 10% or 0.1." placeholder:"SHARE"`
	Canary          queryShare `help:"Share of the live queries by text that the new generation answers when it is ready, before the cut-over: 5% or 0.05. Not with --auto." placeholder:"SHARE"`
	BridgeRecall    float64    `help:"Least recall@10 of the bridge on held-out documents, above 0 to 1; 0.7 if left out. Implies --bridge." placeholder:"X"`
	BridgePairs     int        `help:"Documents that the bridge is fitted and checked on, 1000 to 20000; 10000 if left out. Implies --bridge." placeholder:"N"`
	Detach          bool       `help:"Don't wait."`
	JSON            bool       `help:"Print JSON."`
}

// Help teaches.
func (migrateStartCmd) Help() string {
	return `Examples:
  vecino migrate start -c notes --model local:potion
  vecino migrate start -c notes --model local:potion --auto --qrels judged.jsonl
  vecino migrate start -c notes --model local:potion --auto --require-card
  vecino migrate start -c notes --encoding int8
  vecino migrate start -c notes --model local:potion --bridge
  vecino migrate start -c notes --model local:potion --shadow 10% --canary 5%

Queries and writes go on. It waits until the new generation is ready, has failed
or, with --auto, serves; Ctrl-C ends the waiting, not the migration. With --data
it has to be waited for: the next start of a server goes on with what is left.
Exit status: 0 ready (with --auto: it serves), 1 a gate or the migration failed,
3 there is no way from the collection's space. With --detach 0 says that it began.

Judged queries (--qrels) gate the cut-over: a generation by which they do decidedly
worse has failed, and so has one that they say nothing of, because none of their
documents is there. Another query prompt alone needs no generation: the queries are
run with both prompts before it is taken.

--shadow puts a share of the live queries to both generations, behind the answer,
and counts how much they agree and how long they take. --canary lets the new
generation answer a share before the cut-over: the same text always goes to the
same generation, and what fails there is answered by the old one. Watch both by
migrate status, change them by migrate set; the cut-over ends the canary.`
}

// body is the wish, and how it is reached.
func (c *migrateStartCmd) body() (map[string]any, error) {
	wish, err := c.wish()
	if err != nil {
		return nil, err
	}
	limits := map[string]any{}
	if c.TokensPerSecond > 0 {
		limits["tokens_per_second"] = c.TokensPerSecond
	}
	if c.CPUs != 0 {
		limits["cpus"] = c.CPUs
	}
	if c.Batch > 0 {
		limits["batch"] = c.Batch
	}
	wish["auto"], wish["require_card"], wish["limits"] = c.Auto, c.RequireCard, limits
	if c.Shadow > 0 {
		wish["shadow"] = c.Shadow
	}
	if c.Canary > 0 {
		wish["canary"] = c.Canary
	}
	bridge := map[string]any{}
	if c.BridgeRecall != 0 {
		bridge["recall"] = c.BridgeRecall
	}
	if c.BridgePairs != 0 {
		bridge["pairs"] = c.BridgePairs
	}
	if c.Bridge || len(bridge) > 0 {
		wish["bridge"] = bridge
	}
	if c.Qrels != "" {
		wish["judgements"], err = judgedQueries(c.Qrels)
	}
	return wish, err
}

// Run starts, and waits.
func (c *migrateStartCmd) Run(ctx context.Context, out *output) error {
	wish, err := c.body()
	if err != nil {
		return err
	}
	return c.with(ctx, func(r *remote) error {
		var got migrationState
		if err := r.result(ctx, http.MethodPost, migrationsPath(c.Collection), wish, &got); err != nil {
			return err
		}
		fmt.Fprintf(out.errors, "migration %s of %s: %s\n", got.ID, c.Collection, got.Verdict)
		return followMigration(ctx, out, r, c.Collection, got.ID, !c.Detach, c.JSON)
	})
}
