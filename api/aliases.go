package api

import (
	"cmp"
	"context"
	"slices"

	"github.com/vecino-db/vecino/store"
)

// Alias is another name of a collection.
type Alias struct {
	Alias      string `json:"alias_name"`
	Collection string `json:"collection_name"`
}

// ChangeAliases makes changes, in order, all or none; see store.Store.
func (s *Service) ChangeAliases(ctx context.Context, changes []store.AliasChange) error {
	return s.store.ChangeAliases(ctx, changes)
}

// Aliases lists the aliases of a collection, or with nil all of them, by name.
func (s *Service) Aliases(c *Collection) []Alias {
	list := []Alias{}
	for alias, target := range s.store.Aliases() {
		if c == nil || target == c.Name() {
			list = append(list, Alias{Alias: alias, Collection: target})
		}
	}
	slices.SortFunc(list, func(a, b Alias) int { return cmp.Compare(a.Alias, b.Alias) })
	return list
}
