package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// leftovers finds and removes what files brought to the collection before and
// have no more.
type leftovers struct {
	sender *sender
	none   bool // the collection is new: there are none

	files map[string]bool     // by name, all of whose pieces were sent
	ids   map[string]struct{} // of these pieces
}

// The limits of one round: each is a walk through the collection.
const (
	maxLeftoverIDs   = 100_000
	maxLeftoverFiles = 4000
	leftoverPage     = 1000
)

// of says which pieces a file has.
func (l *leftovers) of(ctx context.Context, name string, ids []string) error {
	if l.none {
		return nil
	}
	if l.files == nil {
		l.files, l.ids = map[string]bool{}, map[string]struct{}{}
	}
	l.files[name] = true
	for _, id := range ids {
		l.ids[id] = struct{}{}
	}
	if len(l.ids) < maxLeftoverIDs && len(l.files) < maxLeftoverFiles {
		return nil
	}
	return l.remove(ctx)
}

// remove sends what waits, and only then removes what it replaces.
func (l *leftovers) remove(ctx context.Context) error {
	if err := l.sender.flush(ctx); err != nil {
		return err
	}
	if len(l.files) == 0 {
		return nil
	}
	names := make([]string, 0, len(l.files))
	for name := range l.files {
		names = append(names, name)
	}
	filter := map[string]any{"must": []any{map[string]any{"key": "source", "match": map[string]any{"any": names}}}}
	offset := json.RawMessage("null")
	for {
		var page struct {
			Result struct {
				Points []struct {
					ID      any
					Payload struct{ Source any }
				}
				Next json.RawMessage `json:"next_page_offset"` // a number may be too large for a float
			}
		}
		body := map[string]any{"filter": filter, "limit": leftoverPage, "offset": offset, "with_payload": []string{"source"}}
		if err := l.sender.call(ctx, http.MethodPost, "/points/scroll", body, &page); err != nil {
			return err
		}
		var gone []string
		for _, p := range page.Result.Points {
			id, source := p.ID, p.Payload.Source
			if id, ok := id.(string); ok && l.leftover(id, source) {
				gone = append(gone, id)
			}
		}
		if err := l.delete(ctx, gone); err != nil {
			return err
		}
		if offset = page.Result.Next; string(offset) == "null" || offset == nil {
			l.files, l.ids = nil, nil
			return nil
		}
	}
}

// leftover reports whether a document is a piece of a file that has it no more.
// Documents with another kind of id came some other way and stay.
func (l *leftovers) leftover(id string, source any) bool {
	name, ok := source.(string)
	if _, there := l.ids[id]; there || !ok || !l.files[name] {
		return false
	}
	return strings.HasPrefix(id, name+"#") || isLongPieceID(id)
}

// delete removes documents.
func (l *leftovers) delete(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	var answer struct{ Result struct{ Deleted int } }
	err := l.sender.call(ctx, http.MethodPost, "/points/delete?wait=true", map[string]any{"points": ids}, &answer)
	l.sender.outcome.Removed += answer.Result.Deleted
	return err
}
