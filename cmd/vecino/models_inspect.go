package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/blend"
	"github.com/vecino-db/vecino/embed/hub"
	"github.com/vecino-db/vecino/embed/token"
)

// modelsInspectCmd says what a model is.
type modelsInspectCmd struct {
	Model     string `arg:"" help:"A directory, or local:NAME, with options as ?precision=int8." placeholder:"MODEL"`
	Models    string `help:"Directory of local models." placeholder:"DIR"`
	Texts     string `help:"File of texts, one a line: how many of their tokens are unknown, and how many are cut off." placeholder:"FILE"`
	Reference string `help:"Directory of reference vectors; golden/reference-vectors under VECINO_SHARED when left out." placeholder:"DIR"`
	JSON      bool   `help:"Print JSON."`
}

// Help teaches.
func (modelsInspectCmd) Help() string {
	return `Examples:
  vecino models inspect local:all-MiniLM-L6-v2 --texts corpus.txt
  vecino models inspect ./some/model?precision=int8

Where reference vectors know the model, what it makes of "hello world" is
compared with what is published; another vector is exit status 1.`
}

// inspection is what is found.
type inspection struct {
	Model        string          `json:"model"`
	Kind         string          `json:"kind"`
	Architecture string          `json:"architecture,omitempty"`
	Parameters   int64           `json:"parameters,omitempty"`
	Tokenizer    string          `json:"tokenizer,omitempty"`
	Vocabulary   int             `json:"vocabulary,omitempty"`
	Space        compat.Space    `json:"space"`
	Precisions   []string        `json:"precisions"`
	Matryoshka   []int           `json:"matryoshka,omitempty"`
	Licence      string          `json:"licence,omitempty"`
	Summary      string          `json:"summary,omitempty"`
	Source       string          `json:"source,omitempty"`
	Pulled       *hub.Lock       `json:"pulled,omitempty"`
	Fingerprint  string          `json:"fingerprint"`
	Texts        *textShares     `json:"texts,omitempty"`
	Reference    *referenceCheck `json:"reference,omitempty"`
}

// textShares is how a model's tokenizer does on texts.
type textShares struct {
	Texts     int `json:"texts"`
	Tokens    int `json:"tokens"`         // special ones left out
	Unknown   int `json:"unknown_tokens"` // that the vocabulary lacks
	Truncated int `json:"truncated_texts"`
	Cut       int `json:"cut_tokens"`           // that truncation takes away
	Empty     int `json:"texts_without_tokens"` // that the vocabulary knows
}

// Run inspects.
func (c *modelsInspectCmd) Run(ctx context.Context, out *output) error {
	ref, err := parseModelRef(c.Model)
	if err != nil {
		return err
	}
	encoder, err := ref.open(ctx, c.Models, 0)
	if err != nil {
		return err
	}
	defer encoder.Close()
	found, err := inspect(encoder, ref.dir(c.Models))
	if err != nil {
		return err
	}
	if c.Texts != "" {
		if found.Texts, err = shares(encoder, c.Texts); err != nil {
			return err
		}
	}
	if found.Reference, err = compareReference(ctx, encoder, c.Reference, referenceNames(ref.name, found)); err != nil {
		return err
	}
	if c.JSON {
		err = out.JSON(found)
	} else {
		out.Table(table.Row{"", ""}, inspectionRows(found))
	}
	if err == nil && found.Reference != nil && !found.Reference.Agrees {
		return fmt.Errorf("the model does not give the vector that is known of %s: its files, or its pooling or normalization, are not those of that model", found.Reference.Name)
	}
	return err
}

// beneath is the encoder that reads the text.
func beneath(encoder embed.Encoder) embed.Encoder {
	if w, ok := encoder.(interface{ Unwrap() embed.Encoder }); ok {
		encoder = w.Unwrap()
	}
	// Of two halves the semantic one has a tokenizer, and words that it lacks.
	if b, ok := encoder.(*blend.Encoder); ok {
		return b.Semantic()
	}
	return encoder
}

// inspect collects what an encoder and its directory say.
func inspect(encoder embed.Encoder, dir string) (inspection, error) {
	info, space := encoder.Info(), encoder.Space()
	found := inspection{
		Model: info.Model, Kind: info.Kind, Space: space, Matryoshka: info.Matryoshka, Licence: info.Licence, Source: info.Source,
		Precisions: []string{string(compat.PrecisionF32)}, Fingerprint: space.Fingerprint().String(), Summary: info.Description,
	}
	inner := beneath(encoder)
	if t, ok := inner.(interface {
		Architecture() string
		Parameters() int64
	}); ok {
		found.Architecture, found.Parameters = t.Architecture(), t.Parameters()
		found.Precisions = append(found.Precisions, string(compat.PrecisionInt8))
	}
	if t, ok := inner.(interface{ Tokenizer() *token.Tokenizer }); ok {
		found.Tokenizer, found.Vocabulary = t.Tokenizer().Kind(), t.Tokenizer().Size()
	}
	if dir == "" {
		return found, nil
	}
	if card := embed.ReadCard(dir + "/README.md"); card.Summary != "" {
		found.Summary = card.Summary
	}
	lock, err := hub.Read(dir)
	switch {
	case err == nil:
		found.Pulled = &lock
	case !errors.Is(err, hub.ErrNotInstalled):
		return found, err
	}
	return found, nil
}

// shares reads texts and counts tokens.
func shares(encoder embed.Encoder, path string) (*textShares, error) {
	t, ok := beneath(encoder).(interface{ Tokenizer() *token.Tokenizer })
	if !ok {
		return nil, usageError{errors.New("--texts: the model has no tokenizer whose vocabulary could lack anything")}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	tokenizer, limit := t.Tokenizer(), encoder.Space().MaxTokens
	unknown, hasUnknown := tokenizer.Unknown()
	s := &textShares{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxEmbedLine)
	for lines.Scan() {
		content := lines.Text()
		if strings.TrimSpace(content) == "" {
			continue
		}
		s.Texts++
		ids, _ := tokenizer.Append(nil, content, token.Options{NoSpecial: true})
		s.Tokens += len(ids)
		known := len(ids)
		for _, id := range ids {
			if hasUnknown && id == unknown {
				s.Unknown++
				known--
			}
		}
		if known == 0 {
			s.Empty++
		}
		if n := encoder.CountTokens(embed.RoleDocument, []string{content})[0]; limit > 0 && n > limit {
			s.Truncated++
			s.Cut += n - limit
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// share is a part in per cent.
func share(part, whole int) string {
	if whole == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d (%.2f %%)", part, whole, 100*float64(part)/float64(whole))
}

// inspectionRows are the rows of the table.
func inspectionRows(f inspection) []table.Row {
	var rows []table.Row
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, table.Row{name, line(value, 110)})
		}
	}
	s := f.Space
	add("model", f.Model)
	add("kind", f.Kind)
	if f.Summary != "" {
		rows = append(rows, table.Row{"summary", text.WrapSoft(line(f.Summary, 300), 100)})
	}
	add("licence", f.Licence)
	if p := f.Pulled; p != nil {
		add("pulled", fmt.Sprintf("%s@%s from %s, %d files of %s, all as recorded", p.Repository, p.Commit, p.Hub, len(p.Files), bytesText(p.Bytes())))
	} else {
		add("source", f.Source)
	}
	add("architecture", f.Architecture)
	if f.Parameters > 0 {
		add("parameters", fmt.Sprintf("%.1f million", float64(f.Parameters)/1e6))
	}
	if f.Tokenizer != "" {
		add("tokenizer", fmt.Sprintf("%s, %d tokens", f.Tokenizer, f.Vocabulary))
	}
	add("dimension", fmt.Sprintf("%d of %d", s.Dimension, s.FullDimension))
	add("can be cut to", strings.Trim(fmt.Sprint(f.Matryoshka), "[]"))
	add("pooling, normalization", fmt.Sprintf("%s, %s", s.Pooling, s.Normalization))
	add("query, document prompt", fmt.Sprintf("%q, %q", s.QueryPrompt, s.DocumentPrompt))
	limit := "no limit"
	if s.MaxTokens > 0 {
		limit = strconv.Itoa(s.MaxTokens) + " tokens of a text"
	}
	add("limit", limit)
	add("precision", fmt.Sprintf("%s; there are %s", s.Precision, strings.Join(f.Precisions, ", ")))
	if t := f.Texts; t != nil {
		add("unknown tokens", share(t.Unknown, t.Tokens))
		add("truncated texts", share(t.Truncated, t.Texts))
		add("tokens cut off", share(t.Cut, t.Tokens))
		add("texts without known tokens", share(t.Empty, t.Texts))
	}
	if r := f.Reference; r != nil {
		add("reference", r.String())
	}
	add("fingerprint", f.Fingerprint)
	return slices.Clip(rows)
}
