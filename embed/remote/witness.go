package remote

import (
	"context"
	"slices"
	"sync"

	"github.com/vecino-db/vecino/compat"
)

// witness is the vector of firstText by the model of the epoch.
type witness struct {
	mu    sync.Mutex
	row   row // normalized; nil: there was no answer yet. It stays over the epoch, so that small steps add up
	epoch uint64
}

// Epoch counts how often an answer came from another model than the answer
// before it, as far as the witness of Options.Witness tells: by a cosine below
// compat.MinProbeCosine, or another dimension. It has counted before the rows
// of the other model are given to anybody. So rows that were asked for and
// given at one epoch are all of one model: that of a Drift within the epoch.
func (e *Encoder) Epoch() uint64 {
	e.witness.mu.Lock()
	defer e.witness.mu.Unlock()
	return e.witness.epoch
}

// witnesses is the number of texts that are sent beside those of a request. An
// endpoint that takes one text at a time leaves no room for it.
func (e *Encoder) witnesses() int {
	if e.options.Witness && e.maxTexts > 1 {
		return 1
	}
	return 0
}

// witnessed asks for vectors, and for that of the witness in the same request.
func (e *Encoder) witnessed(ctx context.Context, texts []string) ([]row, error) {
	if e.witnesses() == 0 {
		return e.vectors(ctx, texts)
	}
	rows, err := e.vectors(ctx, append(slices.Clone(texts), firstText))
	if err != nil {
		return nil, err
	}
	last := rows[len(texts)]
	last.normalize()
	e.witness.see(last)
	return rows[:len(texts)], nil
}

// see compares the witness of an answer with that of the epoch.
func (w *witness) see(now row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.row == nil:
		w.row = now
	case !w.row.alike(now):
		w.row, w.epoch = now, w.epoch+1
	}
}

// alike reports whether two normalized rows are of one text and one model.
func (r row) alike(other row) bool {
	if len(r) != len(other) {
		return false
	}
	var dot, own, others float64
	for i, x := range r {
		dot += float64(x) * float64(other[i])
		own += float64(x) * float64(x)
		others += float64(other[i]) * float64(other[i])
	}
	return dot >= compat.MinProbeCosine || own == 0 && others == 0 // a model that makes nothing of it
}
