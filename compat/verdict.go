package compat

import "fmt"

// Verdict says what a change of a manifest asks for. Verdicts are ordered: the
// verdict of several changes is the greatest one.
type Verdict uint8

// The verdicts, from harmless to impossible.
const (
	// VerdictSame: the change is of labels only; the collection opens.
	VerdictSame Verdict = iota
	// VerdictTune: the collection opens, and queries use the new value.
	VerdictTune
	// VerdictRecheck: the stored vectors stay true, but queries are encoded
	// otherwise: the collection opens after the probes were run again.
	VerdictRecheck
	// VerdictRebuild: a new graph from the stored vectors; no encoder.
	VerdictRebuild
	// VerdictDerive: new vectors computed from the stored ones; no encoder.
	VerdictDerive
	// VerdictReembed: every text goes through the new encoder.
	VerdictReembed
	// VerdictRefuse: there is no way from the one to the other.
	VerdictRefuse
)

var verdictNames = [...]string{"same", "tune", "recheck", "rebuild", "derive", "reembed", "refuse"}

// String is the verdict's name in lower case.
func (v Verdict) String() string {
	if int(v) >= len(verdictNames) {
		return fmt.Sprintf("verdict(%d)", uint8(v))
	}
	return verdictNames[v]
}

// Opens reports whether a collection may be opened as it is, without a new
// generation. After VerdictRecheck the probes come first.
func (v Verdict) Opens() bool { return v <= VerdictRecheck }

// MarshalText writes the verdict as String does.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if name == string(text) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("verdict %q is unknown: allowed are %s", text, orList(verdictNames[:]))
}

// Worst is the greatest verdict of the changes, VerdictSame when there are none.
func Worst(changes []Change) Verdict {
	worst := VerdictSame
	for _, c := range changes {
		worst = max(worst, c.Verdict)
	}
	return worst
}
