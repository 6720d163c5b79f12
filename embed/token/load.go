package token

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// MaxFile is the largest tokenizer file that is read, in bytes.
const MaxFile = 256 << 20

// Names of what OpenDir looks for.
const (
	FileName  = "tokenizer.json"
	VocabName = "vocab.txt"
)

// Open reads a tokenizer.json. Errors are *FormatError or those of the file
// system.
func Open(path string) (*Tokenizer, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	t, err := Parse(content)
	return t, locate(err, path)
}

// OpenDir reads the tokenizer of a model's directory: FileName, or VocabName as
// an uncased BERT's.
func OpenDir(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err == nil {
		return Open(path)
	}
	path = filepath.Join(dir, VocabName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%s has neither %s nor %s: point at the directory of a model with its tokenizer: %w", dir, FileName, VocabName, fs.ErrNotExist)
	}
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	o, err := vocabOptions(dir)
	if err != nil {
		return nil, err
	}
	t, err := ParseVocab(content, o)
	return t, locate(err, path)
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open tokenizer: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > MaxFile {
		return nil, &FormatError{Path: path, Reason: fmt.Sprintf("it is no regular file of at most %d bytes", MaxFile)}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open tokenizer: %w", err)
	}
	return content, nil
}

// locate puts the path into a FormatError.
func locate(err error, path string) error {
	var format *FormatError
	if errors.As(err, &format) && format.Path == "" {
		format.Path = path
	}
	return err
}

// Parse reads the content of a tokenizer.json. An error is a *FormatError.
func Parse(content []byte) (*Tokenizer, error) {
	if !utf8.Valid(content) {
		return nil, bad("", "it is not UTF-8")
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, bad("", "it is not JSON: %v", err)
	}
	f := &fields{members: file}
	if version := f.text("version", "1.0"); version != "1.0" && f.err == nil {
		return nil, bad("version", "unknown version %q", cut(version))
	}
	t := &Tokenizer{digest: sha256.Sum256(content)}
	var err error
	if t.normalizer, err = buildNormalizer("normalizer", file["normalizer"]); err != nil {
		return nil, err
	}
	if t.pre, err = buildPreTokenizer("pre_tokenizer", file["pre_tokenizer"]); err != nil {
		return nil, err
	}
	if t.model, err = buildModel(file["model"]); err != nil {
		return nil, err
	}
	if t.post, err = buildPost("post_processor", file["post_processor"]); err != nil {
		return nil, err
	}
	if t.added, err = readAdded("added_tokens", file["added_tokens"], t.model.vocabulary()); err != nil {
		return nil, err
	}
	if err := t.readLimits(f); err != nil {
		return nil, err
	}
	return t, t.finish()
}

// readLimits reads what the file says of truncation and padding.
func (t *Tokenizer) readLimits(f *fields) error {
	if f.has("truncation") {
		var v struct {
			Direction string `json:"direction"`
			MaxLength int    `json:"max_length"`
		}
		f.read("truncation", &v)
		t.truncation = &Truncation{MaxTokens: v.MaxLength, Left: v.Direction == "Left"}
	}
	if f.has("padding") {
		var v struct {
			Direction string `json:"direction"`
			ID        uint32 `json:"pad_id"`
			Token     string `json:"pad_token"`
		}
		f.read("padding", &v)
		t.padding = &Padding{ID: v.ID, Token: v.Token, Left: v.Direction == "Left"}
	}
	return f.fail()
}

// finish checks the parts against each other and builds the sets of added
// tokens.
func (t *Tokenizer) finish() error {
	t.kind = t.model.kind()
	t.addedIDs, t.addedTexts = make(map[string]uint32), make(map[uint32]string)
	var verbatim, normalized []addedToken
	var contents, patterns []string
	s := new(scratch)
	for _, a := range t.added {
		t.addedIDs[a.content], t.addedTexts[a.id] = a.id, a.content
		if !a.normalized || t.normalizer == nil {
			if !a.normalized {
				verbatim, contents = append(verbatim, a), append(contents, a.content)
				continue
			}
			normalized, patterns = append(normalized, a), append(patterns, a.content)
			continue
		}
		s.reset(a.content, 0, false)
		t.normalizer.normalize(&s.text)
		if len(s.b) > 0 {
			normalized, patterns = append(normalized, a), append(patterns, string(s.b))
		}
	}
	t.verbatim, t.normalized = newAddedSet(verbatim, contents), newAddedSet(normalized, patterns)
	for _, list := range [][]special{t.post.before, t.post.after} {
		for _, x := range list {
			if _, ok := t.Token(x.id); !ok {
				return bad("post_processor", "the token %q has the id %d, which no token has", cut(x.text), x.id)
			}
		}
	}
	return nil
}
