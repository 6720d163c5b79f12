package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// Point is one point to be stored: a text, or a vector with or without one.
type Point struct {
	ID      store.ID
	Text    string
	HasText bool
	Vector  []float32 // nil: made of the text
	// Space is what the client says that Vector is of; the zero Fingerprint: of
	// whichever generation serves.
	Space   compat.Fingerprint
	Payload json.RawMessage // a JSON object, or nil
	// Pointer is where the point stands in the request, for errors.
	Pointer string
}

// Written is the outcome of Upsert.
type Written struct {
	Sequence  uint64     // of the batch
	Tokens    int        // that were encoded
	Truncated []store.ID // points whose text was longer than the model takes
}

// maxBatchFloats bounds the vectors of one batch: 128 MiB of them.
const maxBatchFloats = 32 << 20

// Upsert stores the points, all or none. Of several with one id the last wins.
// During a migration they go into both generations.
func (c *Collection) Upsert(ctx context.Context, points []Point) (w Written, err error) {
	if len(points) == 0 {
		return w, nil
	}
	for range generationChanges {
		p := c.now()
		w, err = c.upsert(ctx, p, points)
		if !errors.Is(err, index.ErrSpace) && !errors.Is(err, store.ErrStandby) || !p.changed(ctx) {
			break
		}
	}
	return w, err
}

// upsert stores points, encoded for the generations that p has.
func (c *Collection) upsert(ctx context.Context, p *places, points []Point) (Written, error) {
	var w Written
	g := p.serving
	if n := len(points) * g.manifest.Space.Dimension; n > maxBatchFloats {
		return w, &Error{
			Kind: KindTooLarge, Code: "batch_too_large",
			Detail: fmt.Sprintf("%d points of %d dimensions are more than one request may bring", len(points), g.manifest.Space.Dimension),
			Remedy: fmt.Sprintf("send at most %d points at once", maxBatchFloats/g.manifest.Space.Dimension),
		}
	}
	if err := c.refuseWrites(); err != nil {
		return w, err
	}
	encoded, err := c.encodePoints(ctx, g, points)
	if err != nil {
		return w, err
	}
	for _, point := range points {
		if point.Vector != nil && !point.Space.IsZero() && !point.Space.Matches(g.fingerprint()) {
			return w, c.otherSpace(g, point.Space, point.Pointer+"/vector")
		}
	}
	vectors, err := g.batch(points, encoded.Vectors)
	if err != nil {
		return w, err
	}
	docs := make([]store.Document, len(points))
	texts := 0
	for i, point := range points {
		docs[i] = store.Document{ID: point.ID, Text: point.Text, HasText: point.HasText, Payload: point.Payload}
		if point.Vector == nil {
			w.Tokens += encoded.Tokens[texts]
			if encoded.Truncated[texts] {
				w.Truncated = append(w.Truncated, point.ID)
			}
			texts++
		} else if !point.HasText {
			docs[i].Text, docs[i].HasText = payloadText(g.manifest, point.Payload)
		}
	}
	other, err := c.other(ctx, p, docs)
	if err != nil {
		return w, err
	}
	w.Sequence, err = c.stored.PutBoth(ctx, docs, vectors, other)
	return w, err
}

// otherSpace refuses a vector of a space that served when the request began, or
// never did.
func (c *Collection) otherSpace(g *generation, space compat.Fingerprint, pointer string) error {
	reason := fmt.Sprintf("the vector is of the embedding space %.12s, and collection %q is of %.12s by now", space, c.Name(), g.fingerprint())
	return &Error{
		Kind: KindConflict, Code: "another_space", Detail: reason,
		Remedy: fmt.Sprintf("encode by the model that serves now: GET /collections/%s/manifest says which it is", c.Name()), Fields: []Field{{Pointer: pointer, Reason: reason}},
	}
}

// other is what documents are in the standby's space. One that can't be had
// now (no text, no tokens in it, an encoder that is away) is left out: the
// store knows what a generation lacks, and the migration brings it in later.
func (c *Collection) other(ctx context.Context, p *places, docs []store.Document) (store.Other, error) {
	if p.standby == nil || p.derived {
		return store.Other{}, nil
	}
	other := store.Other{Space: p.standby.fingerprint(), Rows: make([]int, len(docs))}
	var texts []string
	for i, d := range docs {
		if other.Rows[i] = -1; d.HasText {
			other.Rows[i] = len(texts)
			texts = append(texts, d.Text)
		}
	}
	if len(texts) == 0 {
		return other, nil
	}
	encoded, rows, err := c.encodeSome(ctx, p.standby, embed.RoleDocument, texts)
	if ctx.Err() != nil {
		return store.Other{}, ctx.Err()
	}
	for i, row := range other.Rows {
		switch {
		case err != nil:
			other.Rows[i] = -1
		case row >= 0:
			other.Rows[i] = rows[row]
		}
	}
	other.Vectors = encoded.Vectors
	return other, nil
}

// encodeSome encodes texts in a role for a generation and gives for each its
// row, or -1 where the encoder finds nothing in it.
func (c *Collection) encodeSome(ctx context.Context, g *generation, role embed.Role, texts []string) (done embed.Encoded, rows []int, err error) {
	return encodeSome(ctx, texts, func(ctx context.Context, texts []string) (embed.Encoded, error) { return c.encode(ctx, g, role, texts) })
}

// encodeSome is Collection.encodeSome by an encoding that refuses what it finds
// nothing in.
func encodeSome(ctx context.Context, texts []string, encode encodeFunc) (done embed.Encoded, rows []int, err error) {
	rows = make([]int, len(texts))
	kept := make([]int, len(texts)) // indices of texts
	for i := range kept {
		kept[i] = i
	}
	for len(kept) > 0 {
		batch := make([]string, len(kept))
		for i, text := range kept {
			batch[i] = texts[text]
		}
		encoded, err := encode(ctx, batch)
		var refused *embed.TextError
		if errors.As(err, &refused) && refused.Index >= 0 && refused.Index < len(kept) {
			rows[kept[refused.Index]] = -1
			kept = slices.Delete(kept, refused.Index, refused.Index+1)
			continue
		}
		if err != nil {
			return embed.Encoded{}, nil, err
		}
		for row, text := range kept {
			rows[text] = row
		}
		return encoded, rows, nil
	}
	return embed.Encoded{}, rows, nil
}

// encodeFunc makes vectors of texts.
type encodeFunc func(ctx context.Context, texts []string) (embed.Encoded, error)

// Settle waits until all that was stored before is linked into the graph. It
// is durable, and found by queries, without that.
func (c *Collection) Settle(ctx context.Context) error { return c.stored.Settle(ctx) }

// encodePoints encodes the texts of the points that bring no vector, in order.
func (c *Collection) encodePoints(ctx context.Context, g *generation, points []Point) (embed.Encoded, error) {
	var texts []string
	var pointers []string
	for _, p := range points {
		if p.Vector == nil {
			texts, pointers = append(texts, p.Text), append(pointers, p.Pointer)
		}
	}
	if len(texts) == 0 {
		return embed.Encoded{}, nil
	}
	encoded, err := c.encode(ctx, g, embed.RoleDocument, texts)
	return encoded, textError(err, func(i int) string { return pointers[i] + "/text" })
}

// textError points an encoder's complaint about a text at its place.
func textError(err error, pointer func(i int) string) error {
	var e *embed.TextError
	if !errors.As(err, &e) {
		return err
	}
	at := pointer(e.Index)
	return &Error{
		Kind: KindInvalid, Code: "unusable_text", Detail: fmt.Sprintf("text %d can't be embedded: %v", e.Index, e.Err),
		Remedy: "send a text with at least one word, or leave it out", Fields: []Field{{Pointer: at, Reason: e.Err.Error()}}, Err: err,
	}
}

// batch stamps the vectors that clients brought and puts them in order with
// those that were encoded.
func (g *generation) batch(points []Point, encoded compat.Vectors) (compat.Vectors, error) {
	if encoded.Len() == len(points) {
		return encoded, nil
	}
	var rows [][]float32
	var pointers []string
	order := make([]int, len(points)) // into encoded, then rows
	texts := 0
	for i, p := range points {
		if p.Vector == nil {
			order[i] = texts
			texts++
			continue
		}
		order[i] = encoded.Len() + len(rows)
		rows, pointers = append(rows, p.Vector), append(pointers, p.Pointer+"/vector")
	}
	brought, err := g.raw.Stamp(rows)
	if err != nil {
		return compat.Vectors{}, vectorErrors(err, pointers)
	}
	if encoded.Len() == 0 {
		return brought, nil
	}
	all, err := compat.Concat(encoded, brought)
	if err != nil {
		return compat.Vectors{}, err
	}
	return all.Select(order), nil
}

// vectorCode is the code of what is wrong with a vector.
func vectorCode(cause error) string {
	switch cause {
	case compat.ErrDimension:
		return "wrong_dimension"
	case compat.ErrNotFinite:
		return "not_finite"
	case compat.ErrZeroNorm:
		return "zero_vector"
	case compat.ErrNorm:
		return "not_normalized"
	}
	return "bad_vector"
}

// vectorErrors points complaints about rows at their places.
func vectorErrors(err error, pointers []string) error {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	out := &Error{Kind: KindInvalid, Err: err, Remedy: "send finite vectors of the model that the collection was made with"}
	for _, one := range list {
		var e *compat.VectorError
		if !errors.As(one, &e) || e.Row < 0 || e.Row >= len(pointers) {
			return err
		}
		reason := fmt.Sprintf("%v: %s", e.Err, e.Detail)
		if out.Fields == nil {
			out.Code, out.Detail = vectorCode(e.Err), reason
		}
		out.Fields = append(out.Fields, Field{Pointer: pointers[e.Row], Reason: reason})
	}
	return out
}

// payloadText finds the text of a point that came with its vector, where the
// manifest says that it lies.
func payloadText(m compat.Manifest, payload json.RawMessage) (string, bool) {
	return textIn(m.Provenance.TextField, payload)
}

// textIn is the text that lies in a field of a payload.
func textIn(field string, payload json.RawMessage) (string, bool) {
	if field == "" || len(payload) == 0 {
		return "", false
	}
	var object map[string]json.RawMessage
	var text string
	if json.Unmarshal(payload, &object) != nil || !bytes.HasPrefix(object[field], []byte(`"`)) || json.Unmarshal(object[field], &text) != nil {
		return "", false
	}
	return text, true
}

// Points gives the points of the ids that are there, in the order asked for.
func (c *Collection) Points(ctx context.Context, ids []store.ID, withVector bool) ([]store.Stored, error) {
	return c.stored.Get(ctx, ids, withVector)
}

// Selection names points by id or by filter, never both.
type Selection struct {
	IDs    []store.ID
	Filter *filter.Filter // nil: IDs count
}

// Deleted is the outcome of Delete.
type Deleted struct {
	Count    int
	Sequence uint64
}

// Delete removes the selected points; with dryRun it only counts them.
func (c *Collection) Delete(ctx context.Context, sel Selection, dryRun bool) (Deleted, error) {
	ids := sel.IDs
	if sel.Filter != nil {
		matching, err := c.stored.Matching(ctx, sel.Filter)
		if err != nil {
			return Deleted{}, err
		}
		ids = matching
	}
	if dryRun {
		there, err := c.stored.Get(ctx, ids, false)
		distinct := make(map[store.ID]struct{}, len(there))
		for _, p := range there {
			distinct[p.ID] = struct{}{}
		}
		return Deleted{Count: len(distinct)}, err
	}
	n, sequence, err := c.stored.Delete(ctx, ids)
	return Deleted{Count: n, Sequence: sequence}, err
}

// Count counts the points that a filter admits; nil admits all.
func (c *Collection) Count(ctx context.Context, f *filter.Filter) (int, error) {
	return c.stored.Count(ctx, f)
}

// Scroll gives one page in the order of ids, and where the next one begins.
func (c *Collection) Scroll(ctx context.Context, q store.ScrollQuery) ([]store.Stored, *store.ID, error) {
	return c.stored.Scroll(ctx, q)
}
