package store

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/vecino-db/vecino/index/filter"
)

// A write summarizes its payloads for the payload indexes before it takes the
// collection's mutex. If another index came or went meanwhile it does so again
// under the mutex, under which the list stays as it is.

// indexed is what a change means for payload indexes.
type indexed struct {
	same     bool // the ordinal stays and so does the payload: nothing changes
	old, new []filter.Summary
	// The records of the summaries.
	oldRecords, newRecords [][]byte
}

// summarized is the changes of a write for a list of indexes.
type summarized struct {
	list    []*payloadIndex
	changes []indexed
}

// summarize prepares the changes for the indexes of a list.
func (c *Collection) summarize(list []*payloadIndex, changes []change) (summarized, error) {
	s := summarized{list: list}
	if len(list) == 0 {
		return s, nil
	}
	s.changes = make([]indexed, len(changes))
	for i := range changes {
		ch, in := &changes[i], &s.changes[i]
		var before, after []byte
		var err error
		if ch.existed {
			if _, _, _, before, err = splitDocument(ch.oldRecord); err != nil {
				return s, readError(c.name, "document "+ch.id.String(), err)
			}
		}
		if ch.record != nil {
			if _, _, _, after, err = splitDocument(ch.record); err != nil {
				return s, err
			}
		}
		unchanged := ch.existed && ch.record != nil && bytes.Equal(before, after)
		if in.same = unchanged && ch.unmoved; in.same {
			continue
		}
		if ch.existed {
			if in.old, in.oldRecords, err = summaries(list, before); err != nil {
				return s, c.damaged("payload of "+ch.id.String(), "%v", err)
			}
		}
		switch {
		case unchanged:
			in.new, in.newRecords = in.old, in.oldRecords
		case ch.record != nil:
			if in.new, in.newRecords, err = summaries(list, after); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// summaries is what a payload holds at the paths of some indexes.
func summaries(list []*payloadIndex, payload []byte) (all []filter.Summary, records [][]byte, err error) {
	object, err := decodePayload(payload)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range list {
		s := x.path.Summarize(x.record.Type.kind(), object)
		all, records = append(all, s), append(records, encodeSummary(s))
	}
	return all, records, nil
}

// decodePayload reads a payload as package filter takes it.
func decodePayload(payload []byte) (object map[string]any, err error) {
	if len(payload) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	err = decoder.Decode(&object)
	return object, err
}

// fillPostings writes what the changes of w mean for the payload indexes into its
// batch, and the sequence of a batch without changes, too.
// The caller holds the mutex; finishPostings must follow when Pebble has the
// batch.
func (c *Collection) fillPostings(w *written) error {
	changes, list := w.changes, c.payload.all()
	if len(list) == 0 {
		w.postings = summarized{}
		return nil
	}
	if len(list) != len(w.postings.list) || &list[0] != &w.postings.list[0] {
		var err error
		if w.postings, err = c.summarize(list, changes); err != nil {
			return err
		}
	}
	var errs error
	w.sums = make([]postingSum, len(list))
	for i, x := range list {
		sum := x.sum
		sum.sequence = w.sequence
		for j := range changes {
			ch, in := &changes[j], &w.postings.changes[j]
			if in.same {
				continue
			}
			// While an index is being built the documents that it has not got to
			// have no record.
			if ch.existed && (x.complete || x.postings.Has(ch.old.ordinal)) {
				sum.subtract(ch.old.ordinal, in.oldRecords[i])
				if !ch.unmoved {
					errs = errors.Join(errs, w.batch.Delete(postingKey(c.number, x.number, ch.old.ordinal), nil))
				}
			}
			if ch.record != nil {
				sum.add(ch.ordinal, in.newRecords[i])
				errs = errors.Join(errs, w.batch.Set(postingKey(c.number, x.number, ch.ordinal), in.newRecords[i], nil))
			}
		}
		if w.sums[i] = sum; x.complete {
			errs = errors.Join(errs, w.batch.Set(payloadKey(familyPostingSum, c.number, x.number), sum.encode(), nil))
		}
	}
	return errs
}

// finishPostings brings the changes into the memory of the payload indexes. The
// caller holds the mutex.
func (c *Collection) finishPostings(w *written) {
	changes, list := w.changes, w.postings.list
	if len(list) == 0 {
		return
	}
	c.payload.mu.Lock()
	defer c.payload.mu.Unlock()
	for i, x := range list {
		x.sum = w.sums[i]
		for j := range changes {
			ch, in := &changes[j], &w.postings.changes[j]
			if in.same {
				continue
			}
			if ch.existed {
				x.postings.Remove(ch.old.ordinal, in.old[i])
				if !x.ready {
					x.touched.Add(ch.old.ordinal)
				}
			}
			if ch.record != nil {
				x.postings.Add(ch.ordinal, in.new[i])
			}
		}
	}
}
