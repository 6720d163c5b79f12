package token

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// VocabOptions say how a vocab.txt is used. The zero options are those of an
// uncased BERT.
type VocabOptions struct {
	Cased        bool // neither lower the case nor, unless StripAccents, strip accents
	StripAccents bool // strip accents though Cased
	KeepAccents  bool // don't strip accents though not Cased
	NoCJK        bool // no spaces around ideographs
}

// vocabOptions reads a tokenizer_config.json beside a vocab.txt, if there is one.
func vocabOptions(dir string) (VocabOptions, error) {
	var o VocabOptions
	path := filepath.Join(dir, "tokenizer_config.json")
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return o, nil
	}
	if err != nil {
		return o, err
	}
	f, err := object("", 0, content)
	if err != nil || f == nil {
		return o, locate(bad("", "it is no JSON object"), path)
	}
	o.Cased = !f.flag("do_lower_case", true)
	o.NoCJK = !f.flag("tokenize_chinese_chars", true)
	if f.has("strip_accents") {
		strip := f.flag("strip_accents", false)
		o.StripAccents, o.KeepAccents = strip && o.Cased, !strip && !o.Cased
	}
	return o, locate(f.fail(), path)
}

// ParseVocab makes BERT's tokenizer of a vocab.txt: one token a line, its id
// the line's number from 0. An error is a *FormatError.
func ParseVocab(content []byte, o VocabOptions) (*Tokenizer, error) {
	if !utf8.Valid(content) {
		return nil, bad("", "it is not UTF-8")
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	v := vocab{tokens: make([]string, len(lines)), ids: make(map[string]uint32, len(lines))}
	list := make([]entry, len(lines))
	for i, line := range lines {
		token := strings.TrimRight(line, " \t\r\n")
		// Of equal lines the last counts, as in the reference.
		v.tokens[i], v.ids[token], list[i] = token, uint32(i), entry{token, uint32(i)}
	}
	t := &Tokenizer{
		normalizer: newMapping(bertNormalizer{
			clean: true, spaceCJK: !o.NoCJK, lower: !o.Cased,
			strip: o.StripAccents || (!o.Cased && !o.KeepAccents),
		}.append),
		pre:    newBertPreTokenizer(),
		model:  wordPieceOf(list, v, "[UNK]", "##", 100),
		digest: sha256.Sum256(content),
	}
	for _, token := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
		id, ok := v.ids[token]
		if !ok && token != "[MASK]" && token != "[PAD]" {
			return nil, bad("", "it has no line %s: it is no vocabulary of BERT", token)
		}
		if ok {
			t.added = append(t.added, addedToken{id: id, content: token, special: true})
		}
	}
	t.post.before = []special{{v.ids["[CLS]"], "[CLS]"}}
	t.post.after = []special{{v.ids["[SEP]"], "[SEP]"}}
	return t, t.finish()
}
