package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/vecino-db/vecino/index/coder"
	"github.com/vecino-db/vecino/store"
)

// importCmd brings vectors that other programs made into a collection.
type importCmd struct {
	connection
	Collection  string `short:"c" required:"" help:"Collection; made when it isn't there." placeholder:"NAME"`
	CoderHNSW   string `name:"coder-hnsw" help:"A graph saved by github.com/coder/hnsw (Export, SavedGraph)." placeholder:"FILE"`
	Keys        string `help:"Type of that graph's keys: auto, string, int, int64, uint32, ..." default:"auto" placeholder:"TYPE"`
	Vectors     string `help:"Vectors: .npy, .fvecs, .bvecs, .f32 or idx." placeholder:"FILE"`
	Dim         int    `help:"Dimension, of .f32 files." placeholder:"N"`
	FirstID     uint64 `name:"first-id" help:"Id of the first vector of --vectors; the others count on."`
	Points      string `help:"NDJSON beside --vectors, a line for each: {\"id\": 7, \"payload\": {...}}, either may be left out." placeholder:"FILE"`
	Distance    string `help:"How a new collection compares: Cosine, Dot or Euclid; as the saved graph does when left out, or Cosine." enum:",Cosine,Dot,Euclid" default:"" placeholder:"NAME"`
	Encoding    string `help:"How a new collection keeps vectors in memory: f32, int8, lvq4x8." enum:",f32,int8,lvq4x8" default:"" placeholder:"NAME"`
	Fingerprint string `help:"Declare that the vectors are of this embedding space, which a collection with a model wants (manifest show)." placeholder:"HEX"`
	Skip        int    `help:"Pass over the first so many vectors: those that an earlier run has stored." placeholder:"N"`
	Retries     int    `help:"How often a request is tried again when the server is busy." default:"8"`
	JSON        bool   `help:"Print the outcome as JSON."`
}

// Help teaches.
func (importCmd) Help() string {
	return `Examples:
  vecino import -c docs --coder-hnsw graph.bin
  vecino import -c images --vectors embeddings.npy --points rows.ndjson
  vecino import -c sift --vectors sift_base.fvecs --distance Euclid
  vecino import -c notes --vectors notes.npy --fingerprint 4f5e...

Of a saved graph the vectors are taken, under its keys, and the graph is built
anew. A new collection is of no model: nothing can tell whether vectors that
come later are of the same one, and the collection says so (unverified). A
collection with a model takes vectors only with --fingerprint, by which you say
that this very model made them. The same command again changes nothing: ids are
the keys, the numbers of --points, or the places in the file. After an
interruption --skip goes on from where it ended. Vectors that can't be used are
reported, the rest goes on, and the exit status is 1.`
}

// imported is what an import came to.
type imported struct {
	Points  int     `json:"points"` // stored
	Bad     int     `json:"bad"`
	Dim     int     `json:"dimension"`
	Seconds float64 `json:"seconds"`
}

// Run imports.
func (c *importCmd) Run(ctx context.Context, out *output) error {
	switch {
	case (c.CoderHNSW == "") == (c.Vectors == ""):
		return usageError{errors.New("give one source: --coder-hnsw or --vectors")}
	case c.Points != "" && c.Vectors == "":
		return usageError{errors.New("--points stands beside --vectors; a saved graph has keys")}
	case c.Skip < 0 || c.Retries < 0:
		return usageError{errors.New("--skip and --retries are not negative")}
	}
	info, err := os.Stat(c.path())
	if err != nil {
		return err
	}
	c.create = true
	return c.with(ctx, func(r *remote) error {
		r.fingerprint = c.Fingerprint
		i := &importer{importCmd: c, begun: time.Now(), name: filepath.Base(c.path()), sender: &sender{
			remote: r, collection: c.Collection, retries: c.Retries, progress: newProgress(out, []source{{path: c.path(), size: info.Size()}}),
		}}
		return i.run(ctx, out)
	})
}

// path is the file that is read.
func (c *importCmd) path() string {
	if c.Vectors != "" {
		return c.Vectors
	}
	return c.CoderHNSW
}

// importer is an import on its way.
type importer struct {
	*importCmd
	sender *sender
	name   string
	begun  time.Time
	done   imported
	batch  []vectorPoint
	seen   int // vectors read
	made   bool
}

// vectorPoint is a point as the server takes it.
type vectorPoint struct {
	ID      store.ID        `json:"id"`
	Vector  []float32       `json:"vector"`
	Payload json.RawMessage `json:"payload,omitempty"`
	place   int
}

// run reads all and sends it.
func (i *importer) run(ctx context.Context, out *output) error {
	defer i.sender.progress.finish()
	var err error
	if i.CoderHNSW != "" {
		err = i.readGraph(ctx)
	} else {
		err = i.readVectors(ctx)
	}
	if err == nil {
		err = i.flush(ctx)
	}
	if err != nil {
		if errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		if done := i.seen - len(i.batch); done > 0 {
			err = fmt.Errorf("%w; the first %d vectors are done: the same command with --skip %d goes on from there", err, done, done)
		}
		return err
	}
	i.sender.progress.finish()
	i.done.Seconds = time.Since(i.begun).Seconds()
	if i.JSON {
		err = out.JSON(i.done)
	} else {
		_, err = fmt.Fprintf(out, "%d vectors of %d dimensions in %.1f s\n", i.done.Points, i.done.Dim, i.done.Seconds)
	}
	if err == nil && i.done.Bad > 0 {
		err = fmt.Errorf("%d vectors could not be used; the lines above say which and why", i.done.Bad)
	}
	return err
}

// batchFloats of vectors make a request.
const batchFloats = 1 << 17

// add takes a vector and sends the batch when it is full. The first one makes
// the collection where there is none.
func (i *importer) add(ctx context.Context, p vectorPoint, distance string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	i.done.Dim = len(p.Vector)
	if !i.made {
		if err := i.prepare(ctx, distance); err != nil {
			return err
		}
		i.made = true
	}
	if i.batch = append(i.batch, p); len(i.batch)*len(p.Vector) >= batchFloats || len(i.batch) >= 1000 {
		return i.flush(ctx)
	}
	return nil
}

// prepare makes the collection, unless it is there. Whether the vectors fit one
// that is there the server says with the first of them.
func (i *importer) prepare(ctx context.Context, distance string) error {
	var there struct{ Exists bool }
	if err := i.sender.remote.result(ctx, http.MethodGet, collection(i.Collection, "/exists"), nil, &there); err != nil || there.Exists {
		return err
	}
	if i.Fingerprint != "" {
		return fmt.Errorf("there is no collection %q whose space --fingerprint could name; make it with its model first, or leave --fingerprint out", i.Collection)
	}
	if i.Distance != "" {
		distance = i.Distance
	}
	wish := map[string]any{"vectors": map[string]any{"size": i.done.Dim, "distance": distance}}
	if i.Encoding != "" {
		wish["index"] = map[string]any{"encoding": i.Encoding}
	}
	var made bool
	return i.sender.remote.result(ctx, http.MethodPut, collection(i.Collection, ""), wish, &made)
}

// flush sends what is there. It is durable then; the graph may follow later.
func (i *importer) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	if err := i.send(ctx, i.batch); err != nil {
		return err
	}
	i.batch = i.batch[:0]
	i.sender.progress.documents(i.done.Points)
	return nil
}

// send sends a batch, and halves one that can't be used until the vectors that
// are the reason stand alone.
func (i *importer) send(ctx context.Context, batch []vectorPoint) error {
	err := i.sender.call(ctx, http.MethodPut, "/points?wait=false", map[string]any{"points": batch}, &struct{}{})
	var refused *serverError
	switch {
	case err == nil:
		i.done.Points += len(batch)
		i.sender.progress.add(4 * len(batch) * len(batch[0].Vector))
		return nil
	case errors.As(err, &refused) && refused.Code == "fingerprint_required":
		return fmt.Errorf("%w (here that header is --fingerprint)", err)
	case refused == nil || !refused.unusable():
		return err
	case i.done.Points == 0 && i.wrongSize(ctx):
		return fmt.Errorf("%s has vectors of %d dimensions, and collection %q takes others: %w", i.name, i.done.Dim, i.Collection, err)
	case len(batch) == 1:
		i.reject(batch[0].place, errors.New(refused.Detail))
		return nil
	}
	half := len(batch) / 2
	if err := i.send(ctx, batch[:half]); err != nil {
		return err
	}
	return i.send(ctx, batch[half:])
}

// wrongSize reports whether the collection takes vectors of another dimension.
func (i *importer) wrongSize(ctx context.Context) bool {
	var info struct {
		Config struct {
			Params struct {
				Vectors struct{ Size int }
			}
		}
	}
	err := i.sender.remote.result(ctx, http.MethodGet, collection(i.Collection, ""), nil, &info)
	return err == nil && info.Config.Params.Vectors.Size != i.done.Dim
}

// reject reports a vector that can't be used, by its place from 0.
func (i *importer) reject(place int, reason error) {
	i.done.Bad++
	i.sender.progress.note(fmt.Sprintf("%s: vector %d: %v", i.name, place, reason))
}

// keyKind checks the flag against what there is.
func (i *importer) keyKind() (coder.KeyKind, error) {
	for _, kind := range coder.KeyKinds() {
		if string(kind) == i.Keys {
			return kind, nil
		}
	}
	return "", usageError{fmt.Errorf("--keys %q is no type of keys; there are auto and %v", i.Keys, coder.KeyKinds())}
}
