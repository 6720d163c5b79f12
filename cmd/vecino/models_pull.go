package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/vecino-db/vecino/embed/hub"
)

// modelsPullCmd gets a model from a hub.
type modelsPullCmd struct {
	Model  string `arg:"" help:"ORG/NAME, or ORG/NAME@REV for a branch, tag or commit." placeholder:"ORG/NAME[@REV]"`
	Models string `help:"Directory of local models; made when it isn't there." default:"./vecino-models" placeholder:"DIR"`
	Name   string `help:"Name of the model here, local:NAME. The hub's name without the organization when left out." placeholder:"NAME"`
	Update bool   `help:"Ask the hub where the revision is now, and replace an older or damaged pull."`
	JSON   bool   `help:"Print JSON."`
}

// Help teaches.
func (modelsPullCmd) Help() string {
	return `Examples:
  vecino models pull sentence-transformers/all-MiniLM-L6-v2
  vecino models pull minishlab/potion-base-8M@main --name potion
  HF_ENDPOINT=https://hub.example HF_TOKEN=... vecino models pull org/model

A pull that was cut off goes on where it ended. Afterwards no network is needed:
the revision's commit and the SHA-256 of every file are recorded, and compared
whenever the model is opened.`
}

// Run pulls.
func (c *modelsPullCmd) Run(ctx context.Context, out *output) error {
	if _, err := hub.ParseReference(c.Model); err != nil {
		return usageError{err}
	}
	if err := os.MkdirAll(c.Models, 0o755); err != nil {
		return fmt.Errorf("directory of models: %w; name another one by --models", err)
	}
	root, err := os.OpenRoot(c.Models)
	if err != nil {
		return fmt.Errorf("directory of models: %w", err)
	}
	defer root.Close()
	shown := &pullProgress{out: out}
	options := hub.FromEnvironment(os.Getenv)
	options.Progress = shown.advance
	client, err := hub.New(options)
	if err != nil {
		return usageError{err}
	}
	defer client.Close()
	got, err := client.Pull(ctx, c.Model, root, hub.PullOptions{Name: c.Name, Update: c.Update})
	shown.finish()
	if errors.Is(err, hub.ErrReference) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(map[string]any{"model": "local:" + got.Name, "already": got.Already, "downloaded_bytes": got.Downloaded, "lock": got.Lock})
	}
	return c.print(out, got)
}

// print says what was got, whose it is, and what to do with it.
func (c *modelsPullCmd) print(out *output, got hub.Installed) error {
	how := fmt.Sprintf("%s downloaded", bytesText(got.Downloaded))
	if got.Already {
		how = "was there, and its files are as they were recorded"
	}
	licence := got.Lock.Licence
	if licence == "" {
		licence = "not stated; look at its model card before you use it"
	}
	_, err := fmt.Fprintf(out, "local:%s  %s at %s\n  %s, %d files, %s\n  licence: %s\n", got.Name, got.Lock.Repository, got.Lock.Commit[:min(12, len(got.Lock.Commit))],
		how, len(got.Lock.Files), bytesText(got.Lock.Bytes()), line(licence, 100))
	if err == nil && got.Lock.Summary != "" {
		_, err = fmt.Fprintf(out, "  %s\n", line(got.Lock.Summary, 300))
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "\nLook at it:  vecino models inspect local:%s --models %s\nServe it:    vecino serve --models %s\n", got.Name, c.Models, c.Models)
	}
	return err
}

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// pullProgress shows a bar on a terminal, and a line for each file, and now and
// then, elsewhere.
type pullProgress struct {
	out  *output
	bar  *progressbar.ProgressBar
	file int
	last time.Time
}

// advance is told of every advance.
func (p *pullProgress) advance(at hub.Progress) {
	if !p.out.terminal() {
		if at.File != p.file || time.Since(p.last) >= lineEvery {
			p.file, p.last = at.File, time.Now()
			fmt.Fprintf(p.out.errors, "file %d of %d, %s of %s: %s\n", at.File, at.Files, bytesText(at.Done), bytesText(at.Total), at.Path)
		}
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(at.Total, progressbar.OptionSetWriter(p.out.errors), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	if at.File != p.file {
		p.file = at.File
		p.bar.Describe(line(at.Path, 40))
	}
	_ = p.bar.Set64(at.Done) // a bar that can't be drawn is no reason to stop
}

// finish takes the bar away.
func (p *pullProgress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
