package token

import (
	"encoding/json"
	"fmt"
)

// special is a special token that a post-processor adds.
type special struct {
	id   uint32
	text string
}

// postProcessor is what all post-processors come to for a single text: special
// tokens before and after, and offsets without the space around words.
type postProcessor struct {
	before, after []special
	trim          bool // offsets leave out white space
	prefixSpace   bool // the first space of the text was added, and isn't left out
}

// buildPost makes the post-processor of a tokenizer.json; an empty one for null.
func buildPost(at string, raw json.RawMessage) (postProcessor, error) {
	f, err := object(at, 0, raw)
	if err != nil || f == nil {
		return postProcessor{}, err
	}
	return postOf(f)
}

func postOf(f *fields) (postProcessor, error) {
	switch f.kind() {
	case "TemplateProcessing":
		return newTemplate(f)
	case "BertProcessing":
		return newClsSep(f)
	case "RobertaProcessing":
		p, err := newClsSep(f)
		p.trim, p.prefixSpace = f.flag("trim_offsets", true), f.flag("add_prefix_space", true)
		if err == nil {
			err = f.fail()
		}
		return p, err
	case "ByteLevel":
		return postProcessor{trim: f.flag("trim_offsets", true), prefixSpace: f.flag("add_prefix_space", true)}, f.fail()
	case "Sequence":
		return newPostSequence(f)
	default:
		return postProcessor{}, f.unknown("post-processor")
	}
}

// newPostSequence nests its members: later ones add outside of earlier ones.
func newPostSequence(f *fields) (postProcessor, error) {
	var all postProcessor
	list, err := f.list("processors")
	if err != nil {
		return all, err
	}
	for _, item := range list {
		p, err := postOf(item)
		if err != nil {
			return all, err
		}
		all.before = append(append([]special{}, p.before...), all.before...)
		all.after = append(all.after, p.after...)
		if p.trim {
			all.trim, all.prefixSpace = true, p.prefixSpace
		}
	}
	return all, nil
}

// newClsSep reads "cls" and "sep", each [text, id].
func newClsSep(f *fields) (postProcessor, error) {
	read := func(name string) (special, error) {
		var pair []json.RawMessage
		f.need(name, &pair)
		var s special
		if f.err != nil {
			return s, f.err
		}
		if len(pair) != 2 || json.Unmarshal(pair[0], &s.text) != nil || json.Unmarshal(pair[1], &s.id) != nil {
			return s, bad(f.at+"."+name, "it is no pair of token and id")
		}
		return s, nil
	}
	cls, err := read("cls")
	if err != nil {
		return postProcessor{}, err
	}
	sep, err := read("sep")
	return postProcessor{before: []special{cls}, after: []special{sep}}, err
}

// newTemplate reads the template for single texts; the one for pairs is for
// models that compare two texts.
func newTemplate(f *fields) (postProcessor, error) {
	var p postProcessor
	var pieces []map[string]struct {
		ID   string `json:"id"`
		Type uint32 `json:"type_id"`
	}
	var known map[string]struct {
		IDs    []uint32 `json:"ids"`
		Tokens []string `json:"tokens"`
	}
	f.need("single", &pieces)
	f.read("special_tokens", &known)
	if f.err != nil {
		return p, f.err
	}
	texts := 0
	for i, each := range pieces {
		at := fmt.Sprintf("%s.single[%d]", f.at, i)
		sequence, isText := each["Sequence"]
		add, isSpecial := each["SpecialToken"]
		switch {
		case isText && sequence.ID == "A" && sequence.Type == 0:
			texts++
		case isSpecial && add.Type == 0:
			tokens, ok := known[add.ID]
			if !ok || len(tokens.IDs) != len(tokens.Tokens) {
				return p, bad(at, "special_tokens has no ids for %q", cut(add.ID))
			}
			for k, id := range tokens.IDs {
				to := &p.before
				if texts > 0 {
					to = &p.after
				}
				*to = append(*to, special{id, tokens.Tokens[k]})
			}
		default:
			return p, bad(at, "it is neither the text A nor a special token, of type 0")
		}
	}
	if texts != 1 {
		return p, bad(f.at+".single", "it has the text %d times", texts)
	}
	return p, nil
}
