package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/store"
)

// keptSnapshot is a snapshot that a server keeps.
type keptSnapshot struct {
	Name      string `json:"name"`
	CreatedAt string `json:"creation_time"`
	Size      int64  `json:"size"`
	Checksum  string `json:"checksum"`
	Points    int    `json:"points"`
}

// snapshotListCmd lists those that a server keeps.
type snapshotListCmd struct {
	connection
	Collection string `short:"c" required:"" help:"Collection." placeholder:"NAME"`
	JSON       bool   `help:"Print JSON."`
}

// Run lists.
func (c *snapshotListCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(r *remote) error {
		var raw json.RawMessage
		if err := r.result(ctx, http.MethodGet, collection(c.Collection, "/snapshots"), nil, &raw); err != nil {
			return err
		}
		if c.JSON {
			return out.JSON(raw)
		}
		var list []keptSnapshot
		if err := json.Unmarshal(raw, &list); err != nil {
			return fmt.Errorf("the answer is not vecino's: %w", err)
		}
		var rows []table.Row
		for _, s := range list {
			rows = append(rows, table.Row{s.Name, s.CreatedAt, s.Points, s.Size})
		}
		out.Table(table.Row{"snapshot", "made (UTC)", "points", "bytes"}, rows)
		return nil
	})
}

// createOn has a server make a snapshot, brings it into a file that was not
// there, verified, and lets the server delete its own.
func createOn(ctx context.Context, server, name, file string) (info store.SnapshotInfo, err error) {
	err = connection{Server: server}.with(ctx, func(r *remote) error {
		var made keptSnapshot
		if err := r.result(ctx, http.MethodPost, collection(name, "/snapshots"), nil, &made); err != nil {
			return err
		}
		path := collection(name, "/snapshots/"+url.PathEscape(made.Name))
		err := r.download(ctx, path, file, &info)
		var deleted bool
		return errors.Join(err, r.result(context.WithoutCancel(ctx), http.MethodDelete, path, nil, &deleted))
	})
	return info, err
}

// download brings a snapshot into a file.
func (r *remote) download(ctx context.Context, path, file string, info *store.SnapshotInfo) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		return err
	}
	response, err := r.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		return errors.Join(refusal(response, data), err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".snapshot-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if *info, err = store.VerifySnapshot(ctx, io.TeeReader(response.Body, f)); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// restoreOn sends a snapshot to a server.
func restoreOn(ctx context.Context, server, name string, replace bool, file io.Reader, size int64) error {
	return connection{Server: server}.with(ctx, func(r *remote) error {
		path := fmt.Sprintf("/snapshots/upload?replace=%t", replace)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+collection(name, path), file)
		if err != nil {
			return err
		}
		request.ContentLength = size
		request.Header.Set("Content-Type", "application/octet-stream")
		response, err := r.http.Do(request)
		if err != nil {
			return fmt.Errorf("%w; is a server running? start one by: vecino serve", err)
		}
		defer func() { _ = response.Body.Close() }()
		data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		if err == nil && response.StatusCode != http.StatusOK {
			err = refusal(response, data)
		}
		return err
	})
}
