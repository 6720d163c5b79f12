package token

import (
	"encoding/json"
	"unicode"
)

// preTokenizer cuts the pieces of a text, and may rewrite them on the way.
type preTokenizer interface {
	preTokenize(p *pieces)
}

// buildPreTokenizer makes the pre-tokenizer of a tokenizer.json; nil for null.
func buildPreTokenizer(at string, raw json.RawMessage) (preTokenizer, error) {
	f, err := object(at, 0, raw)
	if err != nil || f == nil {
		return nil, err
	}
	return preTokenizerOf(f)
}

func preTokenizerOf(f *fields) (preTokenizer, error) {
	switch f.kind() {
	case "BertPreTokenizer":
		return newBertPreTokenizer(), f.fail()
	case "Whitespace":
		return words{classes: newClasses(wordClass)}, f.fail()
	case "WhitespaceSplit":
		return newSpaceSplit(), f.fail()
	case "Punctuation":
		return newPunctuation(f)
	case "Digits":
		return newDigits(f)
	case "CharDelimiterSplit", "Delimiter":
		return newDelimiter(f)
	case "Split":
		return newSplit(f)
	case "Metaspace":
		return newMetaspace(f)
	case "ByteLevel":
		return newByteLevel(f)
	case "Sequence":
		return newPreTokenizerSequence(f)
	default:
		return nil, f.unknown("pre-tokenizer")
	}
}

// preTokenizerSequence runs one after another.
type preTokenizerSequence []preTokenizer

func newPreTokenizerSequence(f *fields) (preTokenizer, error) {
	list, err := f.list("pretokenizers")
	if err != nil {
		return nil, err
	}
	var s preTokenizerSequence
	for _, item := range list {
		p, err := preTokenizerOf(item)
		if err != nil {
			return nil, err
		}
		s = append(s, p)
	}
	return s, nil
}

func (s preTokenizerSequence) preTokenize(p *pieces) {
	for _, each := range s {
		each.preTokenize(p)
	}
}

// patternSplit cuts at what a finder finds.
type patternSplit struct {
	find   finder
	how    behavior
	invert bool
}

func (s patternSplit) preTokenize(p *pieces) { p.split(s.find, s.how, s.invert) }

func newSplit(f *fields) (preTokenizer, error) {
	var s patternSplit
	f.need("behavior", &s.how)
	s.invert = f.flag("invert", false)
	if f.err == nil && !s.how.known() {
		return nil, bad(f.at+".behavior", "unknown behavior %q", cut(string(s.how)))
	}
	if f.err != nil {
		return nil, f.err
	}
	var err error
	s.find, err = f.pattern("pattern")
	return s, err
}

func newPunctuation(f *fields) (preTokenizer, error) {
	s := patternSplit{find: runes(isPunctuation), how: isolated}
	f.read("behavior", &s.how)
	if f.err == nil && !s.how.known() {
		return nil, bad(f.at+".behavior", "unknown behavior %q", cut(string(s.how)))
	}
	return s, f.fail()
}

func newDigits(f *fields) (preTokenizer, error) {
	s := patternSplit{find: runes(unicode.IsNumber), how: contiguous}
	if f.flag("individual_digits", false) {
		s.how = isolated
	}
	return s, f.fail()
}

func newDelimiter(f *fields) (preTokenizer, error) {
	var delimiter string
	f.need("delimiter", &delimiter)
	if f.err != nil {
		return nil, f.err
	}
	find, err := findString(f.at+".delimiter", delimiter)
	return patternSplit{find: find, how: removed}, err
}
