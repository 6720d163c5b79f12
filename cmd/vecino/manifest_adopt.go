package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/alecthomas/kong"
	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat"
)

// manifestAdoptCmd finds out whether a model made the vectors of a collection.
type manifestAdoptCmd struct {
	connection
	Collection     string  `short:"c" required:"" help:"Collection of raw vectors." placeholder:"NAME"`
	Model          string  `required:"" help:"Model that is said to have made the vectors." placeholder:"MODEL"`
	Dimensions     int     `help:"Dimensions that the model's vectors were cut to." placeholder:"N"`
	Precision      string  `help:"Arithmetic of a transformer: f32 or int8." enum:"f32,int8," default:""`
	QueryPrompt    *string `help:"What stands before the text of a query, in place of the model's own." placeholder:"TEXT"`
	DocumentPrompt *string `help:"What stood before the texts when the vectors were made, in place of the model's own." placeholder:"TEXT"`
	Normalize      *bool   `help:"Whether the vectors were brought to length 1, in place of the model's own habit." negatable:""`
	TextField      string  `help:"Where in the payload the texts lie, if the points have none of their own." placeholder:"KEY"`
	Sample         *int    `help:"Texts to embed again, ${least_sample} to ${most_sample}; ${default_sample} when left out, all where there are fewer." placeholder:"N"`
	DryRun         bool    `help:"Compare, and change nothing."`
	JSON           bool    `help:"Print JSON."`
}

// adoptVars are what its help names.
func adoptVars() kong.Vars {
	return kong.Vars{
		"least_sample": strconv.Itoa(api.MinAdoptSample), "most_sample": strconv.Itoa(api.MaxAdoptSample), "default_sample": strconv.Itoa(api.DefaultAdoptSample),
	}
}

// Help teaches.
func (manifestAdoptCmd) Help() string {
	return `Examples:
  vecino manifest adopt -c docs --model local:all-MiniLM-L6-v2 --text-field page_content --dry-run
  vecino manifest adopt -c docs --model openai:small --dimensions 512
  vecino manifest adopt -c docs --model builtin:static --sample 2000

A collection of vectors that clients brought is unverified: nothing is known of
their model. Texts of it, drawn at random, are embedded again by the model that
is claimed. When every one comes out as its vector is stored (cosine >= 0.999),
the collection gets the model's fingerprint: it can be asked by text, texts can
be written, and vectors must say that they are the model's. No vector changes.

What a sample can't show it says: below which share other vectors may be among
those that were not drawn. Exit status 3: refused, or too few texts to tell.`
}

// Run adopts, or says why not.
func (c *manifestAdoptCmd) Run(ctx context.Context, out *output) error {
	if c.Dimensions < 0 {
		return usageError{errors.New("--dimensions is a positive number, or left out")}
	}
	if n := c.Sample; n != nil && (*n < api.MinAdoptSample || *n > api.MaxAdoptSample) {
		return usageError{fmt.Errorf("--sample %d: allowed is %d to %d; fewer texts prove nothing", *n, api.MinAdoptSample, api.MaxAdoptSample)}
	}
	embedding := map[string]any{"model": c.Model}
	for key, value := range map[string]string{"precision": c.Precision, "text_field": c.TextField} {
		if value != "" {
			embedding[key] = value
		}
	}
	if c.Dimensions > 0 {
		embedding["dimensions"] = c.Dimensions
	}
	if c.QueryPrompt != nil {
		embedding["query_prompt"] = *c.QueryPrompt
	}
	if c.DocumentPrompt != nil {
		embedding["document_prompt"] = *c.DocumentPrompt
	}
	if c.Normalize != nil {
		embedding["normalize"] = *c.Normalize
	}
	body := map[string]any{"embedding": embedding, "dry_run": c.DryRun}
	if c.Sample != nil {
		body["sample"] = *c.Sample
	}
	return c.with(ctx, func(r *remote) error {
		var raw json.RawMessage
		err := r.result(ctx, http.MethodPost, collection(c.Collection, "/manifest/adopt"), body, &raw)
		var refused *serverError
		if errors.As(err, &refused) && len(refused.Adoption) > 0 {
			raw = refused.Adoption
		} else if err != nil {
			return err
		}
		got, err2 := printAdoption(out, c.Collection, raw, c.JSON)
		if err != nil || err2 != nil {
			return errors.Join(err, err2)
		}
		if got.Verdict != "proved" { // of a dry run
			return &serverError{status: http.StatusConflict, Code: "adoption_" + got.Verdict, Detail: got.Reason, Remedy: got.Hint}
		}
		return nil
	})
}

// adoption is what a comparison came to, as the server tells it.
type adoption struct {
	Verdict, Model, From, To, Reason, Hint string
	Adopted                                bool
	Points                                 int
	WithText                               int `json:"with_text"`
	WithoutText                            int `json:"without_text"`
	Sampled, Failed, Tokens                int
	LeastCosine                            *float64 `json:"least_cosine"`
	MeanCosine                             *float64 `json:"mean_cosine"`
	QueryCosine                            *float64 `json:"query_cosine"`
	WrongShare                             *float64 `json:"wrong_share_below"`
	Worst                                  []struct {
		ID     any
		Cosine *float64
		Reason string
	}
}

// printAdoption shows the outcome, and gives it.
func printAdoption(out *output, name string, raw json.RawMessage, asJSON bool) (adoption, error) {
	var got adoption
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // an id may be larger than a float holds
	if err := decoder.Decode(&got); err != nil {
		return got, fmt.Errorf("the answer is not vecino's: %w", err)
	}
	if asJSON {
		return got, out.JSON(raw)
	}
	what := map[bool]string{true: "adopted", false: "not adopted"}[got.Adopted]
	found := map[string]string{"proved": "%s made the vectors", "refused": "%s did not make the vectors", "unproved": "there are too few texts to tell whether %s made the vectors"}[got.Verdict]
	fmt.Fprintf(out, "%s: %s: "+found+"; %s\n", name, got.Verdict, got.Model, what)
	rows := []table.Row{{"points", got.Points}}
	if got.WithText+got.WithoutText > 0 {
		rows = append(rows, table.Row{"with a text", got.WithText})
	}
	if got.WithoutText > 0 {
		rows = append(rows, table.Row{"without one", fmt.Sprintf("%d: not compared, and no migration to another model can take them along", got.WithoutText)})
	}
	if got.Sampled > 0 {
		rows = append(rows, table.Row{"compared", fmt.Sprintf("%d texts of %d tokens", got.Sampled, got.Tokens)},
			table.Row{"that differ", fmt.Sprintf("%d of %d", got.Failed, got.Sampled)})
	}
	if got.LeastCosine != nil && got.MeanCosine != nil {
		rows = append(rows, table.Row{"cosine", fmt.Sprintf("at least %.6f, on average %.6f; wanted is %g", *got.LeastCosine, *got.MeanCosine, compat.MinProbeCosine)})
	}
	if got.QueryCosine != nil {
		rows = append(rows, table.Row{"cosine as queries", fmt.Sprintf("on average %.6f", *got.QueryCosine)})
	}
	if s := got.WrongShare; s != nil && *s == 0 {
		rows = append(rows, table.Row{"others", "none: every text was compared"})
	} else if s != nil {
		rows = append(rows, table.Row{"others", fmt.Sprintf("below %.2f %% of those with a text, with 95 %% confidence", 100**s)})
	}
	if got.Adopted {
		rows = append(rows, table.Row{"fingerprint", got.To}, table.Row{"before", got.From})
	}
	out.Table(table.Row{"", ""}, rows)
	if got.Failed > 0 {
		var worst []table.Row
		for _, p := range got.Worst[:min(got.Failed, len(got.Worst))] {
			cosine := "none"
			if p.Cosine != nil {
				cosine = fmt.Sprintf("%.6f", *p.Cosine)
			}
			worst = append(worst, table.Row{line(fmt.Sprint(p.ID), 60), cosine, line(p.Reason, 60)})
		}
		out.Table(table.Row{"worst points", "cosine", ""}, worst)
	}
	return got, nil
}

// adoptedBy is an adoption on one line.
func adoptedBy(a compat.Adoption) string {
	return fmt.Sprintf("%s: %d of %d points compared, cosine at least %.6f; unverified before, as %.12s", a.At.Format("2006-01-02 15:04:05 MST"), a.Texts, a.Points, a.LeastCosine, a.From)
}
