package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// PayloadOp is what is done to payloads.
type PayloadOp int

// The operations.
const (
	PayloadSet       PayloadOp = iota // values under keys, the others stay
	PayloadOverwrite                  // the whole payload
	PayloadDelete                     // what paths name
	PayloadClear                      // everything
)

// PayloadEdit is a change of payloads. Vectors stay, and so does the text,
// unless it lies in the payload: where a collection has a text_field and the
// payload holds a point's text there, the text changes with it. With an
// encoder the vector follows a text that replaces another one; a text that is
// new or goes away leaves the vector that the point has. Without an encoder
// vectors are the client's to follow.
type PayloadEdit struct {
	Op      PayloadOp
	Payload json.RawMessage // an object, of PayloadSet and PayloadOverwrite
	// Key is the path of PayloadSet at which the values go; nil: the top.
	Key  *filter.Path
	Keys []filter.Path // of PayloadDelete
}

// PayloadEdited is the outcome of EditPayloads.
type PayloadEdited struct {
	Points   int // that were there
	Sequence uint64
	Tokens   int // of texts that were encoded
}

// maxEditRounds bounds how often texts are encoded because others wrote
// meanwhile.
const maxEditRounds = 5

// errMoreTexts: a point needs a text encoded that was not foreseen.
var errMoreTexts = errors.New("more texts")

// EditPayloads changes the payloads of the selected points, all or none; ids
// that are not there are left out.
func (c *Collection) EditPayloads(ctx context.Context, sel Selection, e PayloadEdit) (out PayloadEdited, err error) {
	if err := c.refuseWrites(); err != nil {
		return out, err
	}
	ids := sel.IDs
	if sel.Filter != nil {
		if ids, err = c.stored.Matching(ctx, sel.Filter); err != nil {
			return out, err
		}
	}
	for range maxEditRounds {
		p := c.now()
		g := p.serving
		texts, vectors, tokens, err := c.changedTexts(ctx, g, ids, e)
		out.Tokens += tokens
		if err != nil {
			return out, err
		}
		out.Points, out.Sequence, err = c.stored.Edit(ctx, ids, vectors, func(d *store.Document) (int, error) {
			encode, err := g.editPayload(d, e)
			if err != nil || !encode {
				return -1, err
			}
			if row, ok := texts[d.Text]; ok {
				return row, nil
			}
			return -1, errMoreTexts
		})
		if errors.Is(err, index.ErrSpace) && p.changed(ctx) {
			continue
		}
		if !errors.Is(err, errMoreTexts) {
			return out, err
		}
	}
	return out, &Error{
		Kind: KindOverloaded, Code: "points_changed", Detail: "the texts of the points changed again and again while they were encoded; nothing was changed",
		Remedy: "send the request again",
	}
}

// changedTexts encodes the texts that an edit makes: their rows, by text.
func (c *Collection) changedTexts(ctx context.Context, g *generation, ids []store.ID, e PayloadEdit) (texts map[string]int, vectors compat.Vectors, tokens int, err error) {
	if !g.follows() {
		return nil, vectors, 0, nil
	}
	docs, err := c.stored.Get(ctx, ids, false)
	if err != nil {
		return nil, vectors, 0, err
	}
	texts = map[string]int{}
	var list []string
	for i := range docs {
		encode, err := g.editPayload(&docs[i].Document, e)
		if err != nil {
			return nil, vectors, 0, err
		}
		text := docs[i].Text
		if _, known := texts[text]; encode && !known {
			texts[text] = len(list)
			list = append(list, text)
		}
	}
	if len(list) == 0 {
		return texts, vectors, 0, nil
	}
	if n := len(list) * g.manifest.Space.Dimension; n > maxBatchFloats {
		return nil, vectors, 0, &Error{
			Kind: KindTooLarge, Code: "batch_too_large", Detail: fmt.Sprintf("the edit changes %d texts, more than one request may bring", len(list)),
			Remedy: fmt.Sprintf("name at most %d points at once", maxBatchFloats/g.manifest.Space.Dimension),
		}
	}
	encoded, err := c.encode(ctx, g, embed.RoleDocument, list)
	if err != nil {
		return nil, vectors, 0, textError(err, func(int) string { return "/payload" })
	}
	for _, n := range encoded.Tokens {
		tokens += n
	}
	return texts, encoded.Vectors, tokens, nil
}

// follows reports whether the vector of a text that lies in the payload is the
// collection's to make.
func (g *generation) follows() bool {
	return g.manifest.Provenance.TextField != "" && g.manifest.Provenance.Model != ""
}

// editPayload changes a document, and says whether its text has to be encoded.
func (g *generation) editPayload(d *store.Document, e PayloadEdit) (encode bool, err error) {
	before, beforeHas := payloadText(g.manifest, d.Payload)
	if d.Payload, err = e.apply(d.Payload); err != nil {
		return false, err
	}
	if g.manifest.Provenance.TextField == "" || d.HasText != beforeHas || d.HasText && d.Text != before {
		return false, nil // the text lies elsewhere
	}
	after, afterHas := payloadText(g.manifest, d.Payload)
	encode = g.follows() && beforeHas && afterHas && before != after
	d.Text, d.HasText = after, afterHas
	return encode, nil
}

// apply is a payload after the edit.
func (e PayloadEdit) apply(payload json.RawMessage) (json.RawMessage, error) {
	switch e.Op {
	case PayloadOverwrite:
		return e.Payload, nil
	case PayloadClear:
		return nil, nil
	}
	object, err := payloadObject(payload)
	if err != nil {
		return nil, err
	}
	if e.Op == PayloadDelete {
		for _, key := range e.Keys {
			key.Delete(object)
		}
	} else {
		values, err := payloadObject(e.Payload)
		if err != nil {
			return nil, err
		}
		if e.Key == nil {
			for k, v := range values {
				object[k] = v
			}
		} else {
			e.Key.Merge(object, values)
		}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return nil, fmt.Errorf("write the payload: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// payloadObject reads a payload; numbers keep their spelling.
func payloadObject(payload json.RawMessage) (map[string]any, error) {
	object := map[string]any{}
	if len(payload) == 0 {
		return object, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("read the payload: %w", err)
	}
	return object, nil
}

// CreatePayloadIndex makes an index of the values at a path; see
// store.Collection. With wait it returns when filters use it.
func (c *Collection) CreatePayloadIndex(ctx context.Context, field string, t store.PayloadType, params json.RawMessage, wait bool) error {
	if err := c.stored.CreatePayloadIndex(ctx, field, t, params); err != nil || !wait {
		return err
	}
	return c.stored.AwaitPayloadIndexes(ctx)
}

// DropPayloadIndex removes the index of a path and says whether there was one.
func (c *Collection) DropPayloadIndex(ctx context.Context, field string) (bool, error) {
	return c.stored.DropPayloadIndex(ctx, field)
}

// Sequence is the number of the last write.
func (c *Collection) Sequence() uint64 { return c.stored.Sequence() }

// PayloadIndexes describes the payload indexes.
func (c *Collection) PayloadIndexes() []store.PayloadIndex { return c.stored.PayloadIndexes() }
