package compat

import (
	"slices"
	"strings"
	"testing"
)

// TestEveryLeafHasOneRule is what keeps a new field of Manifest from being
// stored, hashed or compared by accident: it must stand in the table, once,
// with a rule.
func TestEveryLeafHasOneRule(t *testing.T) {
	inTable := map[string]int{}
	for i, f := range manifestFields {
		if _, twice := inTable[f.name]; twice {
			t.Errorf("field %s stands twice in manifestFields", f.name)
		}
		inTable[f.name] = i
		if f.rule == nil {
			t.Errorf("field %s has no rule: say in fields.go what its change means", f.name)
		}
	}
	found := manifestLeaves()
	for i, l := range found {
		at, ok := inTable[l.name]
		if !ok {
			t.Errorf("field %s of Manifest is not in manifestFields: it would be neither stored nor compared", l.name)
		} else if at != i {
			t.Errorf("field %s is number %d of the table and number %d of the struct", l.name, at, i)
		}
	}
	if len(found) != len(manifestFields) {
		t.Errorf("%d leaf fields in Manifest, %d in the table", len(found), len(manifestFields))
	}
}

// verdicts is DESIGN's table: what altering one field, and nothing else, means.
var verdicts = map[string]Verdict{
	"schema":                VerdictRefuse, // altered it is a newer one
	"space.encoder":         VerdictReembed,
	"space.weights":         VerdictReembed,
	"space.tokenizer":       VerdictReembed,
	"space.pooling":         VerdictReembed,
	"space.query_prompt":    VerdictRecheck,
	"space.document_prompt": VerdictReembed,
	"space.max_tokens":      VerdictReembed,
	"space.normalization":   VerdictReembed,
	"space.precision":       VerdictReembed,
	"space.dimension":       VerdictReembed, // altered it is greater
	"space.full_dimension":  VerdictReembed,
	"metric":                VerdictRebuild,
	"index.engine":          VerdictRebuild,
	"index.m":               VerdictRebuild,
	"index.ef_construction": VerdictRebuild,
	"index.encoding":        VerdictDerive,
	"search.ef":             VerdictTune,
	"search.oversampling":   VerdictTune,
	"evidence.probes":       VerdictSame,
	"evidence.model_card":   VerdictSame,
	"evidence.recall":       VerdictSame,
	"evidence.adoption":     VerdictSame,
	"provenance.model":      VerdictSame,
	"provenance.source":     VerdictSame,
	"provenance.program":    VerdictSame,
	"provenance.created_at": VerdictSame,
	"provenance.verified":   VerdictSame,
	"provenance.text_field": VerdictSame,
	"provenance.labels":     VerdictSame,
}

func TestDiffOfOneField(t *testing.T) {
	for _, l := range manifestLeaves() {
		have, want := sample(), sample()
		alter(t, l.set(&want))
		changes := Diff(have, want)
		if len(changes) != 1 || changes[0].Field != l.name {
			t.Errorf("altering %s: changes %+v", l.name, changes)
			continue
		}
		expected, ok := verdicts[l.name]
		if !ok {
			t.Errorf("%s has no verdict in this test's table", l.name)
		}
		if got := changes[0]; got.Verdict != expected {
			t.Errorf("altering %s: %v, want %v", l.name, got.Verdict, expected)
		} else if got.Have == got.Want || got.Have == "" || got.Want == "" {
			t.Errorf("altering %s: shown as %q and %q", l.name, got.Have, got.Want)
		}
	}
	if changes := Diff(sample(), sample()); len(changes) != 0 {
		t.Errorf("no difference: %+v", changes)
	}
}

func TestDiffByValue(t *testing.T) {
	raw := func(m *Manifest) { m.Space.Encoder = "raw/1" }
	cases := []struct {
		name       string
		have, want func(m *Manifest)
		verdicts   string // field=verdict of each change
	}{
		{
			"a Matryoshka cut",
			nil, func(m *Manifest) { m.Space.Dimension = 2 },
			"space.dimension=derive",
		},
		{
			"a cut with another query prompt",
			nil, func(m *Manifest) { m.Space.Dimension = 2; m.Space.QueryPrompt = "" },
			"space.query_prompt=recheck space.dimension=derive",
		},
		{
			"fewer dimensions of a model that is not cut",
			func(m *Manifest) { m.Space.FullDimension = 4 }, func(m *Manifest) { m.Space.Dimension = 2; m.Space.FullDimension = 2 },
			"space.dimension=reembed space.full_dimension=reembed",
		},
		{
			"fewer dimensions of another model",
			nil, func(m *Manifest) { m.Space.Weights[0]++; m.Space.Dimension = 2 },
			"space.weights=reembed space.dimension=reembed",
		},
		{
			"none to l2",
			func(m *Manifest) { m.Space.Normalization = NormalizeNone }, nil,
			"space.normalization=derive",
		},
		{
			"none to l2 with a cut",
			func(m *Manifest) { m.Space.Normalization = NormalizeNone }, func(m *Manifest) { m.Space.Dimension = 2 },
			"space.normalization=derive space.dimension=derive",
		},
		{
			"l2 to none with a cut",
			nil, func(m *Manifest) { m.Space.Normalization = NormalizeNone; m.Space.Dimension = 2 },
			"space.normalization=reembed space.dimension=derive",
		},
		{
			"raw vectors of another collection",
			raw, func(m *Manifest) { raw(m); m.Space.Weights[0]++ },
			"space.weights=refuse",
		},
		{
			"raw vectors of more dimensions",
			raw, func(m *Manifest) { raw(m); m.Space.Dimension = 6 },
			"space.dimension=refuse",
		},
		{
			"raw vectors cut",
			raw, func(m *Manifest) { raw(m); m.Space.Dimension = 3 },
			"space.dimension=derive",
		},
		{
			"raw vectors where an encoder was",
			nil, raw,
			"space.encoder=refuse",
		},
		{
			"an encoder where raw vectors were",
			raw, nil,
			"space.encoder=reembed",
		},
		{
			"an older schema",
			func(m *Manifest) { m.Schema = 0 }, nil,
			"schema=same",
		},
		{
			"a newer stored schema",
			func(m *Manifest) { m.Schema = SchemaVersion + 1 }, nil,
			"schema=refuse",
		},
		// Whether an auto index has its graph already stands in no manifest, so
		// every change of the engine is one that builds a graph, or drops it.
		{"auto, outgrown or not, to the graph", engine(EngineAuto, EncodingLVQ4x8), engine(EngineHNSW, EncodingLVQ4x8), "index.engine=rebuild"},
		{"the graph to auto", engine(EngineHNSW, EncodingF32), engine(EngineAuto, EncodingF32), "index.engine=rebuild"},
		{"auto to exact", engine(EngineAuto, EncodingF32), engine(EngineExact, EncodingF32), "index.engine=rebuild"},
		{"coder to auto", engine(EngineCoder, EncodingF32), engine(EngineAuto, EncodingF32), "index.engine=rebuild"},
		{
			"another graph to come", engine(EngineAuto, EncodingF32),
			func(m *Manifest) { engine(EngineAuto, EncodingF32)(m); m.Index.M, m.Index.EfConstruction = 32, 300 },
			"index.m=rebuild index.ef_construction=rebuild",
		},
		{"another encoding to come", engine(EngineAuto, EncodingF32), engine(EngineAuto, EncodingInt8), "index.encoding=derive"},
		{"auto with codes to exact without", engine(EngineAuto, EncodingInt8), engine(EngineExact, EncodingF32), "index.engine=rebuild index.encoding=derive"},
	}
	for _, c := range cases {
		have, want := sample(), sample()
		if c.have != nil {
			c.have(&have)
		}
		if c.want != nil {
			c.want(&want)
		}
		var got []string
		for _, change := range Diff(have, want) {
			got = append(got, change.Field+"="+change.Verdict.String())
		}
		if s := strings.Join(got, " "); s != c.verdicts {
			t.Errorf("%s: %s, want %s", c.name, s, c.verdicts)
		}
	}
}

// engine alters the engine and its encoding.
func engine(name Engine, encoding Encoding) func(m *Manifest) {
	return func(m *Manifest) { m.Index.Engine, m.Index.Encoding = name, encoding }
}

func TestFieldWithoutRuleRefuses(t *testing.T) {
	bare := slices.Clone(manifestFields)
	bare[len(bare)-1].rule = nil
	have, want := sample(), sample()
	want.Provenance.Labels = nil
	if v := Worst(diff(bare, &have, &want)); v != VerdictRefuse {
		t.Errorf("a change of a field without a rule is %v", v)
	}
}

func TestVerdictText(t *testing.T) {
	last := Verdict(0)
	for v := VerdictSame; v <= VerdictRefuse; v++ {
		text, _ := v.MarshalText()
		var back Verdict
		if err := back.UnmarshalText(text); err != nil || back != v {
			t.Errorf("%s reads back as %v, %v", text, back, err)
		}
		if Worst([]Change{{Verdict: v}, {Verdict: last}}) != v {
			t.Errorf("%v is not worse than %v", v, last)
		}
		if v.Opens() != (v <= VerdictRecheck) {
			t.Errorf("%v opens: %v", v, v.Opens())
		}
		last = v
	}
	if err := new(Verdict).UnmarshalText([]byte("maybe")); err == nil || !strings.Contains(err.Error(), "derive") {
		t.Errorf("an unknown verdict: %v", err)
	}
}
