package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/index/coder"
	"github.com/vecino-db/vecino/index/dataset"
	"github.com/vecino-db/vecino/store"
)

// readGraph reads a saved graph. All of it is read once before anything is
// stored, so that a damaged file brings nothing.
func (i *importer) readGraph(ctx context.Context) error {
	f, err := os.Open(i.CoderHNSW)
	if err != nil {
		return err
	}
	defer f.Close()
	var keys coder.KeyKind
	var saved coder.Saved
	if i.Keys == "auto" {
		keys, saved, err = coder.DetectKeys(f)
	} else if keys, err = i.keyKind(); err == nil {
		saved, err = coder.ReadSaved(f, keys, func(coder.SavedNode) error { return ctx.Err() })
	}
	if err != nil {
		return fmt.Errorf("read %s: %w; where the keys are of another type than was tried, name it by --keys", i.CoderHNSW, err)
	}
	distance := map[string]string{"cosine": "Cosine", "euclidean": "Euclid"}[saved.Distance]
	if distance == "" && i.Distance == "" {
		return fmt.Errorf("read %s: the graph compares by %q, which is its program's own; say what to compare by: --distance", i.CoderHNSW, line(saved.Distance, 40))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	i.sender.progress.note(fmt.Sprintf("%d vectors of %d dimensions, keys of type %s", saved.Nodes, saved.Dim, keys))
	_, err = coder.ReadSaved(f, keys, func(n coder.SavedNode) error {
		place := i.seen
		i.seen++
		if place < i.Skip {
			return ctx.Err()
		}
		// A string stays one, even if it looks like a number.
		id, err := store.StringID(n.Key)
		if keys != coder.KeysString {
			id, err = store.ParseID(n.Key)
		}
		if err != nil {
			i.reject(place, err)
			return nil
		}
		return i.add(ctx, vectorPoint{ID: id, Vector: slices.Clone(n.Vector), place: place}, distance)
	})
	return err
}

// readVectors reads a file of vectors and, where there is one, that of their
// ids and payloads.
func (i *importer) readVectors(ctx context.Context) error {
	beside, err := openRows(i.Points)
	if err != nil {
		return err
	}
	defer beside.close()
	err = dataset.Each(i.Vectors, dataset.ReadOptions{Dim: i.Dim}, func(_ int, row []float32) error {
		place := i.seen
		p := vectorPoint{ID: store.NumID(i.FirstID + uint64(place)), place: place}
		bad, err := beside.next(&p)
		if err != nil {
			return err
		}
		i.seen++
		switch {
		case place < i.Skip:
			return ctx.Err()
		case bad != nil:
			i.reject(place, bad)
			return nil
		}
		p.Vector = slices.Clone(row)
		return i.add(ctx, p, "Cosine")
	})
	if err == nil && beside.more() {
		err = fmt.Errorf("%s has more lines than %s has vectors (%d); do they belong together?", i.Points, i.Vectors, i.seen)
	}
	return err
}

// rowFile is NDJSON beside vectors; without a file every line says nothing.
type rowFile struct {
	path   string
	file   *os.File
	r      *bufio.Reader
	number int
}

func openRows(path string) (*rowFile, error) {
	if path == "" {
		return &rowFile{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &rowFile{path: path, file: f, r: bufio.NewReaderSize(f, 64<<10)}, nil
}

func (f *rowFile) close() {
	if f.file != nil {
		f.file.Close()
	}
}

// more reports whether there is another line that says something.
func (f *rowFile) more() bool {
	for f.file != nil {
		text, _, err := readLine(f.r)
		if len(bytes.TrimSpace(text)) > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	return false
}

// next reads the line of a vector into its point. bad is what is wrong with the
// line; err is the end of the file before that of the vectors, and the like.
func (f *rowFile) next(p *vectorPoint) (bad, err error) {
	if f.file == nil {
		return nil, nil
	}
	f.number++
	text, tooLong, err := readLine(f.r)
	switch {
	case errors.Is(err, io.EOF) && len(text) == 0:
		return nil, fmt.Errorf("%s ends after %d lines, before the vectors do; give a line for each", f.path, f.number-1)
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	case tooLong:
		return fmt.Errorf("line %d of %s is longer than %d bytes", f.number, f.path, maxLine), nil
	}
	if bad = p.parse(text); bad != nil {
		bad = fmt.Errorf("line %d of %s: %w", f.number, f.path, bad)
	}
	return bad, nil
}

// parse reads {"id": ..., "payload": {...}}.
func (p *vectorPoint) parse(text []byte) error {
	return strictjson.Decode(text, func(r *strictjson.Reader) error {
		return r.Object(func(key string) error {
			switch key {
			case "id":
				raw, err := r.Raw()
				if err != nil {
					return err
				}
				if err := p.ID.UnmarshalJSON(raw); err != nil {
					return r.Fail("%v", err)
				}
				return nil
			case "payload":
				if r.Kind() != strictjson.Object && r.Kind() != strictjson.Null {
					return r.Fail("a payload is an object")
				}
				raw, err := r.Raw()
				p.Payload = json.RawMessage(bytes.Clone(raw))
				return err
			}
			return r.Unknown(key)
		})
	})
}
