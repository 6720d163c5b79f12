package token

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRefusesHostileFiles(t *testing.T) {
	model := func(m string) string { return `{"model":` + m + `}` }
	with := func(key, value string) string {
		return fmt.Sprintf(`{%q:%s,"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}}`, key, value)
	}
	nested := `{"type":"Lowercase"}`
	for range 20 {
		nested = `{"type":"Sequence","normalizers":[` + nested + `]}`
	}
	if _, err := Parse([]byte(with("x", "1"))); err != nil {
		t.Fatalf("the frame of the cases is wrong itself: %v", err)
	}
	for name, content := range map[string]string{
		"nothing":                  ``,
		"null":                     `null`,
		"array":                    `[]`,
		"not UTF-8":                "{\"a\":\"\xff\"}",
		"no model":                 `{}`,
		"model null":               model(`null`),
		"model of another type":    model(`{"type":"Magic","vocab":{}}`),
		"model type of a number":   model(`{"type":7}`),
		"trailing":                 with("x", "1") + "x",
		"version":                  with("version", `"2.0"`),
		"version of a number":      with("version", `2`),
		"no vocabulary":            model(`{"type":"WordPiece"}`),
		"vocabulary of an array":   model(`{"type":"WordPiece","vocab":[]}`),
		"id negative":              model(`{"type":"WordPiece","vocab":{"a":-1}}`),
		"id fractional":            model(`{"type":"WordPiece","vocab":{"a":1.5}}`),
		"id exponent":              model(`{"type":"WordPiece","vocab":{"a":1e3}}`),
		"id of 2^32":               model(`{"type":"WordPiece","vocab":{"a":4294967296}}`),
		"id of 40 digits":          model(`{"type":"WordPiece","vocab":{"a":1111111111111111111111111111111111111111}}`),
		"id far beyond":            model(`{"type":"WordPiece","vocab":{"a":4294967295}}`),
		"id of text":               model(`{"type":"WordPiece","vocab":{"a":"1"}}`),
		"id null":                  model(`{"type":"WordPiece","vocab":{"a":null}}`),
		"id twice":                 model(`{"type":"WordPiece","vocab":{"a":1,"b":1}}`),
		"token twice":              model(`{"type":"WordPiece","vocab":{"a":1,"a":2}}`),
		"token twice, escaped":     model(`{"type":"WordPiece","vocab":{"a":1,"\u0061":2}}`),
		"negative word length":     model(`{"type":"WordPiece","vocab":{"a":0},"max_input_chars_per_word":-1}`),
		"unigram without scores":   model(`{"type":"Unigram","vocab":[["a"]]}`),
		"unigram null score":       model(`{"type":"Unigram","vocab":[["a",null]]}`),
		"unigram score of text":    model(`{"type":"Unigram","vocab":[["a","b"]]}`),
		"unigram object":           model(`{"type":"Unigram","vocab":{"a":1}}`),
		"unk_id beyond":            model(`{"type":"Unigram","unk_id":1,"vocab":[["a",0]]}`),
		"unk_id negative":          model(`{"type":"Unigram","unk_id":-1,"vocab":[["a",0]]}`),
		"merge of absent left":     model(`{"type":"BPE","vocab":{"a":0,"ab":1},"merges":["b a"]}`),
		"merge of absent right":    model(`{"type":"BPE","vocab":{"a":0,"ab":1},"merges":["a b"]}`),
		"merge of absent result":   model(`{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}`),
		"merge of three":           model(`{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b c"]}`),
		"merge of one":             model(`{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a"]}`),
		"merge of a list of one":   model(`{"type":"BPE","vocab":{"a":0,"b":1},"merges":[["a"]]}`),
		"merge shorter than ##":    model(`{"type":"BPE","vocab":{"a":0,"b":1},"continuing_subword_prefix":"##","merges":["a b"]}`),
		"dropout":                  model(`{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}`),
		"unknown normalizer":       with("normalizer", `{"type":"Romanize"}`),
		"normalizer without type":  with("normalizer", `{}`),
		"normalizers too deep":     with("normalizer", nested),
		"normalizer of text":       with("normalizer", `"NFC"`),
		"null in a sequence":       with("normalizer", `{"type":"Sequence","normalizers":[null]}`),
		"unknown in a sequence":    with("normalizer", `{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"X"}]}`),
		"flag of text":             with("normalizer", `{"type":"BertNormalizer","lowercase":"yes"}`),
		"empty pattern":            with("normalizer", `{"type":"Replace","pattern":{"String":""},"content":"a"}`),
		"no pattern":               with("normalizer", `{"type":"Replace","content":"a"}`),
		"pattern of neither":       with("normalizer", `{"type":"Replace","pattern":{"Glob":"*"},"content":"a"}`),
		"charsmap not base64":      with("normalizer", `{"type":"Precompiled","precompiled_charsmap":"!"}`),
		"charsmap short":           with("normalizer", `{"type":"Precompiled","precompiled_charsmap":"AAAA"}`),
		"charsmap claims too much": with("normalizer", `{"type":"Precompiled","precompiled_charsmap":"/////wAAAAA="}`),
		"unknown pre-tokenizer":    with("pre_tokenizer", `{"type":"Mecab"}`),
		"unknown behavior":         with("pre_tokenizer", `{"type":"Split","pattern":{"String":"a"},"behavior":"Swallowed","invert":false}`),
		"metaspace of two":         with("pre_tokenizer", `{"type":"Metaspace","replacement":"ab"}`),
		"metaspace scheme":         with("pre_tokenizer", `{"type":"Metaspace","replacement":"_","prepend_scheme":"sometimes"}`),
		"metaspace contradiction":  with("pre_tokenizer", `{"type":"Metaspace","replacement":"_","prepend_scheme":"always","add_prefix_space":false}`),
		"unknown post-processor":   with("post_processor", `{"type":"Signature"}`),
		"template without text":    with("post_processor", `{"type":"TemplateProcessing","single":[],"special_tokens":{}}`),
		"template of two texts":    with("post_processor", `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{}}`),
		"template of absent token": with("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{}}`),
		"template id of no token":  with("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"x":{"id":"x","ids":[9],"tokens":["x"]}}}`),
		"sep without id":           with("post_processor", `{"type":"BertProcessing","sep":["a"],"cls":["a",0]}`),
		"added tokens of text":     with("added_tokens", `"x"`),
		"added token null":         with("added_tokens", `[null]`),
		"added token without id":   with("added_tokens", `[{"content":"x"}]`),
		"added token id negative":  with("added_tokens", `[{"id":-1,"content":"x"}]`),
		"added token id too large": with("added_tokens", `[{"id":4294967295,"content":"x"}]`),
		"deep JSON":                `{"normalizer":` + strings.Repeat("[", 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			tok, err := Parse([]byte(content))
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("Parse = %v, %v; want a *FormatError", tok, err)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestErrorsNameFileAndComponent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if err := os.WriteFile(path, []byte(`{"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Romanize"}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	for _, want := range []string{path, "normalizer.normalizers[1]", "Romanize"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v doesn't name %s", err, want)
		}
	}
	if _, err := OpenDir(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenDir of nothing: %v", err)
	}
}

// TestExpandingNormalizers: replacements that double each other, and one huge
// one, don't take all memory.
func TestExpandingNormalizers(t *testing.T) {
	var doubling []map[string]any
	for i := range 60 {
		from, to := string(rune('a'+i%2)), strings.Repeat(string(rune('a'+(i+1)%2)), 2)
		doubling = append(doubling, map[string]any{"type": "Replace", "pattern": map[string]string{"String": from}, "content": to})
	}
	huge := []map[string]any{{"type": "Replace", "pattern": map[string]string{"Regex": "."}, "content": strings.Repeat("x", 1<<20)}}
	for name, list := range map[string][]map[string]any{"doubling": doubling, "huge": huge} {
		tok := parse(t, string(marshal(t, map[string]any{
			"normalizer": map[string]any{"type": "Sequence", "normalizers": list},
			"model":      map[string]any{"type": "Unigram", "unk_id": 0, "vocab": [][]any{{"<unk>", 0}, {"a", -1}}},
		})))
		s := new(scratch)
		tok.encode(s, strings.Repeat("ab", 1000), Options{})
		if len(s.b) > 4<<20 {
			t.Errorf("%s: 2000 bytes became %d", name, len(s.b))
		}
	}
}

// shapes are texts of n bytes or so of every shape that has made a tokenizer
// slow.
func shapes() map[string]func(n int) string {
	repeat := func(s string) func(int) string {
		return func(n int) string { return strings.Repeat(s, n/len(s)+1) }
	}
	return map[string]func(n int) string{
		"letters":      repeat("a"),
		"words":        repeat("the quick brown fox "),
		"spaces":       repeat(" "),
		"newlines":     repeat("\n"),
		"points":       repeat("."),
		"digits":       repeat("1"),
		"quotes":       repeat("'"),
		"contractions": repeat("'s"),
		"marks":        repeat("e\u0301\u0323"),
		"only marks":   repeat("\u0301"),
		"ideographs":   repeat("漢字"),
		"hangul":       repeat("한국어"),
		"emoji":        repeat("👨‍👩‍👧"),
		"ligatures":    repeat("ﷺ"),
		"specials":     repeat("[CLS]"),
		"almost":       repeat("[CL"),
		"angles":       repeat("<s"),
		"unigram mark": repeat("▁"),
		"invalid":      repeat("\xff"),
		"NUL":          repeat("\x00"),
		"alternating":  repeat("a "),
		"mixed":        repeat("aé漢 1.\n\t'sX"),
	}
}

// TestTimeIsLinear wants eight times the text to take less than thirty times
// the processor time (a quadratic step takes 64), by the least of some tries:
// other work on the machine only adds.
func TestTimeIsLinear(t *testing.T) {
	toks := every(t)
	const n = 16 << 10
	for name, tok := range toks {
		for shape, make := range shapes() {
			short, long := make(n), make(8*n)
			quick, slow := duration(tok, short), duration(tok, long)
			ratio := func() float64 { return float64(slow) / float64(max(quick, 200*time.Microsecond)) }
			for try := 0; try < 12 && ratio() >= 30; try++ {
				quick, slow = min(quick, duration(tok, short)), min(slow, duration(tok, long))
			}
			if ratio() >= 30 {
				t.Errorf("%s, %s: 8 times the text takes %.0f times the time (%v, %v)", name, shape, ratio(), quick, slow)
			}
		}
	}
}

func duration(tok *Tokenizer, text string) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime()
	tok.Count(text, Options{})
	return threadTime() - start
}

// TestDetailChangesNothing: offsets and fast paths give the same ids, and
// offsets lie in the text, in order.
func TestDetailChangesNothing(t *testing.T) {
	toks := every(t)
	r := rand.New(rand.NewPCG(seed, 5))
	for name, tok := range toks {
		for range 300 {
			check(t, name, tok, randomText(r))
		}
	}
}

// randomText strings together fragments that meet in awkward ways.
func randomText(r *rand.Rand) string {
	fragments := []string{
		" ", "  ", "\n", "\t", "a", "the", "Running", "é", "e\u0301", "İ", "ß", "漢", "한", "\u0301", "👍🏽", "\u200d", "\ufdfa", "ﬁ",
		"'s", "'", ".", "...", "$", "12", "½", "[CLS]", "[MASK]", "[R]", "<s>", "</s>", "<unk>", "<|endoftext|>", "▁", "##a", "\x00", "\xff", "\xe6\xbc", "\u2028", "\u00a0", "Ġ", "\ue000", "WORD", "yesterday",
	}
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteString(fragments[r.IntN(len(fragments))])
	}
	return b.String()
}

func check(t testing.TB, name string, tok *Tokenizer, text string) {
	t.Helper()
	plain, detail := tok.Encode(text, Options{}), tok.Encode(text, Options{Detail: true})
	if !slices.Equal(plain.IDs, detail.IDs) {
		t.Fatalf("%s: %q is %v, and %v with offsets", name, text, plain.IDs, detail.IDs)
	}
	if len(detail.Tokens) != len(detail.IDs) || len(detail.Offsets) != len(detail.IDs) {
		t.Fatalf("%s: %q: %d ids, %d tokens, %d offsets", name, text, len(detail.IDs), len(detail.Tokens), len(detail.Offsets))
	}
	last := 0
	for i, o := range detail.Offsets {
		if o == (Offset{}) {
			continue // special
		}
		if o.From < last || o.To < o.From || o.To > len(text) {
			t.Fatalf("%s: %q: offsets %v of token %d", name, text, detail.Offsets, i)
		}
		last = o.From
	}
	if n := tok.Count(text, Options{}); n != len(plain.IDs) {
		t.Fatalf("%s: %q: Count is %d, Encode gives %d", name, text, n, len(plain.IDs))
	}
	for _, id := range plain.IDs {
		if _, ok := tok.Token(id); !ok {
			t.Fatalf("%s: %q: no token has the id %d", name, text, id)
		}
	}
	for most := 1; most < len(plain.IDs); most += 3 {
		e := tok.Encode(text, Options{MaxTokens: most, NoSpecial: true})
		whole := tok.Encode(text, Options{NoSpecial: true}).IDs
		want := whole[:min(most, len(whole))]
		if tok.truncation != nil && tok.truncation.Left {
			want = whole[len(whole)-len(want):]
		}
		if !slices.Equal(e.IDs, want) || e.Truncated != (len(whole) > most) {
			t.Fatalf("%s: %q to %d tokens: %v, want %v", name, text, most, e.IDs, want)
		}
	}
}

func TestBatch(t *testing.T) {
	tok := parse(t, small)
	r := rand.New(rand.NewPCG(seed, 6))
	texts := make([]string, 500)
	for i := range texts {
		texts[i] = randomText(r)
	}
	for i, e := range tok.EncodeBatch(texts, Options{MaxTokens: 5}) {
		if want := tok.Encode(texts[i], Options{MaxTokens: 5}); !slices.Equal(e.IDs, want.IDs) {
			t.Fatalf("seed %d: text %d: %v in a batch, %v alone", seed, i, e.IDs, want.IDs)
		}
	}
	if len(tok.EncodeBatch(nil, Options{})) != 0 {
		t.Error("an empty batch has results")
	}
}

func TestNoAllocationPerText(t *testing.T) {
	tok := parse(t, small)
	text := strings.Repeat("ab cafe! xyz é ", 100)
	s := new(scratch) // not from the pool, which forgets under the race detector
	run := func() { tok.encode(s, text, Options{}) }
	run()
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations for a text of %d tokens", n, s.count())
	}
}

// FuzzTokenizerJSON: no file makes the package panic, and a tokenizer that
// loads encodes anything.
func FuzzTokenizerJSON(f *testing.F) {
	f.Add([]byte(small), "Cafés [MASK] 日")
	for _, content := range kinds() {
		f.Add([]byte(content), "ab  ba 'll é\u0301 c 1234")
	}
	f.Fuzz(func(t *testing.T, content []byte, text string) {
		tok, err := Parse(content)
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		check(t, "fuzzed", tok, text)
	})
}
