package compat

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The generators lean to small alphabets and edge values, so that different
// draws often differ in little.

func drawManifest(t *rapid.T) Manifest {
	m := Manifest{
		Schema: SchemaVersion,
		Space:  drawSpace(t),
		Metric: Metric(drawText(t, "metric")),
		Index: IndexBuild{
			Engine: Engine(drawText(t, "engine")), M: rapid.Int().Draw(t, "m"),
			EfConstruction: rapid.Int().Draw(t, "efc"), Encoding: Encoding(drawText(t, "encoding")),
		},
		Search: SearchDefaults{Ef: rapid.Int().Draw(t, "ef"), Oversampling: rapid.Float64().Draw(t, "oversampling")},
		Provenance: Provenance{
			Model: drawText(t, "model"), Source: drawText(t, "source"), Program: drawText(t, "program"),
			CreatedAt: drawTime(t), Verified: rapid.Bool().Draw(t, "verified"), TextField: drawText(t, "text_field"),
			Labels: rapid.MapOfN(rapid.StringN(0, 3, 12), rapid.StringN(0, 3, 12), 0, 4).Draw(t, "labels"),
		},
	}
	m.Evidence.ModelCard = drawText(t, "card")
	m.Evidence.Probes = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Probe {
		floats := rapid.SliceOfN(rapid.Float32(), 0, 4)
		return Probe{Text: drawText(t, "text"), Document: floats.Draw(t, "document"), Query: floats.Draw(t, "query")}
	}), 0, 3).Draw(t, "probes")
	if rapid.Bool().Draw(t, "has recall") {
		m.Evidence.Recall = &MeasuredRecall{
			K: rapid.Int().Draw(t, "k"), Ef: rapid.Int().Draw(t, "ef"), Queries: rapid.Int().Draw(t, "queries"),
			Recall: rapid.Float64().Draw(t, "recall"), At: drawTime(t),
		}
	}
	if rapid.Bool().Draw(t, "has adoption") {
		m.Evidence.Adoption = &Adoption{
			From: Fingerprint(drawDigest(t)), Points: rapid.Int().Draw(t, "points"), Texts: rapid.Int().Draw(t, "texts"),
			LeastCosine: rapid.Float64().Draw(t, "least"), MeanCosine: rapid.Float64().Draw(t, "mean"), At: drawTime(t),
		}
	}
	return m
}

func drawSpace(t *rapid.T) Space {
	return Space{
		Encoder: drawText(t, "encoder"), Weights: drawDigest(t), Tokenizer: drawDigest(t),
		Pooling: Pooling(drawText(t, "pooling")), QueryPrompt: drawText(t, "query prompt"),
		DocumentPrompt: drawText(t, "document prompt"), MaxTokens: rapid.Int().Draw(t, "max tokens"),
		Normalization: Normalization(drawText(t, "normalization")), Precision: Precision(drawText(t, "precision")),
		Dimension: rapid.Int().Draw(t, "dimension"), FullDimension: rapid.Int().Draw(t, "full dimension"),
	}
}

func drawText(t *rapid.T, name string) string {
	return rapid.OneOf(rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 2, -1), rapid.String()).Draw(t, name)
}

func drawDigest(t *rapid.T) Digest {
	return Digest(rapid.SliceOfN(rapid.ByteRange(0, 1), 32, 32).Draw(t, "digest"))
}

func drawTime(t *rapid.T) time.Time {
	seconds := rapid.OneOf(
		rapid.SampledFrom([]int64{firstSecond, lastSecond, 0, time.Time{}.Unix()}),
		rapid.Int64Range(firstSecond, lastSecond),
	).Draw(t, "seconds")
	return time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
}

// plain makes nil of what is empty: the encoding holds them for the same.
func plain(m Manifest) Manifest {
	if len(m.Provenance.Labels) == 0 {
		m.Provenance.Labels = nil
	}
	var probes []Probe
	for _, p := range m.Evidence.Probes {
		if len(p.Document) == 0 {
			p.Document = nil
		}
		if len(p.Query) == 0 {
			p.Query = nil
		}
		probes = append(probes, p)
	}
	m.Evidence.Probes = probes
	return m
}

func encode(t interface{ Fatalf(string, ...any) }, m Manifest) []byte {
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		b := encode(t, m)
		var back Manifest
		if err := back.UnmarshalBinary(b); err != nil {
			t.Fatalf("decode: %v", err)
		}
		if !reflect.DeepEqual(back, plain(m)) {
			t.Fatalf("read back\n%+v, want\n%+v", back, m)
		}
		if again := encode(t, back); !bytes.Equal(again, b) {
			t.Fatalf("encodes otherwise after a round trip")
		}
		if changes := Diff(m, back); len(changes) > 0 {
			t.Fatalf("differs after a round trip: %+v", changes)
		}
	})
}

// TestEveryPartIsEncoded walks deeper than the table: into the items of lists.
func TestEveryPartIsEncoded(t *testing.T) {
	original := encode(t, sample())
	parts := map[string]func(m *Manifest) reflect.Value{}
	for _, l := range manifestLeaves() {
		parts[l.name] = l.set
	}
	for i := range reflect.TypeFor[Probe]().NumField() {
		parts["probe "+reflect.TypeFor[Probe]().Field(i).Name] = func(m *Manifest) reflect.Value {
			return reflect.ValueOf(&m.Evidence.Probes[0]).Elem().Field(i)
		}
	}
	for i := range reflect.TypeFor[MeasuredRecall]().NumField() {
		parts["recall "+reflect.TypeFor[MeasuredRecall]().Field(i).Name] = func(m *Manifest) reflect.Value {
			return reflect.ValueOf(m.Evidence.Recall).Elem().Field(i)
		}
	}
	for i := range reflect.TypeFor[Adoption]().NumField() {
		parts["adoption "+reflect.TypeFor[Adoption]().Field(i).Name] = func(m *Manifest) reflect.Value {
			return reflect.ValueOf(m.Evidence.Adoption).Elem().Field(i)
		}
	}
	delete(parts, "schema") // no other schema is there to encode
	for name, at := range parts {
		m := sample()
		alter(t, at(&m))
		if bytes.Equal(encode(t, m), original) {
			t.Errorf("%s is not in the encoding", name)
		}
	}
}

func TestDifferingManifestsEncodeDifferently(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawManifest(t), drawManifest(t)
		// Two independent draws differ in everything; take most of b from a.
		for _, f := range manifestFields {
			if f.name != "schema" && rapid.IntRange(0, 9).Draw(t, "take "+f.name) > 0 {
				if err := f.decode(f.encode(nil, &a), &b); err != nil {
					t.Fatalf("%s: %v", f.name, err)
				}
			}
		}
		same := reflect.DeepEqual(plain(a), plain(b))
		if bytes.Equal(encode(t, a), encode(t, b)) != same {
			t.Fatalf("equal manifests: %v, but equal encodings: %v", same, !same)
		}
		if (len(Diff(a, b)) == 0) != same {
			t.Fatalf("equal manifests: %v, but Diff gives %+v", same, Diff(a, b))
		}
		if (a.Space == b.Space) != (a.Space.Fingerprint() == b.Space.Fingerprint()) {
			t.Fatalf("equal spaces: %v, fingerprints disagree", a.Space == b.Space)
		}
	})
}

// TestNoAmbiguity: text that moves between neighbouring fields is seen.
func TestNoAmbiguity(t *testing.T) {
	a, b := sample(), sample()
	a.Space.QueryPrompt, a.Space.DocumentPrompt = "ab", "c"
	b.Space.QueryPrompt, b.Space.DocumentPrompt = "a", "bc"
	if bytes.Equal(encode(t, a), encode(t, b)) || a.Space.Fingerprint() == b.Space.Fingerprint() {
		t.Error("prompts that join to the same text encode alike")
	}
}

func TestMarshalRefuses(t *testing.T) {
	for name, change := range map[string]func(m *Manifest){
		"schema 0":     func(m *Manifest) { m.Schema = 0 },
		"newer schema": func(m *Manifest) { m.Schema = SchemaVersion + 1 },
		"year 10000":   func(m *Manifest) { m.Provenance.CreatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		m := sample()
		change(&m)
		if _, err := m.MarshalBinary(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rawField is one field as the format draws it, made without the encoder.
func rawField(name string, k byte, value string) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)))
	b = append(append(b, name...), k)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	return string(append(b, value...))
}

func TestUnmarshalRefuses(t *testing.T) {
	good := string(encode(t, sample()))
	schema := rawField("schema", 'i', "\x01\x00\x00\x00\x00\x00\x00\x00")
	metric := rawField("metric", 't', "cosine")
	verified := rawField("provenance.verified", 'b', "\x01")
	replace := func(old, new string) string {
		if strings.Count(good, old) != 1 {
			t.Fatalf("%q stands %d times in the sample's encoding", old, strings.Count(good, old))
		}
		return strings.Replace(good, old, new, 1)
	}
	m := sample()
	adoption := string(appendSized(nil, func(b []byte) []byte { return appendRecord(b, adoptionFields, m.Evidence.Adoption) }))
	adopted := rawField("evidence.adoption", 'l', adoption)
	recall := string(appendSized(nil, func(b []byte) []byte { return appendRecord(b, recallFields, m.Evidence.Recall) }))
	for name, c := range map[string]struct {
		data string
		err  error
		says string
	}{
		"empty":             {"", ErrCorrupt, "does not begin"},
		"other magic":       {"x" + good, ErrCorrupt, "does not begin"},
		"cut":               {good[:len(good)-1], ErrCorrupt, ""},
		"magic alone":       {magic, ErrCorrupt, "schema is missing"},
		"trailing byte":     {good + "\x00", ErrCorrupt, "after the last field"},
		"trailing field":    {good + metric, ErrCorrupt, "metric is there twice"},
		"trailing unknown":  {good + rawField("mood", 't', "good"), ErrUnknownField, "mood"},
		"doubled":           {replace(metric, metric+metric), ErrCorrupt, "metric is there twice"},
		"missing":           {replace(metric, ""), ErrCorrupt, "metric is missing"},
		"unknown":           {replace(metric, rawField("mood", 't', "good")+metric), ErrUnknownField, "mood"},
		"out of order":      {replace(schema, metric+schema), ErrCorrupt, "schema is missing before metric"},
		"other kind":        {replace(metric, rawField("metric", 'd', "cosine")), ErrCorrupt, "kind"},
		"truth 2":           {replace(verified, rawField("provenance.verified", 'b', "\x02")), ErrCorrupt, "truth"},
		"short integer":     {replace(schema, rawField("schema", 'i', "\x01")), ErrCorrupt, "8"},
		"schema 0":          {replace(schema, rawField("schema", 'i', strings.Repeat("\x00", 8))), ErrCorrupt, "schema"},
		"newer":             {replace(schema, rawField("schema", 'i', "\x02\x00\x00\x00\x00\x00\x00\x00")), ErrSchema, "schema 2"},
		"newer and strange": {magic + rawField("schema", 'i', "\x09\x00\x00\x00\x00\x00\x00\x00") + "whatever comes then", ErrSchema, "newer vecino"},
		"two of an optional": {
			replace(rawField("evidence.recall", 'l', recall), rawField("evidence.recall", 'l', recall+recall)),
			ErrCorrupt, "more than once",
		},
		"an empty adoption":    {replace(adopted, rawField("evidence.adoption", 'l', "")), ErrCorrupt, "there and empty"},
		"adopted twice":        {replace(adopted, adopted+adopted), ErrCorrupt, "twice or out of order"},
		"adopted too early":    {replace(metric, adopted+metric), ErrCorrupt, "metric is missing before evidence.adoption"},
		"cut at the adoption":  {good[:strings.Index(good, adopted)], ErrCorrupt, "provenance.model is missing"},
		"unknown for adoption": {replace(adopted, rawField("mood", 't', "good")), ErrUnknownField, "mood"},
		"labels unsorted": {
			replace("\x05\x00\x00\x00stage\x04\x00\x00\x00test\x04\x00\x00\x00team\x06\x00\x00\x00search", "\x04\x00\x00\x00team\x06\x00\x00\x00search\x05\x00\x00\x00stage\x04\x00\x00\x00test"),
			ErrCorrupt, "ascending",
		},
	} {
		m := sample()
		err := m.UnmarshalBinary([]byte(c.data))
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v saying %q", name, err, c.err, c.says)
		}
		if !reflect.DeepEqual(m, sample()) {
			t.Errorf("%s: the manifest was changed", name)
		}
	}
}

// TestUnmarshalMutated turns bytes of true encodings, inserts and removes some.
func TestUnmarshalMutated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := encode(t, drawManifest(t))
		for range rapid.IntRange(1, 3).Draw(t, "mutations") {
			at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				b[at] = rapid.Byte().Draw(t, "byte")
			case 1:
				b = append(b[:at], append([]byte{rapid.Byte().Draw(t, "byte")}, b[at:]...)...)
			default:
				b = append(b[:at], b[at+1:]...)
			}
			if len(b) == 0 {
				return
			}
		}
		checkStrict(t, b)
	})
}

// checkStrict holds for any bytes: a typed refusal, or a manifest that encodes
// to the same bytes.
func checkStrict(t interface{ Fatalf(string, ...any) }, data []byte) {
	var m Manifest
	if err := m.UnmarshalBinary(data); err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrSchema) && !errors.Is(err, ErrUnknownField) {
			t.Fatalf("an error of no type: %v", err)
		}
		return
	}
	if again := encode(t, m); !bytes.Equal(again, data) {
		t.Fatalf("%x was read, and encodes to %x", data, again)
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	good, err := sample().MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(magic))
	empty, err := Manifest{Schema: SchemaVersion}.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(empty)
	f.Fuzz(func(t *testing.T, data []byte) {
		checkStrict(t, data)
		var m Manifest
		if m.UnmarshalBinary(data) == nil {
			_ = m.Validate()
			_ = NewMismatch("c", m, Manifest{}, Facts{Documents: 3}).Error()
		}
	})
}

// TestUnmarshalAllocation: lengths that lie cost nothing, and lists cost a
// small multiple of the bytes they are made of.
func TestUnmarshalAllocation(t *testing.T) {
	measure := func(data []byte) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var m Manifest
		_ = m.UnmarshalBinary(data)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	good := encode(t, sample())
	for at := range len(good) - 4 {
		liar := bytes.Clone(good)
		binary.LittleEndian.PutUint32(liar[at:], 0x7fffffff)
		if n := measure(liar); n > 64<<10 {
			t.Fatalf("a length of 2 GiB at byte %d makes it allocate %d bytes", at, n)
		}
	}
	m := sample()
	m.Evidence.Probes = make([]Probe, 100_000)
	m.Provenance.Labels = map[string]string{}
	for i := range 100_000 {
		m.Provenance.Labels[string(rune('a'+i%26))+string(rune(0x4e00+i/26))] = ""
	}
	many := encode(t, m)
	if n := measure(many); n > 20*uint64(len(many)) {
		t.Errorf("%d bytes make it allocate %d", len(many), n)
	}
}

// TestGolden pins the format: a change of either value means that every stored
// manifest becomes unreadable or every collection is of another space.
func TestGolden(t *testing.T) {
	m := sample()
	if got, want := m.Space.Fingerprint().String(), goldenFingerprint; got != want {
		t.Errorf("the fingerprint of the sample is %s, was %s", got, want)
	}
	if got, want := m.Space.StoredFingerprint().String(), goldenStoredFingerprint; got != want {
		t.Errorf("the stored fingerprint of the sample is %s, was %s", got, want)
	}
	m.Evidence.Adoption = nil
	golden, err := os.ReadFile("testdata/manifest-schema1.hex")
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(golden)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(t, m); !bytes.Equal(got, want) {
		t.Errorf("the sample encodes to\n%s", hex.Dump(got))
	}
	var read Manifest
	if err := read.UnmarshalBinary(want); err != nil || !reflect.DeepEqual(read, m) {
		t.Errorf("the golden reads as %+v, %v", read, err)
	}
	if bytes.Contains(want, []byte("adoption")) {
		t.Error("the golden is of a manifest without an adoption, as the first programs wrote it")
	}
	if !bytes.Contains(want, []byte("\x06\x00\x00\x00metrict\x06\x00\x00\x00cosine")) {
		t.Error("the metric is not written as the package's comment draws it")
	}
}

// TestJSONRoundTrip: the JSON form, which the API shows, loses nothing either.
func TestJSONRoundTrip(t *testing.T) {
	b, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	var back Manifest
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, sample()) {
		t.Errorf("read back %+v", back)
	}
}
