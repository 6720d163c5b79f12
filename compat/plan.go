package compat

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxBlockedIDs bounds the ids that a Plan lists.
const MaxBlockedIDs = 20

// Facts are what a plan has to know of a collection beside its manifests. Where
// WithText is 0 and no BlockedIDs are named, texts were not counted, and a plan
// supposes that they were kept.
type Facts struct {
	Documents  int      // points in the collection
	WithText   int      // of those, points whose text was kept
	BlockedIDs []string // ids of points without text; a plan lists MaxBlockedIDs of them
	Model      string   // the label of the model that the collection was made with, if any
	Command    string   // that migrates the collection to what is wanted, if there is one
	Asked      *Asked   // of the encoder of what is wanted; nil: not known
}

// Asked says which settings of an encoder were asked for. The others are the
// model's own.
type Asked struct{ Dimensions, Precision, QueryPrompt, DocumentPrompt, Normalize bool }

// counted reports whether somebody looked which texts were kept.
func (f Facts) counted() bool { return f.WithText > 0 || len(f.BlockedIDs) > 0 }

// Plan says what a change of a manifest would take, before anything runs.
type Plan struct {
	// Verdict is that of the changes, or VerdictRefuse when texts are missing.
	Verdict Verdict `json:"verdict"`
	// Summary is one sentence.
	Summary string `json:"summary"`
	// Steps are what would be done, in order; empty when there is nothing to do
	// or no way.
	Steps []string `json:"steps,omitempty"`
	// CallsEncoder: texts of documents go through an encoder.
	CallsEncoder bool `json:"calls_encoder"`
	// Documents is the number of points that the steps touch.
	Documents int `json:"documents"`
	// BlockedDocuments is the number of points that can't be embedded again
	// because their texts were not kept, and BlockedIDs are some of them.
	BlockedDocuments int      `json:"blocked_documents"`
	BlockedIDs       []string `json:"blocked_ids,omitempty"`
	// Remedy says what the user can do next; Command is the line of a shell at
	// its end that migrates the collection, if there is one.
	Remedy  string `json:"remedy"`
	Command string `json:"command,omitempty"`
}

// MakePlan plans the changes that Diff found for a collection. A reembed whose
// texts were not all kept is refused: a collection half in a new space would
// be worse than none.
func MakePlan(collection string, changes []Change, facts Facts) Plan {
	p := Plan{Verdict: Worst(changes)}
	if p.Verdict == VerdictReembed && facts.counted() && facts.WithText < facts.Documents {
		p.BlockedDocuments = facts.Documents - facts.WithText
		p.BlockedIDs = append([]string(nil), facts.BlockedIDs[:min(len(facts.BlockedIDs), MaxBlockedIDs)]...)
		p.Verdict = VerdictRefuse
	}
	if p.Verdict > VerdictRecheck && p.Verdict < VerdictRefuse {
		p.Documents = facts.Documents
	}
	p.CallsEncoder = p.Verdict == VerdictReembed
	p.Summary = summary(p, changes, facts)
	p.Remedy = remedy(collection, p, changes, facts)
	if facts.Command != "" && strings.HasSuffix(p.Remedy, facts.Command) {
		p.Command = facts.Command
	}
	if p.Verdict < VerdictRefuse {
		p.Steps = steps(p, changes)
	}
	return p
}

func summary(p Plan, changes []Change, facts Facts) string {
	switch p.Verdict {
	case VerdictSame:
		return "Nothing that decides an answer differs."
	case VerdictTune:
		return "Only search defaults differ: the collection opens and uses the new ones."
	case VerdictRecheck:
		return "Only the prompt of queries differs: the stored vectors stay true once the probes pass."
	case VerdictRebuild:
		return fmt.Sprintf("A new index of %s would be built from the stored vectors; no text is encoded.", all(p.Documents, "point"))
	case VerdictDerive:
		return fmt.Sprintf("New vectors of %s would be computed from the stored ones; no text is encoded.", all(p.Documents, "point"))
	case VerdictReembed:
		supposed := ""
		if !facts.counted() {
			supposed = ", as far as texts were kept"
		}
		return fmt.Sprintf("The vectors of %s would have to be encoded again%s.", all(p.Documents, "point"), supposed)
	}
	switch {
	case p.BlockedDocuments > 0:
		return fmt.Sprintf("Every text would have to be encoded again, but for %s of %s no text was kept.",
			number(p.BlockedDocuments), count(facts.Documents, "point"))
	case changed(changes, "schema"):
		return "A newer vecino may mean things by a manifest that this one does not know."
	default:
		return "No encoder can make raw vectors from texts, so there is no way from the one space to the other."
	}
}

// remedy names only ways that leave the collection as it is.
func remedy(collection string, p Plan, changes []Change, facts Facts) string {
	model := "the model that the collection was made with"
	switch name := plainOrQuoted(facts.Model); {
	case facts.Model == "":
		model = "vectors that were made as those of the collection were"
	case changed(changes, "provenance.model"):
		model = name + ", " + model
	case anotherModel(changes):
		model = name + " as it was when the collection was made: put its former files back"
	default:
		model = name + " with the settings that the collection was made with"
	}
	migrate := ""
	if facts.Command != "" {
		migrate = fmt.Sprintf(" Or migrate it while it serves: %s", facts.Command)
	}
	switch p.Verdict {
	case VerdictSame, VerdictTune:
		if facts.Command != "" {
			return "Open it: nothing has to be done. To write what differs into its manifest: " + facts.Command
		}
		return "Open it: nothing has to be done."
	case VerdictRecheck:
		return fmt.Sprintf("Open %q with the query prompt that it has.%s", collection, migrate)
	case VerdictRebuild, VerdictDerive:
		return fmt.Sprintf("Open %q with the settings that it has, or create another collection with these.%s", collection, migrate)
	case VerdictReembed:
		return fmt.Sprintf("Use %s. Or create another collection for what was asked for, and put the texts into it.%s", model, migrate)
	}
	switch {
	case changed(changes, "schema"):
		return "Use the version of vecino that wrote it, or a later one."
	case p.BlockedDocuments > 0:
		return fmt.Sprintf("Use %s. Or put the points without text into %q again with their texts, and plan again.", model, collection)
	default:
		return fmt.Sprintf("Bring vectors of the space that %q was made with, or create another collection for these.", collection)
	}
}

// steps are in the order in which they would run.
func steps(p Plan, changes []Change) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if p.Verdict == VerdictReembed {
		add("Encode %s with the new encoder, in the document role.", count(p.Documents, "text"))
	}
	for _, c := range changes {
		switch {
		case p.Verdict == VerdictReembed || c.Verdict != VerdictDerive:
		case c.Field == "space.dimension":
			add("Cut the stored vectors from %s to their first %s components, and scale normalized ones to length 1 again.", c.Have, c.Want)
		case c.Field == "space.normalization":
			add("Scale the stored vectors to length 1.")
		case c.Field == "index.encoding":
			add("Encode the stored vectors as %s instead of %s.", c.Want, c.Have)
		}
	}
	if p.Verdict >= VerdictRebuild {
		add("Build a new index of %s beside the one that serves.", count(p.Documents, "vector"))
	}
	if p.Verdict >= VerdictRecheck && p.Verdict != VerdictRebuild {
		add("Run the probes, and judged queries where there are any.")
	}
	if p.Verdict >= VerdictRebuild {
		add("Check coverage and recall of the new index, then let it serve; the old one is kept until the change is committed.")
	}
	for _, c := range changes {
		if c.Verdict == VerdictTune {
			add("Queries that name no value of their own use %s %s instead of %s.", label(c.Field), c.Want, c.Have)
		}
	}
	return list
}

func changed(changes []Change, field string) bool {
	for _, c := range changes {
		if c.Field == field {
			return true
		}
	}
	return false
}

// anotherModel reports whether it is the model itself that differs, and not
// only what is asked of it.
func anotherModel(changes []Change) bool {
	return changed(changes, "space.encoder") || changed(changes, "space.weights") || changed(changes, "space.tokenizer")
}

// label is a field's name for people: "space.max_tokens" is "max tokens".
func label(field string) string {
	field = strings.TrimPrefix(strings.TrimPrefix(field, "space."), "provenance.")
	return strings.NewReplacer(".", " ", "_", " ").Replace(field)
}

// count writes "1 text" or "1,400 texts".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(n) + " " + what + "s"
}

// all writes "all 1,400 texts", or "every text" where their number isn't known.
func all(n int, what string) string {
	if n < 2 {
		return "every " + what
	}
	return "all " + count(n, what)
}

// number writes digits in groups of three.
func number(n int) string {
	digits := strconv.Itoa(n)
	if n < 0 {
		return digits
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
