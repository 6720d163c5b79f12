package token

import "encoding/json"

// normalizer rewrites a text. It must not change with the text before or
// after: it sees what lies between two added tokens.
type normalizer interface {
	normalize(t *text)
}

// buildNormalizer makes the normalizer of a tokenizer.json; nil for null.
func buildNormalizer(at string, raw json.RawMessage) (normalizer, error) {
	f, err := object(at, 0, raw)
	if err != nil || f == nil {
		return nil, err
	}
	return normalizerOf(f)
}

func normalizerOf(f *fields) (normalizer, error) {
	switch f.kind() {
	case "BertNormalizer":
		return newBertNormalizer(f)
	case "NFC", "NFD", "NFKC", "NFKD":
		return newForm(f.kind()), f.fail()
	case "Lowercase":
		return lowercase{}, f.fail()
	case "StripAccents":
		return newStripAccents(), f.fail()
	case "Strip":
		return strip{left: f.flag("strip_left", true), right: f.flag("strip_right", true)}, f.fail()
	case "Nmt":
		return newNmt(), f.fail()
	case "Prepend":
		return newPrepend(f)
	case "Replace":
		return newReplace(f)
	case "Precompiled":
		return newPrecompiled(f)
	case "ByteLevel":
		return newByteLevelNormalizer(), f.fail()
	case "Sequence":
		return newNormalizerSequence(f)
	default:
		return nil, f.unknown("normalizer")
	}
}

// normalizerSequence runs one after another.
type normalizerSequence []normalizer

func newNormalizerSequence(f *fields) (normalizer, error) {
	list, err := f.list("normalizers")
	if err != nil {
		return nil, err
	}
	var s normalizerSequence
	for _, item := range list {
		n, err := normalizerOf(item)
		if err != nil {
			return nil, err
		}
		s = append(s, n)
	}
	return joinReplaces(s), nil
}

func (s normalizerSequence) normalize(t *text) {
	for _, n := range s {
		n.normalize(t)
	}
}
