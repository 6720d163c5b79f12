package token

import "encoding/json"

// vocab is the tokens of a model, by id and by text.
type vocab struct {
	tokens []string // by id; "" where no token has the id
	ids    map[string]uint32
}

// maxHoles bounds the ids that no token has, so that memory follows the number
// of tokens and not the largest id.
const maxHoles = 1 << 16

// newVocab wants every token and every id once.
func newVocab(at string, list []entry) (vocab, error) {
	v := vocab{ids: make(map[string]uint32, len(list))}
	size := 0
	for _, e := range list {
		size = max(size, int(e.id)+1)
	}
	if size > 2*len(list)+maxHoles {
		return v, bad(at, "%d tokens have ids to %d: too many ids are not used", len(list), size-1)
	}
	v.tokens = make([]string, size)
	taken := make([]bool, size)
	for _, e := range list {
		if _, twice := v.ids[e.token]; twice {
			return v, bad(at, "the token %q stands twice", cut(e.token))
		}
		if taken[e.id] {
			return v, bad(at, "the tokens %q and %q have the same id %d", cut(v.tokens[e.id]), cut(e.token), e.id)
		}
		taken[e.id] = true
		v.tokens[e.id], v.ids[e.token] = e.token, e.id
	}
	return v, nil
}

// readVocab reads a component's member "vocab".
func readVocab(f *fields) ([]entry, vocab, error) {
	var raw json.RawMessage
	f.need("vocab", &raw)
	if f.err != nil {
		return nil, vocab{}, f.err
	}
	list, err := entries(f.at+".vocab", raw)
	if err != nil {
		return nil, vocab{}, err
	}
	v, err := newVocab(f.at+".vocab", list)
	return list, v, err
}

func (v *vocab) id(token string) (uint32, bool) {
	id, ok := v.ids[token]
	return id, ok
}

func (v *vocab) token(id uint32) (string, bool) {
	if int(id) >= len(v.tokens) {
		return "", false
	}
	s := v.tokens[id]
	if s == "" {
		known, ok := v.ids[""]
		return "", ok && known == id
	}
	return s, true
}

// size is the largest id and one.
func (v *vocab) size() int { return len(v.tokens) }

// optional is an id that may not be there.
type optional struct {
	id    uint32
	valid bool
}

// unknown finds the unknown token.
func (v *vocab) unknown(token string) optional {
	id, ok := v.ids[token]
	return optional{id, ok}
}
