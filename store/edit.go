package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/vecino-db/vecino/compat"
)

// Edit changes documents where they lie: it reads each of the ids that is there
// and gives it to edit, which changes text and payload. A document for which
// edit gives the row -1 keeps its vector, and the graph does not learn of it;
// otherwise its vector becomes that row of v. During a migration a document
// with another text or vector has none in the second generation, until that is
// filled again. No other write of the points comes in between, so edit must be
// quick; its error leaves everything as it was. Edit says how many documents
// there were and gives the sequence number of the change. Durability and errors
// are those of Put.
func (c *Collection) Edit(ctx context.Context, ids []ID, v compat.Vectors, edit func(d *Document) (row int, err error)) (edited int, sequence uint64, err error) {
	if err := c.begin(); err != nil {
		return 0, 0, err
	}
	defer c.end()
	if err := c.store.room(); err != nil {
		return 0, 0, err
	}
	c.writing.RLock()
	defer c.writing.RUnlock()
	all := c.generations.Load()
	if have := all.serving.config.Fingerprint; v.Len() > 0 && !v.Fingerprint().Matches(have) {
		return 0, 0, c.otherSpace(v.Fingerprint())
	}
	size := 0
	bounded := func(d *Document) ([]float32, error) {
		row, err := edit(d)
		if err == nil {
			err = d.validate()
		}
		if size += len(d.Text) + len(d.Payload) + 1024; err == nil && size > maxBatchBytes {
			err = fmt.Errorf("%w: more than %d MiB; name fewer points", ErrBatch, maxBatchBytes>>20)
		}
		if err != nil || row < 0 {
			return nil, err
		}
		return v.Row(row), nil
	}
	seen := make(map[ID]struct{}, len(ids))
	var changes []change
	for _, id := range ids {
		if _, ok := seen[id]; !ok {
			seen[id] = struct{}{}
			changes = append(changes, change{id: id, edit: bounded})
		}
	}
	return c.commit(ctx, all, changes, paired{})
}

// edited makes a change of the document that it is of.
func (c *Collection) edited(all *generations, ch *change, record []byte) error {
	d, _, err := decodeDocument(ch.id, record)
	if err != nil {
		return readError(c.name, "document "+ch.id.String(), err)
	}
	text, hasText := d.Text, d.HasText
	row, err := ch.edit(&d)
	if err != nil {
		return err
	}
	d.ID = ch.id
	ch.record, ch.row, ch.unmoved = encodeDocument(&d), row, row == nil
	if row != nil {
		stored, err := get(c.store.db, vectorKey(c.number, all.serving.number, ch.old.ordinal))
		if err != nil {
			return readError(c.name, "vector of "+ch.id.String(), err)
		}
		ch.unmoved = all.standby == nil && bytes.Equal(stored, encodeVector(row))
	} else if all.standby != nil && (d.Text != text || d.HasText != hasText) {
		// The standby's vector is of the old text: under another ordinal it has
		// none, and is given one.
		ch.unmoved = false
		if ch.row, err = c.appendRow(all.serving, c.store.db, nil, ch.old.ordinal); err != nil {
			return err
		}
	}
	return nil
}
