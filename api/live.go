package api

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
)

// Bounds of the live queries that a collection remembers.
const (
	// liveQueries are as many as a threshold map wants (see package compare).
	liveQueries = sampledQueries
	// liveBytes is the length of the longest text that is remembered, so that
	// all of them take 8 MB at most.
	liveBytes = 4096
	// liveKept is the share of the queries that take another's place when there
	// are as many as may be: what is there then was asked among the last 20,000
	// or so, the newer the likelier.
	liveKept = 0.1
	// liveLeast is the number of different live queries from which on they are a
	// better sample than sentences of documents, which are another kind of text.
	liveLeast = 100
)

// recent is a sample of the texts that a collection was asked for lately. It is
// in memory alone: what people ask is nobody's to keep. The zero value is
// ready; it is safe for concurrent use.
type recent struct {
	full atomic.Bool

	mu    sync.Mutex
	texts []string
}

// add may remember a text.
func (r *recent) add(text string) {
	if len(text) > liveBytes || r.full.Load() && rand.Float64() >= liveKept {
		return
	}
	text = strings.Clone(text) // it may be a part of a large request
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.texts) < liveQueries {
		r.texts = append(r.texts, text)
		r.full.Store(len(r.texts) == liveQueries)
		return
	}
	r.texts[rand.IntN(len(r.texts))] = text
}

// remember may keep a text that was asked, unless nothing is to be remembered.
func (c *Collection) remember(text string) {
	if !c.forget {
		c.recent.add(text)
	}
}

// sample is what is remembered, in random order, each as often as it was asked,
// and how many different texts these are.
func (r *recent) sample() (texts []string, different int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	texts = make([]string, len(r.texts))
	seen := make(map[string]struct{}, len(texts))
	for i, at := range rand.Perm(len(r.texts)) {
		texts[i] = r.texts[at]
		seen[texts[i]] = struct{}{}
	}
	return texts, len(seen)
}
