package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// vecino shows a command as a user types it, runs it in this process against
// the tour's server, and shows the first lines of its output; all of it for a
// number of 0. The error is the command's.
func (t *tour) vecino(ctx context.Context, lines int, args ...string) error {
	typed := typed(args)
	t.p.line("")
	t.p.command("$ " + typed)
	var out bytes.Buffer
	with := append(slices.Clone(args), "--server", t.rest.base)
	if _, err := execute(ctx, with, strings.NewReader(""), &out, t.progress); err != nil {
		return fmt.Errorf("%s: %w", typed, err)
	}
	all := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if lines > 0 {
		all = all[:min(lines, len(all))]
	}
	for _, line := range all {
		t.p.line(line)
	}
	return t.p.err
}

// typed is a command line as a shell takes it.
func typed(args []string) string {
	words := []string{"vecino"}
	for _, a := range args {
		if strings.ContainsAny(a, " ?*'\"$") {
			a = `"` + a + `"`
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// section begins the next step of a tour.
func (t *tour) section(text string) {
	t.steps++
	t.p.step(t.steps, text)
}

// where says what the commands of a tour speak to.
func (t *tour) where(data string) {
	t.p.fact("data", data)
	t.p.fact("server", t.rest.base)
	if t.rest.base != "http://"+serveAddress {
		t.p.line("Each line that begins with $ is a command to type, which ends in --server " + t.rest.base + ".")
	} else {
		t.p.line("Each line that begins with $ is a command to type.")
	}
}
