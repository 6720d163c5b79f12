package compat

import "bytes"

// Change is one leaf field in which two manifests differ.
type Change struct {
	Field   string  `json:"field"` // as in the manifest's JSON: "space.dimension"
	Have    string  `json:"have"`  // the stored value, for people
	Want    string  `json:"want"`  // the wanted value, for people
	Verdict Verdict `json:"verdict"`
}

// Diff lists the fields in which the wanted manifest differs from the stored
// one, in the order of the manifest, each with what its change means. No
// changes means that the two encode alike. It does not validate.
func Diff(have, want Manifest) []Change {
	return diff(manifestFields, &have, &want)
}

func diff(fields []field[Manifest], have, want *Manifest) []Change {
	var changes []Change
	for _, f := range fields {
		if bytes.Equal(f.encode(nil, have), f.encode(nil, want)) {
			continue
		}
		verdict := VerdictRefuse
		if f.rule != nil {
			verdict = f.rule(have, want)
		}
		changes = append(changes, Change{Field: f.name, Have: f.show(have), Want: f.show(want), Verdict: verdict})
	}
	return changes
}

// rule judges the change of one field; it is asked only when the field differs.
type rule func(have, want *Manifest) Verdict

// always is the rule of fields whose values don't matter for the verdict.
func always(v Verdict) rule {
	return func(_, _ *Manifest) Verdict { return v }
}

// reembed is the rule of fields that decide the floats of a document. Raw
// vectors have no encoder that could make them again.
func reembed(_, want *Manifest) Verdict {
	if want.Space.Raw() {
		return VerdictRefuse
	}
	return VerdictReembed
}

// normalize: vectors can be scaled to length 1, but a length that was scaled
// away can't be had back.
func normalize(have, want *Manifest) Verdict {
	if have.Space.Normalization == NormalizeNone && want.Space.Normalization == NormalizeL2 && derivable(have, want) {
		return VerdictDerive
	}
	return reembed(have, want)
}

// cut: the leading components of a Matryoshka model's vectors are its shorter
// vectors (Kusupati et al. 2022, "Matryoshka Representation Learning"); longer
// ones have to come from the model.
func cut(have, want *Manifest) Verdict {
	if want.Space.Dimension < have.Space.Dimension && derivable(have, want) {
		return VerdictDerive
	}
	return reembed(have, want)
}

// derivable reports whether the spaces differ in nothing but the query prompt,
// the dimension and the normalization.
func derivable(have, want *Manifest) bool {
	s := want.Space
	s.QueryPrompt = have.Space.QueryPrompt
	s.Dimension = have.Space.Dimension
	s.Normalization = have.Space.Normalization
	return s == have.Space
}

// schema: older schemas are read and rewritten; newer ones are not understood.
func schema(have, want *Manifest) Verdict {
	if max(have.Schema, want.Schema) > SchemaVersion {
		return VerdictRefuse
	}
	return VerdictSame
}
