package compat

import (
	"fmt"
	"strconv"
	"strings"
)

// command is the line of a shell that migrates a collection from the one
// manifest to the other; "" where nothing that it can change differs, or where
// there is no way: nobody can encode into raw vectors, and a metric of them is
// the client's.
func command(collection string, have, want Manifest, asked *Asked) string {
	if (want.Space.Raw() || want.Provenance.Model == "") && want.Space != have.Space {
		return ""
	}
	var words []string
	flag := func(name, value string, differs bool) {
		if differs {
			words = append(words, "--"+name, shellWord(value))
		}
	}
	p, q := have.Provenance, want.Provenance
	if q.Model != "" && (want.Space != have.Space || q.Model != p.Model || q.TextField != p.TextField) {
		flag("model", q.Model, true)
		words = append(words, settings(have.Space, want.Space, asked)...)
		flag("text-field", q.TextField, q.TextField != p.TextField)
	}
	flag("metric", string(want.Metric), want.Metric != have.Metric)
	flag("engine", string(want.Index.Engine), want.Index.Engine != have.Index.Engine)
	flag("m", strconv.Itoa(want.Index.M), want.Index.M != have.Index.M)
	flag("ef-construct", strconv.Itoa(want.Index.EfConstruction), want.Index.EfConstruction != have.Index.EfConstruction)
	flag("encoding", string(want.Index.Encoding), want.Index.Encoding != have.Index.Encoding)
	flag("ef", strconv.Itoa(want.Search.Ef), want.Search.Ef != have.Search.Ef)
	flag("oversampling", strconv.FormatFloat(want.Search.Oversampling, 'g', -1, 64), want.Search.Oversampling != have.Search.Oversampling)
	if len(words) == 0 {
		return ""
	}
	return "vecino migrate start -c " + shellWord(collection) + " " + strings.Join(words, " ")
}

// settings are the flags that make a model encode into a space. Where it is not
// known what was asked for, each is named that may not be the model's own.
func settings(have, want Space, asked *Asked) []string {
	if asked == nil {
		asked = &Asked{
			Dimensions: true, Precision: want.Precision != PrecisionF32,
			QueryPrompt:    want.QueryPrompt != "" || have.QueryPrompt != "",
			DocumentPrompt: want.DocumentPrompt != "" || have.DocumentPrompt != "",
			Normalize:      want.Normalization == NormalizeNone || have.Normalization == NormalizeNone,
		}
	}
	var words []string
	for _, s := range []struct {
		asked bool
		name  string
		value string
	}{
		{asked.Dimensions, "--dimensions", strconv.Itoa(want.Dimension)},
		{asked.Precision, "--precision", string(want.Precision)},
		{asked.QueryPrompt, "--query-prompt", want.QueryPrompt},
		{asked.DocumentPrompt, "--document-prompt", want.DocumentPrompt},
	} {
		if s.asked {
			words = append(words, s.name, shellWord(s.value))
		}
	}
	if asked.Normalize {
		words = append(words, map[bool]string{true: "--normalize", false: "--no-normalize"}[want.Normalization == NormalizeL2])
	}
	return words
}

// shellWord is a word as a shell reads it back.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@%+=,", r))
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	if strings.ContainsAny(s, "\x00\n\r\t") {
		return fmt.Sprintf("$%s", "'"+strings.NewReplacer("\\", "\\\\", "'", "\\'", "\n", "\\n", "\r", "\\r", "\t", "\\t", "\x00", "").Replace(s)+"'")
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
