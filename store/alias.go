package store

import (
	"context"
	"fmt"
	"maps"

	"github.com/cockroachdb/pebble/v2"
)

// Aliases are other names of collections. They lie in one record of the
// catalog, so that any number of changes is one batch. An alias never has the
// name of a collection, and goes with the collection that it means.

// keyAliases is the key of aliasRecord.
var keyAliases = []byte{familySystem, 'a'}

// aliasRecord is the collections that aliases mean.
type aliasRecord map[string]string

// maxAliases bounds the record.
const maxAliases = 10_000

// AliasChange is one change of ChangeAliases.
type AliasChange struct {
	// Alias is the name that is made, changed or removed.
	Alias string
	// Collection is what it means from then on; "" with no From: it is removed.
	Collection string
	// From is the alias that is renamed to Alias; "": none is.
	From string
}

// Resolve is the collection that an alias means, or name itself.
func (s *Store) Resolve(name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c, ok := s.aliases[name]; ok {
		return c
	}
	return name
}

// Aliases is the collections that the aliases mean. The map is the caller's.
func (s *Store) Aliases() map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(map[string]string(s.aliases))
}

// ChangeAliases makes changes, in order, all or none; a reader sees them all at
// once. To make one that is there means another collection by it, and to remove
// one that is not there is no failure. Errors: ErrName, ErrNotFound for a
// collection, ErrAlias for a renamed alias that is not there, ErrExists for the
// name of a collection, ErrFull, ErrDiskFull, ErrFailed, ErrClosed.
func (s *Store) ChangeAliases(ctx context.Context, changes []AliasChange) error {
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	for _, err := range []error{ctx.Err(), s.failed(), s.room()} {
		if err != nil {
			return err
		}
	}
	next, catalog, err := s.changedAliases(changes)
	if err != nil {
		return err
	}
	catalog.Changes++
	err = s.change(catalog, func(batch *pebble.Batch) error { return setJSON(batch, keyAliases, next) })
	if err != nil {
		return fmt.Errorf("change aliases: %w", err)
	}
	s.mu.Lock()
	s.catalog, s.aliases = catalog, next
	s.mu.Unlock()
	s.tryMarks()
	return nil
}

// changedAliases is the aliases after changes. The caller holds catalogMu.
func (s *Store) changedAliases(changes []AliasChange) (aliasRecord, catalogRecord, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, catalogRecord{}, ErrClosed
	}
	next := aliasRecord{}
	maps.Copy(next, s.aliases)
	refuse := func(err error) (aliasRecord, catalogRecord, error) { return nil, catalogRecord{}, err }
	for _, ch := range changes {
		if ch.Collection == "" && ch.From == "" {
			delete(next, ch.Alias)
			continue
		}
		if err := checkName(ch.Alias); err != nil {
			return refuse(fmt.Errorf("alias: %w", err))
		}
		if _, ok := s.collections[ch.Alias]; ok {
			return refuse(fmt.Errorf("%w: a collection is called %q; choose another alias", ErrExists, ch.Alias))
		}
		target := ch.Collection
		if ch.From != "" {
			have, ok := next[ch.From]
			if !ok {
				return refuse(fmt.Errorf("%w: %.80q; list the aliases", ErrAlias, ch.From))
			}
			delete(next, ch.From)
			target = have
		}
		if _, ok := s.collections[target]; !ok {
			return refuse(fmt.Errorf("%w: %.80q, which alias %q is to mean; list the collections", ErrNotFound, target, ch.Alias))
		}
		next[ch.Alias] = target
	}
	if len(next) > maxAliases {
		return refuse(fmt.Errorf("%w: %d aliases; remove some", ErrFull, len(next)))
	}
	return next, s.catalog, nil
}

// without is the aliases that don't mean a collection.
func (a aliasRecord) without(collection string) aliasRecord {
	left := aliasRecord{}
	for alias, target := range a {
		if target != collection {
			left[alias] = target
		}
	}
	return left
}

// readAliases reads the record at a start.
func (s *Store) readAliases() error {
	record, err := get(s.db, keyAliases)
	if err != nil || record == nil {
		return err
	}
	if err := decodeJSON(record, &s.aliases); err != nil {
		return err
	}
	for alias, target := range s.aliases {
		if _, ok := s.collections[target]; !ok || checkName(alias) != nil || s.collections[alias] != nil {
			return fmt.Errorf("%w: alias %.80q means %.80q", errRecord, alias, target)
		}
	}
	return nil
}
