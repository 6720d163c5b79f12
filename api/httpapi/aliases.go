package httpapi

import (
	"context"

	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/store"
)

// updateAliases changes aliases, all or none.
func (s *Server) updateAliases(ctx context.Context, c *call) (answer, error) {
	changes, err := decodeAliases(c.body)
	if err != nil {
		return answer{}, err
	}
	if err := s.service.ChangeAliases(ctx, changes); err != nil {
		return answer{}, err
	}
	return answer{result: true}, nil
}

// listAliases lists all aliases.
func (s *Server) listAliases(context.Context, *call) (answer, error) {
	return answer{result: map[string]any{"aliases": s.service.Aliases(nil)}}, nil
}

// collectionAliases lists those of one collection.
func (s *Server) collectionAliases(_ context.Context, c *call) (answer, error) {
	return answer{result: map[string]any{"aliases": s.service.Aliases(c.collection)}}, nil
}

// maxActions bounds the changes of one request.
const maxActions = 1000

// decodeAliases reads {"actions": [...]}.
func decodeAliases(data []byte) (changes []store.AliasChange, err error) {
	err = strictjson.Decode(data, func(r *strictjson.Reader) error {
		found := false
		err := fields(r, map[string]func() error{"actions": func() error {
			found = true
			return r.Array(func(i int) error {
				if i >= maxActions {
					return r.Fail("more than %d actions in one request", maxActions)
				}
				one, err := aliasAction(r)
				changes = append(changes, one)
				return err
			})
		}})
		if err == nil && !found {
			err = r.Fail("want actions")
		}
		return err
	})
	return changes, err
}

// aliasAction reads an object with the one key that says what is done.
func aliasAction(r *strictjson.Reader) (ch store.AliasChange, err error) {
	actions := 0
	// named reads an object of names, all of which must be there.
	named := func(names map[string]*string) func() error {
		return func() error {
			actions++
			decoders := map[string]func() error{}
			for key, into := range names {
				decoders[key] = func() (err error) {
					*into, err = r.Str()
					return err
				}
			}
			if err := fields(r, decoders); err != nil {
				return err
			}
			for key, name := range names {
				if *name == "" {
					return r.Fail("want %s", key)
				}
			}
			return nil
		}
	}
	err = fields(r, map[string]func() error{
		"create_alias": named(map[string]*string{"collection_name": &ch.Collection, "alias_name": &ch.Alias}),
		"delete_alias": named(map[string]*string{"alias_name": &ch.Alias}),
		"rename_alias": named(map[string]*string{"old_alias_name": &ch.From, "new_alias_name": &ch.Alias}),
	})
	if err == nil && actions != 1 {
		err = r.Fail("want one of create_alias, delete_alias and rename_alias")
	}
	return ch, err
}
