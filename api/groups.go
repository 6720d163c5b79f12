package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// GroupQuery asks for the groups with the points nearest to one thing. A point
// is in the group of every string and whole number at the path By of its
// payload.
type GroupQuery struct {
	Query // Limit is the number of groups; Offset is none
	By    filter.Path
	Size  int // points of a group, at most
}

// Group is the points of one value, nearest first.
type Group struct {
	ID   json.RawMessage // a string or a whole number
	Hits []store.Hit
}

// Groups is the outcome of QueryGroups.
type Groups struct {
	Groups []Group // by their nearest points
	Plan   index.Plan
	Tokens int // that were encoded
	// Fingerprint is the space in which all of them were found, and ETag the
	// entity tag of its manifest.
	Fingerprint compat.Fingerprint
	ETag        string
	// Bridge and Threshold are as those of an Answer.
	Bridge    compat.Fingerprint
	Threshold *Translated
	Canary    bool // as that of an Answer
}

// maxGroupHits is how many points one search for groups asks for at most.
const maxGroupHits = 1 << 16

// QueryGroups answers one query by groups. It searches for groups among the
// points outside of those it has, until there are enough, and then fills each
// that has too few points by a search of its own.
func (c *Collection) QueryGroups(ctx context.Context, q GroupQuery) (groups Groups, err error) {
	defer c.noteAsked(q.Query)()
	if groups, ok := c.canaryGroups(ctx, q); ok {
		return groups, nil
	}
	for range generationChanges {
		p := c.now()
		groups, err = c.queryGroups(ctx, p.serving, 0, q)
		if !errors.Is(err, index.ErrSpace) || !p.changed(ctx) {
			break
		}
	}
	return groups, err
}

// queryGroups answers one query in a generation. number is that of a standby;
// 0: g serves.
func (c *Collection) queryGroups(ctx context.Context, g *generation, number uint64, q GroupQuery) (Groups, error) {
	vector, tokens, err := c.queryVector(ctx, g, q.Query)
	if err != nil {
		return Groups{}, err
	}
	groups := Groups{Tokens: tokens, Fingerprint: vector.Fingerprint(), ETag: *g.etag.Load(), Bridge: vector.Bridge()}
	if q.ScoreThreshold, groups.Threshold, err = c.threshold(ctx, q.Query, vector.Fingerprint()); err != nil {
		return Groups{}, err
	}
	s := groupSearch{c: c, number: number, q: q, vector: vector, found: map[string]*Group{}}
	if err := s.find(ctx); err != nil {
		return Groups{}, err
	}
	groups.Plan = s.plan
	if made := c.now().ofSpace(vector.Fingerprint()); made != nil && number == 0 {
		groups.ETag = *made.etag.Load()
	}
	for _, g := range s.groups {
		if len(g.Hits) < q.Size && !s.complete[string(g.ID)] {
			if g.Hits, err = s.fill(ctx, g.ID); err != nil {
				return Groups{}, err
			}
		}
		if len(g.Hits) > 0 { // its points may have gone meanwhile
			groups.Groups = append(groups.Groups, *g)
		}
	}
	return groups, nil
}

// groupSearch is one query for groups under way.
type groupSearch struct {
	c        *Collection
	number   uint64 // of the generation that is searched; 0: the one of the vector
	q        GroupQuery
	vector   compat.Searchable
	plan     index.Plan
	groups   []*Group
	found    map[string]*Group // by id
	complete map[string]bool   // groups all of whose points were seen
}

// find finds the groups.
func (s *groupSearch) find(ctx context.Context) error {
	s.complete = map[string]bool{}
	for limit := min(max(s.q.Limit*s.q.Size, 1), maxGroupHits); len(s.groups) < s.q.Limit; {
		known := make([]json.RawMessage, 0, len(s.groups))
		for _, g := range s.groups {
			known = append(known, g.ID)
		}
		others, err := s.condition("except", known)
		if err != nil {
			return err
		}
		hits, err := s.search(ctx, limit, others)
		if err != nil {
			return err
		}
		all := len(hits) < limit
		fresh, err := s.take(hits)
		if err != nil {
			return err
		}
		if all {
			for _, id := range fresh {
				s.complete[id] = true
			}
			return nil
		}
		if len(fresh) == 0 { // points with values that make no groups
			if limit == maxGroupHits {
				return nil
			}
			limit = min(4*limit, maxGroupHits)
		}
	}
	return nil
}

// take puts hits into new groups, and gives the ids of these.
func (s *groupSearch) take(hits []store.Hit) (fresh []string, err error) {
	for _, h := range hits {
		ids, err := s.groupsOf(h)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			g := s.found[id]
			switch {
			case g == nil && len(s.groups) < s.q.Limit:
				g = &Group{ID: json.RawMessage(id)}
				s.groups, s.found[id] = append(s.groups, g), g
				fresh = append(fresh, id)
			case g == nil || !slices.Contains(fresh, id):
				continue // points that are nearer to it may lie outside of this search
			}
			if len(g.Hits) < s.q.Size {
				g.Hits = append(g.Hits, h)
			}
		}
	}
	return fresh, nil
}

// groupsOf is the groups of a point, as JSON, each once.
func (s *groupSearch) groupsOf(h store.Hit) (ids []string, err error) {
	object, err := payloadObject(h.Payload)
	if err != nil {
		return nil, err
	}
	s.q.By.Values(object, func(value any) {
		var id string
		switch v := value.(type) {
		case string:
			if len(v) > filter.MaxString {
				return
			}
			if data, e := json.Marshal(v); e == nil {
				id = string(data)
			}
		case json.Number:
			n, e := strconv.ParseInt(v.String(), 10, 64)
			if e != nil {
				return
			}
			id = strconv.FormatInt(n, 10)
		default:
			return
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	})
	return ids, nil
}

// fill finds the points of one group.
func (s *groupSearch) fill(ctx context.Context, id json.RawMessage) ([]store.Hit, error) {
	of, err := s.condition("any", []json.RawMessage{id})
	if err != nil {
		return nil, err
	}
	return s.search(ctx, s.q.Size, of)
}

// condition is a match of the path that groups are made by.
func (s *groupSearch) condition(kind string, ids []json.RawMessage) (*filter.Filter, error) {
	text, err := json.Marshal(map[string]any{"must": map[string]any{"key": s.q.By.String(), "match": map[string]any{kind: ids}}})
	if err != nil {
		return nil, err
	}
	f, err := filter.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("group by %s: %w", s.q.By, err)
	}
	return f, nil
}

// search finds the nearest points that a condition admits, too.
func (s *groupSearch) search(ctx context.Context, limit int, also *filter.Filter) ([]store.Hit, error) {
	search := store.SearchQuery{
		Limit: limit, Ef: s.q.Ef, Exact: s.q.Exact, Filter: filter.All(s.q.Filter, also),
		ScoreThreshold: s.q.ScoreThreshold, Rescoring: s.q.Rescoring, WithVector: s.q.WithVector,
		Generation: s.number,
	}
	if s.q.ID != nil {
		search.Exclude = []store.ID{*s.q.ID}
	}
	found, err := s.c.stored.Search(ctx, s.vector, search)
	s.plan = found.Plan
	return found.Hits, err
}
