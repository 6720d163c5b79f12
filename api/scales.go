package api

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

// Translated is a score threshold that was given on the scale of another space
// than that of the answer.
type Translated struct {
	Given float32 `json:"given"`
	Used  float32 `json:"used"`
	// Sampled is false for a threshold beyond all scores that the map was made
	// of: the map goes on in a straight line there.
	Sampled bool `json:"sampled"`
}

// scales are the threshold maps that the evaluations and shadows of a
// collection's migrations have made, read when they are first asked for. The zero value is
// ready; it is safe for concurrent use.
type scales struct {
	mu      sync.Mutex
	version int // counts what forget was called for
	read    bool
	maps    []scale // the newest migration's first
}

// scale is one map.
type scale struct {
	from, to compat.Fingerprint
	m        *compare.ThresholdMap
}

// forget lets the maps be read again: there is a new evaluation.
func (s *scales) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.read, s.maps = false, nil
}

// of is the maps of a collection.
func (s *scales) of(ctx context.Context, c *Collection) ([]scale, error) {
	s.mu.Lock()
	version, maps, read := s.version, s.maps, s.read
	s.mu.Unlock()
	if read {
		return maps, nil
	}
	list, err := migrationsOf(ctx, c.stored)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if len(m.Evaluation) == 0 {
			continue
		}
		var report struct {
			Old, New   struct{ Fingerprint compat.Fingerprint }
			Thresholds *compare.ThresholdMap
			Sample     string
		}
		if err := json.Unmarshal(m.Evaluation, &report); err != nil {
			return nil, fmt.Errorf("evaluation of migration %d of %q: %w", m.ID, c.Name(), err)
		}
		kept, err := readLive(m.Live)
		if err != nil {
			return nil, fmt.Errorf("live queries of migration %d of %q: %w", m.ID, c.Name(), err)
		}
		if t := thresholdOf(report.Thresholds, report.Sample, kept.Shadow.Thresholds); t != nil {
			maps = append(maps, scale{report.Old.Fingerprint, report.New.Fingerprint, t})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == version {
		s.read, s.maps = true, maps
	}
	return maps, nil
}

// threshold is that of a query on the scale of the space that answers it, and
// what was translated; nil: nothing was. A threshold means what it meant on
// another scale only where the query names that one.
func (c *Collection) threshold(ctx context.Context, q Query, space compat.Fingerprint) (*float32, *Translated, error) {
	if q.ScoreThreshold == nil || q.ScoreSpace.IsZero() || q.ScoreSpace == space {
		return q.ScoreThreshold, nil, nil
	}
	maps, err := c.scales.of(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range maps {
		if s.from == q.ScoreSpace && s.to == space {
			mapped, sampled := s.m.Map(float64(*q.ScoreThreshold))
			t := Translated{Given: *q.ScoreThreshold, Used: float32(mapped), Sampled: sampled}
			return &t.Used, &t, nil
		}
	}
	reason := fmt.Sprintf("there is no map of score thresholds from space %.12s to %.12s, which answers", q.ScoreSpace, space)
	return nil, nil, &Error{
		Kind: KindConflict, Code: "no_threshold_map", Detail: reason,
		Remedy: fmt.Sprintf("give a score_threshold of the space that answers, and no score_space; GET /collections/%s/migrations/{id} has under evaluation.thresholds the maps there are, or why there is none", c.Name()),
		Fields: []Field{{Pointer: "/params/score_space", Reason: reason}},
	}
}
