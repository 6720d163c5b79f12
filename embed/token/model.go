package token

import (
	"encoding/json"
	"strings"
)

// model turns pieces into tokens.
type model interface {
	// tokenize emits the tokens of s.b[p.from:p.to].
	tokenize(s *scratch, p piece)
	// vocabulary is the model's tokens.
	vocabulary() *vocab
	// unknown is the token for what the vocabulary lacks.
	unknown() optional
	// kind is the model's name in tokenizer.json.
	kind() string
}

// buildModel makes the model of a tokenizer.json. Old files don't say its
// type; their members tell.
func buildModel(raw json.RawMessage) (model, error) {
	const at = "model"
	f, err := object(at, 0, raw)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, bad(at, "it is missing")
	}
	kind := f.kind()
	if kind == "" && f.err == nil {
		switch vocabulary := strings.TrimSpace(string(f.members["vocab"])); {
		case strings.HasPrefix(vocabulary, "["):
			kind = "Unigram"
		case f.has("merges"):
			kind = "BPE"
		case f.has("max_input_chars_per_word") || f.has("continuing_subword_prefix"):
			kind = "WordPiece"
		default:
			kind = "WordLevel"
		}
	}
	switch kind {
	case "WordPiece":
		return newWordPiece(f)
	case "WordLevel":
		return newWordLevel(f)
	case "Unigram":
		return newUnigram(f)
	case "BPE":
		return newBPE(f)
	default:
		return nil, f.unknown("model")
	}
}
