package compat

import (
	"fmt"
	"strconv"
	"strings"
)

// command is the line of a shell that migrates a collection from the one
// manifest to the other; "" where there is none: nobody can encode into raw
// vectors, and a metric of them is the client's.
func command(collection string, have, want Manifest) string {
	if want.Space.Raw() && want.Space != have.Space || want.Provenance.Model == "" && want.Space != have.Space {
		return ""
	}
	words := []string{"vecino", "migrate", "start", "-c", shellWord(collection)}
	flag := func(name, value string, differs bool) {
		if differs {
			words = append(words, "--"+name, shellWord(value))
		}
	}
	a, b := have.Space, want.Space
	if a != b {
		flag("model", want.Provenance.Model, true)
		flag("dimensions", strconv.Itoa(b.Dimension), b.Dimension != b.FullDimension || want.Provenance.Model == have.Provenance.Model && b.Dimension != a.Dimension)
		flag("precision", string(b.Precision), b.Precision == PrecisionInt8)
		flag("query-prompt", b.QueryPrompt, b.QueryPrompt != a.QueryPrompt)
		flag("document-prompt", b.DocumentPrompt, b.DocumentPrompt != a.DocumentPrompt)
		if a.Normalization == NormalizeNone && b.Normalization == NormalizeL2 {
			words = append(words, "--normalize")
		}
	}
	flag("metric", string(want.Metric), want.Metric != have.Metric)
	flag("engine", string(want.Index.Engine), want.Index.Engine != have.Index.Engine)
	flag("m", strconv.Itoa(want.Index.M), want.Index.M != have.Index.M)
	flag("ef-construct", strconv.Itoa(want.Index.EfConstruction), want.Index.EfConstruction != have.Index.EfConstruction)
	flag("encoding", string(want.Index.Encoding), want.Index.Encoding != have.Index.Encoding)
	flag("ef", strconv.Itoa(want.Search.Ef), want.Search.Ef != have.Search.Ef)
	return strings.Join(words, " ")
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
