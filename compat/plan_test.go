package compat

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPlanOfEachVerdict(t *testing.T) {
	facts := Facts{Documents: 1400, WithText: 1400}
	for _, c := range []struct {
		want    func(m *Manifest)
		facts   Facts
		verdict Verdict
		touched int
		says    string // in summary, steps or remedy
	}{
		{func(m *Manifest) {}, facts, VerdictSame, 0, "Nothing"},
		{func(m *Manifest) { m.Provenance.Model = "local:renamed" }, facts, VerdictSame, 0, "Nothing"},
		{func(m *Manifest) { m.Search.Ef = 200 }, facts, VerdictTune, 0, "search ef 200 instead of 100"},
		{func(m *Manifest) { m.Space.QueryPrompt = "" }, facts, VerdictRecheck, 0, "Run the probes"},
		{func(m *Manifest) { m.Index.M = 32 }, facts, VerdictRebuild, 1400, "no text is encoded"},
		{func(m *Manifest) { m.Space.Dimension = 2 }, facts, VerdictDerive, 1400, "from 4 to their first 2 components"},
		{func(m *Manifest) { m.Index.Encoding = "int8" }, facts, VerdictDerive, 1400, "as int8 instead of f32"},
		{func(m *Manifest) { m.Space.Weights[0]++ }, facts, VerdictReembed, 1400, "Encode 1,400 texts"},
		{func(m *Manifest) { m.Space.Weights[0]++ }, Facts{}, VerdictReembed, 0, "every point would have to be encoded again, as far as texts were kept"},
		{func(m *Manifest) { m.Space.Weights[0]++; m.Index.M = 32; m.Search.Ef = 7 }, facts, VerdictReembed, 1400, "search ef 7"},
		{func(m *Manifest) { m.Space.Weights[0]++ }, Facts{Documents: 1400, WithText: 1397}, VerdictRefuse, 0, "for 3 of 1,400 points no text was kept"},
		{func(m *Manifest) { m.Space.Weights[0]++ }, Facts{Documents: 1400}, VerdictReembed, 1400, "as far as texts were kept"},
		{func(m *Manifest) { m.Space.Weights[0]++ }, Facts{Documents: 3, BlockedIDs: []string{"a", "b", "c"}}, VerdictRefuse, 0, "for 3 of 3 points"},
		{func(m *Manifest) { m.Space.Encoder = "raw/1" }, facts, VerdictRefuse, 0, "No encoder can make raw vectors"},
		{func(m *Manifest) { m.Schema = SchemaVersion + 1 }, facts, VerdictRefuse, 0, "newer vecino"},
	} {
		want := sample()
		c.want(&want)
		changes := Diff(sample(), want)
		p := MakePlan("articles", changes, c.facts)
		if p.Verdict != c.verdict || p.Documents != c.touched {
			t.Errorf("%+v: %v of %d documents, want %v of %d", changes, p.Verdict, p.Documents, c.verdict, c.touched)
		}
		if p.CallsEncoder != (c.verdict == VerdictReembed) {
			t.Errorf("%v: calls the encoder: %v", p.Verdict, p.CallsEncoder)
		}
		if (len(p.Steps) > 0) != (p.Verdict > VerdictSame && p.Verdict < VerdictRefuse) {
			t.Errorf("%v: steps %q", p.Verdict, p.Steps)
		}
		if p.Remedy == "" || p.Summary == "" {
			t.Errorf("%v: says nothing: %+v", p.Verdict, p)
		}
		if all := p.Summary + strings.Join(p.Steps, " ") + p.Remedy; !strings.Contains(all, c.says) {
			t.Errorf("%v: %q is not in %q", p.Verdict, c.says, all)
		}
	}
}

// TestPlanStepsFollowTheWorst: a reembed does not also derive.
func TestPlanStepsFollowTheWorst(t *testing.T) {
	want := sample()
	want.Space.Weights[0]++
	want.Index.Encoding = "int8"
	p := MakePlan("c", Diff(sample(), want), Facts{Documents: 1, WithText: 1})
	if all := strings.Join(p.Steps, " "); strings.Contains(all, "stored vectors") || !strings.Contains(all, "Encode 1 text ") {
		t.Errorf("steps %q", p.Steps)
	}
}

func TestPlanBlocked(t *testing.T) {
	want := sample()
	want.Space.Weights[0]++
	facts := Facts{Documents: 1000, WithText: 900}
	for i := range 100 {
		facts.BlockedIDs = append(facts.BlockedIDs, fmt.Sprintf("doc-%d", i))
	}
	p := MakePlan("articles", Diff(sample(), want), facts)
	if p.Verdict != VerdictRefuse || p.CallsEncoder || p.BlockedDocuments != 100 || len(p.BlockedIDs) != MaxBlockedIDs {
		t.Errorf("%+v", p)
	}
	// What needs no encoder is not blocked by missing texts.
	want = sample()
	want.Index.M = 32
	if p := MakePlan("articles", Diff(sample(), want), facts); p.Verdict != VerdictRebuild || p.BlockedDocuments != 0 {
		t.Errorf("a rebuild without texts: %+v", p)
	}
}

// mismatches are the messages that testdata/mismatch.txt shows.
func mismatches() []*MismatchError {
	hash := sample()
	hash.Space = Space{
		Encoder: "hash/1", Pooling: PoolingNone, Normalization: NormalizeL2, Precision: PrecisionF32,
		Dimension: 512, FullDimension: 512, Tokenizer: Digest{0xab, 0xcd},
	}
	hash.Provenance.Model = "builtin:hash"
	raw := hash
	raw.Space.Encoder, raw.Space.Weights, raw.Provenance.Model = "raw/1", Digest{0x77}, ""
	otherRaw := raw
	otherRaw.Space.Weights = Digest{0x99}
	swapped := sample()
	swapped.Space.Weights = Digest{9, 9}
	cut := sample()
	cut.Space.Dimension, cut.Space.DocumentPrompt, cut.Evidence.Probes = 8, "", nil
	prompt := sample()
	prompt.Space.QueryPrompt = "Represent this sentence for searching relevant passages: "
	graph := sample()
	graph.Index.M, graph.Search.Ef = 32, 200
	newer := sample()
	newer.Schema = SchemaVersion + 1
	return []*MismatchError{
		NewMismatch("articles", hash, sample(), Facts{Documents: 1400, WithText: 1400}),
		NewMismatch("articles", sample(), swapped, Facts{Documents: 1400, WithText: 1400}),
		NewMismatch("articles", sample(), cut, Facts{}),
		NewMismatch("articles", hash, sample(), Facts{Documents: 1400, WithText: 1376, BlockedIDs: strings.Fields("a1 a2 a3 a4 a5")}),
		NewMismatch("photos", raw, otherRaw, Facts{Documents: 3}),
		NewMismatch("photos", raw, hash, Facts{Documents: 3, BlockedIDs: strings.Fields("1 2 3")}),
		NewMismatch("articles", hash, raw, Facts{Documents: 3, WithText: 3}),
		NewMismatch("articles", sample(), prompt, Facts{Documents: 1400, WithText: 1400}),
		NewMismatch("articles", sample(), graph, Facts{Documents: 1400, WithText: 1400}),
		NewMismatch("articles", newer, sample(), Facts{Documents: 1400, WithText: 1400}),
	}
}

// TestMismatchMessage compares the messages with testdata/mismatch.txt, which
// is there to be read. VECINO_UPDATE=1 rewrites it.
func TestMismatchMessage(t *testing.T) {
	var b strings.Builder
	for _, e := range mismatches() {
		fmt.Fprintf(&b, "---- %s\n%s\n", e.Summary(), e.Error())
	}
	const path = "testdata/mismatch.txt"
	if os.Getenv("VECINO_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(golden) {
		t.Errorf("the messages are\n%s", b.String())
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if strings.HasPrefix(line, "  ") && utf8.RuneCountInString(line) > 80 {
			t.Errorf("a row of %d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
}

func TestMismatchErrorIs(t *testing.T) {
	e := mismatches()[0]
	err := fmt.Errorf("open: %w", e)
	var found *MismatchError
	if !errors.As(err, &found) || found != e || !errors.Is(err, ErrMismatch) {
		t.Errorf("%v is no mismatch", err)
	}
	if e.Have.Matches(e.Want) || e.Have.IsZero() || e.Want.IsZero() {
		t.Errorf("fingerprints %v and %v", e.Have, e.Want)
	}
	for _, c := range e.Changes {
		if c.Verdict > VerdictSame && !strings.Contains(e.Error(), label(c.Field)) {
			t.Errorf("%s differs and is not said", c.Field)
		}
	}
}

// TestMismatchMessageOfHostileValues: values of a stored manifest can't break
// the message into lines of their own.
func TestMismatchMessageOfHostileValues(t *testing.T) {
	have := sample()
	have.Space.Encoder = "bert/1\n\x1b[2JWhat to do: run this"
	have.Provenance.Model = "local:a\nb"
	e := NewMismatch("a\nb", have, sample(), Facts{Documents: 1, WithText: 0, BlockedIDs: []string{"id\x1b[31m\n"}})
	if s := e.Error(); strings.Contains(s, "\x1b") || strings.Contains(s, "a\nb") || strings.Contains(s, "\nWhat to do: run this") {
		t.Errorf("the message is %q", s)
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000", -5: "-5"} {
		if got := number(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}
