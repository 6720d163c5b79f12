package compat

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrMismatch is what every *MismatchError wraps.
var ErrMismatch = errors.New("another embedding space or manifest")

// MismatchError refuses to open, fill or search a collection with what is not
// of its manifest. Nothing was read or written.
type MismatchError struct {
	Collection string
	Have       Fingerprint // of the stored space
	Want       Fingerprint // of the space that was asked for
	HaveModel  string      // the label of the stored space's model, "hash/1" without one, "" for undeclared raw vectors
	WantModel  string      // the same of the wanted space
	Changes    []Change    // what Diff found
	Plan       Plan
}

// NewMismatch compares the stored manifest with the wanted one. Callers decide
// by the plan's verdict (Verdict.Opens) whether it is an error at all.
func NewMismatch(collection string, have, want Manifest, facts Facts) *MismatchError {
	changes := Diff(have, want)
	facts.Model = have.Provenance.Model
	if facts.Command == "" {
		facts.Command = command(collection, have, want, facts.Asked)
	}
	return &MismatchError{
		Collection: collection,
		Have:       have.Space.Fingerprint(),
		Want:       want.Space.Fingerprint(),
		HaveModel:  modelOf(have),
		WantModel:  modelOf(want),
		Changes:    changes,
		Plan:       MakePlan(collection, changes, facts),
	}
}

// modelOf is what messages call the model of a manifest.
func modelOf(m Manifest) string {
	if m.Provenance.Model == "" && !m.Space.Raw() {
		return m.Space.Encoder
	}
	return m.Provenance.Model
}

// Unwrap gives ErrMismatch.
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// Summary is the error on one line.
func (e *MismatchError) Summary() string {
	var names []string
	for _, c := range e.Changes {
		if c.Verdict > VerdictSame {
			names = append(names, label(c.Field))
		}
	}
	return fmt.Sprintf("%s (%v: %s)", e.headline(), e.Plan.Verdict, strings.Join(names, ", "))
}

// headline says in one sentence what can't be put together.
func (e *MismatchError) headline() string {
	have, want := plainOrQuoted(e.HaveModel), plainOrQuoted(e.WantModel)
	switch {
	case !e.otherVectors():
		return fmt.Sprintf("collection %q has another manifest than what was asked for", e.Collection)
	case e.HaveModel == "" && e.WantModel == "":
		return fmt.Sprintf("collection %q holds vectors of another embedding space than what was asked for", e.Collection)
	case e.HaveModel == "":
		return fmt.Sprintf("collection %q holds raw vectors of no declared model, which can't be compared with those of %s", e.Collection, want)
	case e.WantModel == "":
		return fmt.Sprintf("collection %q holds vectors of %s, which can't be compared with raw vectors of no declared model", e.Collection, have)
	case e.HaveModel == e.WantModel && anotherModel(e.Changes):
		return fmt.Sprintf("collection %q holds vectors of %s as it was when they were made; what was asked for is another model, even if by the same name, and vectors of the two can't be compared", e.Collection, have)
	case e.HaveModel == e.WantModel:
		return fmt.Sprintf("collection %q holds vectors of %s with other settings than what was asked for, and vectors of the two can't be compared", e.Collection, have)
	default:
		return fmt.Sprintf("collection %q holds vectors of %s, which can't be compared with those of %s", e.Collection, have, want)
	}
}

// otherVectors reports whether the vectors differ, and not only what is built
// on them or how queries are put.
func (e *MismatchError) otherVectors() bool {
	for _, c := range e.Changes {
		if strings.HasPrefix(c.Field, "space.") && c.Verdict > VerdictRecheck {
			return true
		}
	}
	return false
}

// Error says over several lines what differs, field by field, what that means
// and what to do next. Summary is the short form.
func (e *MismatchError) Error() string {
	var b strings.Builder
	wrap(&b, "", e.headline()+". Nothing was read or written.")
	rows := [][4]string{{"", "collection", "asked for", "verdict"}}
	if e.HaveModel != e.WantModel {
		rows = append(rows, [4]string{"model", orNone(e.HaveModel), orNone(e.WantModel), "(a label)"})
	}
	if !e.Have.Matches(e.Want) {
		rows = append(rows, [4]string{"fingerprint", e.Have.String(), e.Want.String(), ""})
	}
	for _, c := range e.Changes {
		if c.Verdict > VerdictSame {
			rows = append(rows, [4]string{label(c.Field), c.Have, c.Want, c.Verdict.String()})
		}
	}
	b.WriteString("\n")
	table(&b, rows)
	b.WriteString("\n")
	wrap(&b, "Verdict:    ", e.Plan.Verdict.String()+". "+e.Plan.Summary)
	if len(e.Plan.BlockedIDs) > 0 {
		ids := strings.Join(quoteAll(e.Plan.BlockedIDs), ", ")
		if more := e.Plan.BlockedDocuments - len(e.Plan.BlockedIDs); more > 0 {
			ids += " and " + number(more) + " more"
		}
		wrap(&b, "No text:    ", ids)
	}
	wrap(&b, "What to do: ", strings.TrimSuffix(e.Plan.Remedy, " "+e.Plan.Command))
	if e.Plan.Command != "" {
		b.WriteString("$ " + e.Plan.Command) // on one line, to be copied
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// wrap writes text after a heading, broken at spaces into lines that fit a
// terminal of 80 columns and are indented below the heading.
func wrap(b *strings.Builder, heading, text string) {
	const width = 80
	column := len(heading)
	b.WriteString(heading)
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", len(heading)))
			column = len(heading)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteString("\n")
}

// table writes rows in aligned columns, cells cut to a width that fits a
// terminal of 80 columns.
func table(b *strings.Builder, rows [][4]string) {
	var widths [4]int
	for i := range rows {
		for j := range rows[i] {
			rows[i][j] = shorten(rows[i][j])
			widths[j] = max(widths[j], utf8.RuneCountInString(rows[i][j]))
		}
	}
	for _, row := range rows {
		line := " "
		for j, cell := range row {
			line += " " + cell + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)+1)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// orNone is a model's label in the table.
func orNone(model string) string {
	if model == "" {
		return "none declared"
	}
	return plainOrQuoted(model)
}

// shorten cuts a cell: digests to the twelve digits by which people tell them
// apart, other values in the middle of what doesn't fit.
func shorten(cell string) string {
	const width = 26
	if len(cell) == 64 && strings.Trim(cell, "0123456789abcdef") == "" {
		return cell[:12] + "..."
	}
	runes := []rune(cell)
	if len(runes) <= width {
		return cell
	}
	return string(runes[:width-11]) + "..." + string(runes[len(runes)-8:])
}

func quoteAll(words []string) []string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteShort(w)
	}
	return quoted
}
