package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/store"
)

// checkCmd verifies a stopped store.
type checkCmd struct {
	Data string `required:"" help:"Data directory of a stopped store." placeholder:"DIR" env:"-"`
	JSON bool   `help:"Print the outcome as JSON."`
}

// Help teaches.
func (checkCmd) Help() string {
	return `Examples:
  vecino check --data ./data
  vecino check --data ./backup --json | jq '.collections[] | select(.damage != "")'

Reads everything and changes nothing: the checksums of all blocks, counts and
digests of every collection, what was known to be on the disk when the store
last said so, every text by its hash, every vector, and the saved graphs, which
are opened. A graph that can't be used is no damage: it is built anew at the
next start. Exit status: 0 sound, 1 damaged, or it could not be read.`
}

// checkReport is what was found.
type checkReport struct {
	Sound       bool                `json:"sound"`
	Damage      string              `json:"damage"` // of the store as a whole
	Collections []checkedCollection `json:"collections"`
}

// checkedCollection is what was found in one.
type checkedCollection struct {
	Name       string  `json:"name"`
	Generation uint64  `json:"generation"`
	Model      string  `json:"model"` // "" for vectors of no declared model
	Dimension  int     `json:"dimension"`
	Points     int     `json:"points"`
	Checkpoint string  `json:"checkpoint"` // sound, none, unusable
	Replayed   int     `json:"replayed"`   // vectors that a start puts into the graph
	Bytes      int64   `json:"index_bytes"`
	Seconds    float64 `json:"seconds"`
	Damage     string  `json:"damage"`
}

// Run checks.
func (c *checkCmd) Run(ctx context.Context, out *output) error {
	list, err := store.Check(ctx, store.Options{Dir: c.Data})
	damaged := errors.Is(err, store.ErrCorrupt)
	if err != nil && !damaged {
		return err
	}
	r := checkReport{Sound: err == nil, Collections: []checkedCollection{}}
	if err != nil {
		r.Damage = err.Error()
	}
	for _, found := range list {
		one := checkedCollection{
			Name: found.Name, Generation: found.Generation, Model: found.Manifest.Provenance.Model, Dimension: found.Manifest.Space.Dimension,
			Points: found.Points, Checkpoint: string(found.Checkpoint), Replayed: found.Replayed, Bytes: found.Index.Bytes, Seconds: found.Seconds,
		}
		if found.Damage != nil {
			one.Damage, r.Sound = found.Damage.Error(), false
		}
		r.Collections = append(r.Collections, one)
	}
	if c.JSON {
		err = out.JSON(r)
	} else {
		err = r.print(out)
	}
	if err == nil && !r.Sound {
		err = fmt.Errorf("%s is damaged; what is named above has to come from a backup, or be put in again", c.Data)
	}
	return err
}

// print writes a table, and what is damaged under it.
func (r checkReport) print(out *output) error {
	rows := make([]table.Row, 0, len(r.Collections))
	for _, c := range r.Collections {
		model, state := c.Model, "sound"
		if model == "" {
			model = "unverified"
		}
		if c.Damage != "" {
			state = "DAMAGED"
		}
		rows = append(rows, table.Row{c.Name, c.Generation, line(model, 40), c.Dimension, c.Points, c.Checkpoint, c.Replayed, state})
	}
	if len(rows) > 0 {
		out.Table(table.Row{"collection", "generation", "model", "dimension", "points", "saved graph", "to replay", "state"}, rows)
	}
	for _, c := range r.Collections {
		if c.Damage != "" {
			if _, err := fmt.Fprintln(out, c.Damage); err != nil {
				return err
			}
		}
	}
	verdict := fmt.Sprintf("%d collections, all sound", len(r.Collections))
	switch {
	case r.Damage != "":
		verdict = r.Damage
	case !r.Sound:
		verdict = "the store as a whole is sound; the collections named above are not"
	}
	_, err := fmt.Fprintln(out, verdict)
	return err
}
