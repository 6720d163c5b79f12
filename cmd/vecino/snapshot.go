package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/vecino-db/vecino/store"
)

// snapshotCmd keeps collections in files.
type snapshotCmd struct {
	Create  snapshotCreateCmd  `cmd:"" help:"Write a collection of a server or a stopped store into a file."`
	List    snapshotListCmd    `cmd:"" help:"List the snapshots that a server keeps."`
	Verify  snapshotVerifyCmd  `cmd:"" help:"Read all of a snapshot and say what it is."`
	Restore snapshotRestoreCmd `cmd:"" help:"Make a collection of a snapshot, on a server or in a stopped store."`
}

// Help teaches.
func (snapshotCmd) Help() string {
	return `Examples:
  vecino snapshot create --data ./data -c notes notes.snapshot
  vecino snapshot create --server http://127.0.0.1:7747 -c notes notes.snapshot
  vecino snapshot verify notes.snapshot
  vecino snapshot restore --data ./other notes.snapshot
  vecino snapshot restore --data ./data -c notes --replace notes.snapshot

A snapshot is one collection in one file: its manifest, texts, payloads and
vectors, sealed by checksums. It is restored whole, or refused; a graph is built
anew. Exit status of verify: 0 whole and sound, 1 not.`
}

// snapshotReport is what a snapshot is.
type snapshotReport struct {
	File        string    `json:"file"`
	Collection  string    `json:"collection"`
	Model       string    `json:"model"`
	Dimension   int       `json:"dimension"`
	Points      int       `json:"points"`
	Fingerprint string    `json:"fingerprint"`
	CreatedAt   time.Time `json:"created_at"`
	Digest      string    `json:"digest"`
	Bytes       int64     `json:"bytes"`
}

// show says what a snapshot is, as JSON or in a line.
func (i snapshotReport) show(out *output, asJSON bool, done string) error {
	if asJSON {
		return out.JSON(i)
	}
	model := i.Model
	if model == "" {
		model = "unverified vectors"
	}
	_, err := fmt.Fprintf(out, "%s %s: collection %s of %s, %d points of %s, %d dimensions, %.1f MB\n",
		done, i.File, i.Collection, i.CreatedAt.Format(time.RFC3339), i.Points, line(model, 60), i.Dimension, float64(i.Bytes)/1e6)
	return err
}

func reportOf(path string, info store.SnapshotInfo) snapshotReport {
	r := snapshotReport{
		File: path, Collection: info.Collection, Model: info.Manifest.Provenance.Model, Dimension: info.Dimension, Points: info.Points,
		Fingerprint: info.Fingerprint.String(), CreatedAt: info.CreatedAt, Digest: hex.EncodeToString(info.Digest[:]),
	}
	if file, err := os.Stat(path); err == nil {
		r.Bytes = file.Size()
	}
	return r
}

// snapshotCreateCmd writes one.
type snapshotCreateCmd struct {
	Data       string `xor:"place" required:"" help:"Data directory of a stopped store." placeholder:"DIR" env:"-"`
	Server     string `xor:"place" required:"" help:"Address of a server." placeholder:"URL" env:"-"`
	Collection string `short:"c" required:"" help:"Collection." placeholder:"NAME"`
	JSON       bool   `help:"Print the outcome as JSON."`
	File       string `arg:"" help:"File to write; there must be none of that name."`
}

// Run writes it beside its place, syncs it, and moves it there.
func (c *snapshotCreateCmd) Run(ctx context.Context, out *output) (err error) {
	if _, err := os.Lstat(c.File); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s is there already; name another file", c.File), err)
	}
	if c.Server != "" {
		info, err := createOn(ctx, c.Server, c.Collection, c.File)
		if err != nil {
			return err
		}
		return reportOf(c.File, info).show(out, c.JSON, "wrote")
	}
	s, err := store.Open(ctx, store.Options{Dir: c.Data, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	d, err := s.Describe(ctx, c.Collection)
	if err != nil {
		return err
	}
	stored, err := s.OpenCollection(ctx, c.Collection, d.Manifest.Space)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.File), ".snapshot-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	info, err := stored.WriteSnapshot(ctx, f, nil)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), c.File); err != nil {
		return err
	}
	return reportOf(c.File, info).show(out, c.JSON, "wrote")
}

// snapshotVerifyCmd reads one.
type snapshotVerifyCmd struct {
	JSON bool   `help:"Print the outcome as JSON."`
	File string `arg:"" help:"Snapshot."`
}

// Run reads it.
func (c *snapshotVerifyCmd) Run(ctx context.Context, out *output) error {
	f, err := openSnapshot(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := store.VerifySnapshot(ctx, f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return reportOf(c.File, info).show(out, c.JSON, "sound:")
}

// openSnapshot opens a file; nothing but a regular one can be read twice.
func openSnapshot(path string) (io.ReadSeekCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// snapshotRestoreCmd makes a collection of one.
type snapshotRestoreCmd struct {
	Data       string `xor:"place" required:"" help:"Data directory of a stopped store; made when it isn't there." placeholder:"DIR" env:"-"`
	Server     string `xor:"place" required:"" help:"Address of a server." placeholder:"URL" env:"-"`
	Collection string `short:"c" help:"Name of the collection; the snapshot's own when left out." placeholder:"NAME"`
	Replace    bool   `help:"Put it in the place of a collection of that name."`
	JSON       bool   `help:"Print the outcome as JSON."`
	File       string `arg:"" help:"Snapshot."`
}

// Run makes it.
func (c *snapshotRestoreCmd) Run(ctx context.Context, out *output) (err error) {
	f, err := openSnapshot(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	if c.Server != "" {
		return c.send(ctx, out, f)
	}
	s, err := store.Open(ctx, store.Options{Dir: c.Data, Create: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	info, err := s.Restore(ctx, f, store.RestoreOptions{Name: c.Collection, Replace: c.Replace})
	if errors.Is(err, store.ErrExists) {
		err = fmt.Errorf("%w (by --replace, or give another name by -c)", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return reportOf(c.File, info).show(out, c.JSON, "restored")
}

// send restores on a server.
func (c *snapshotRestoreCmd) send(ctx context.Context, out *output, f io.ReadSeeker) error {
	info, err := store.VerifySnapshot(ctx, f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	name := c.Collection
	if name == "" {
		name = info.Collection
	}
	if err := restoreOn(ctx, c.Server, name, c.Replace, f, size); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return reportOf(c.File, info).show(out, c.JSON, "restored")
}
