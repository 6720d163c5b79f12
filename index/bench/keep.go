package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vecino-db/vecino/index"
)

// Reopened is what opening a checkpoint takes, beside building.
type Reopened struct {
	Name         string  `json:"name"`
	Vectors      int     `json:"vectors"`
	Bytes        int64   `json:"bytes"`
	SaveSeconds  float64 `json:"save_seconds"` // on the wall, as all here
	OpenSeconds  float64 `json:"open_seconds"`
	BuildSeconds float64 `json:"build_seconds"`
	Ratio        float64 `json:"ratio"` // of building to opening
}

// A kept graph is the chunks of its checkpoint, each after its length (8 bytes,
// little-endian). Chunks are sealed: damage, and those of other vectors, are
// found when they are opened.

// save writes a checkpoint.
func save(x index.Index, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("bench: keep the graph: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("bench: keep the graph: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	err = x.Save(func(chunk index.Chunk) error {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(chunk)))
		if _, err := w.Write(length[:]); err != nil {
			return err
		}
		_, err := w.Write(chunk)
		return err
	})
	if err = errors.Join(err, w.Flush()); err != nil {
		return fmt.Errorf("bench: keep the graph in %s: %w", path, err)
	}
	return nil
}

// kept is where the chunks are that save wrote.
type kept struct {
	file   *os.File
	places []place
}

type place struct{ at, length int64 }

// chunks finds what save wrote.
func chunks(f *os.File) (index.Source, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	k := kept{file: f}
	for at := int64(0); at < info.Size(); {
		var length [8]byte
		if _, err := f.ReadAt(length[:], at); err != nil {
			return nil, fmt.Errorf("%w: %w", index.ErrCorrupt, err)
		}
		at += 8
		n := binary.LittleEndian.Uint64(length[:])
		if n > uint64(info.Size()-at) {
			return nil, fmt.Errorf("%w: a chunk of %d bytes where %d are left", index.ErrCorrupt, n, info.Size()-at)
		}
		k.places = append(k.places, place{at, int64(n)})
		at += int64(n)
	}
	return k, nil
}

// Head is the last chunk.
func (k kept) Head() (index.Chunk, error) {
	return k.chunk(len(k.places) - 1)
}

// Part is a chunk before it.
func (k kept) Part(number int, use func(index.Chunk) error) error {
	if number >= len(k.places)-1 {
		return fmt.Errorf("%w: part %d of %d", index.ErrCorrupt, number, len(k.places)-1)
	}
	chunk, err := k.chunk(number)
	if err != nil {
		return err
	}
	return use(chunk)
}

func (k kept) chunk(i int) (index.Chunk, error) {
	if i < 0 {
		return nil, fmt.Errorf("%w: an empty file", index.ErrCorrupt)
	}
	chunk := make(index.Chunk, k.places[i].length)
	if _, err := k.file.ReadAt(chunk, k.places[i].at); err != nil {
		return nil, err
	}
	return chunk, nil
}

// Kept is NewBuilt that looks for the graph in a directory first, and leaves it
// there. What is damaged there, or of other vectors, is built anew.
func (d *Data) Kept(ctx context.Context, e Engine, dir string, report func(done int)) (*Built, error) {
	path := filepath.Join(dir, fmt.Sprintf("%s-%s-%dx%d-m%d-ef%d.graph", strings.ReplaceAll(e.String(), "/", "-"), d.params.Metric, d.Base.Len(), d.Base.Dim(), d.params.M, d.params.EfConstruction))
	b, err := d.opened(e, path)
	if err == nil {
		return b, nil
	}
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, index.ErrCorrupt) && !errors.Is(err, index.ErrSpace) {
		return nil, err
	}
	if b, err = d.NewBuilt(ctx, e, report); err != nil {
		return nil, err
	}
	return b, save(b.Index, path)
}

// opened loads a kept graph.
func (d *Data) opened(e Engine, path string) (*Built, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	source, err := chunks(f)
	if err != nil {
		return nil, err
	}
	before := settled()
	c := startClock()
	x, err := d.load(e, source)
	if err != nil {
		return nil, err
	}
	processor, wall := c.stop()
	if x.Stats().Live != d.Base.Len() {
		return nil, errors.Join(fmt.Errorf("%w: %d vectors, not %d", index.ErrCorrupt, x.Stats().Live, d.Base.Len()), end(x))
	}
	b := d.built(e, x, before, processor, wall)
	b.Build.Loaded = true
	return b, nil
}

// Reopen saves an index into a directory, opens it again, and takes the file
// away. The file is in the system's cache, as it is when a server is started
// anew; the fastest of three counts.
func (d *Data) Reopen(b *Built, dir string) (Reopened, error) {
	out := Reopened{Name: b.Engine.String(), Vectors: d.Base.Len(), OpenSeconds: 1e18}
	if !b.Build.Loaded {
		out.BuildSeconds = b.Build.WallSeconds
	}
	path := filepath.Join(dir, "reopen.graph")
	defer func() { _ = os.Remove(path) }()
	begun := time.Now()
	if err := save(b.Index, path); err != nil {
		return out, err
	}
	out.SaveSeconds = time.Since(begun).Seconds()
	info, err := os.Stat(path)
	if err != nil {
		return out, err
	}
	out.Bytes = info.Size()
	for range 3 {
		opened, err := d.opened(b.Engine, path)
		if err != nil {
			return out, err
		}
		if err := opened.Close(); err != nil {
			return out, err
		}
		out.OpenSeconds = min(out.OpenSeconds, opened.Build.WallSeconds)
	}
	out.Ratio = out.BuildSeconds / out.OpenSeconds
	return out, nil
}
