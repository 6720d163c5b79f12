package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalized runs a normalizer of a JSON definition, and checks that offsets
// don't change the outcome and lie in the text in ascending order.
func normalized(t *testing.T, definition, in string) string {
	t.Helper()
	n, err := buildNormalizer("normalizer", json.RawMessage(definition))
	if err != nil {
		t.Fatal(err)
	}
	var plain, tracked text
	plain.reset(in, 0, false)
	n.normalize(&plain)
	tracked.reset(in, 0, true)
	n.normalize(&tracked)
	if string(plain.b) != string(tracked.b) {
		t.Errorf("%s of %q: %q without offsets, %q with", definition, in, plain.b, tracked.b)
	}
	if len(tracked.src) != len(tracked.b) {
		t.Fatalf("%d offsets for %d bytes", len(tracked.src), len(tracked.b))
	}
	last := 0
	for i, s := range tracked.src {
		if s.from < last || s.to < s.from || s.to > len(in) {
			t.Errorf("%s of %q: byte %d comes from %v", definition, in, i, s)
		}
		last = s.from
	}
	return string(plain.b)
}

func TestNormalizers(t *testing.T) {
	const bert = `{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}`
	for _, c := range []struct{ definition, in, want string }{
		{bert, "Crème\tBRÛLÉE\x00\x7f\ufffd\u200d", "creme brulee"},
		{bert, "İΣΑΣ ıẞ", "iσασ ıß"},
		{bert, "北a京", " 北 a 京 "},
		{bert, "한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"}, // decomposed, as the reference does
		{bert, "a\u000bb\u0085c\u00a0d\u3000e", "abc d e"},
		{bert, "a\ue000\ue001\uf8ff\U0010fffd\u0378", "a\u0378"}, // private, but not unassigned
		{bert, "豈", " 豈 "},                                       // U+F900 decomposes to U+8C48
		{`{"type":"BertNormalizer","clean_text":false,"handle_chinese_chars":false,"strip_accents":false,"lowercase":true}`, "É\tİ北", "é\ti\u0307北"},
		{`{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":true,"lowercase":false}`, "ÉA", "EA"},
		{`{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":false}`, "ÉA", "ÉA"},
		{`{"type":"NFC"}`, "e\u0301a", "éa"},
		{`{"type":"NFD"}`, "xéa", "xe\u0301a"},
		{`{"type":"NFKC"}`, "ﬁ①Ａ", "fi1A"},
		{`{"type":"NFKD"}`, "ﬁé", "fie\u0301"},
		{`{"type":"Lowercase"}`, "ÀΣİ", "àσi\u0307"},
		{`{"type":"StripAccents"}`, "e\u0301\u0903é", "eé"},
		{`{"type":"Strip","strip_left":true,"strip_right":true}`, " \u3000a b\n", "a b"},
		{`{"type":"Strip","strip_left":true,"strip_right":false}`, " a ", "a "},
		{`{"type":"Strip","strip_left":false,"strip_right":true}`, " a ", " a"},
		{`{"type":"Strip","strip_left":true,"strip_right":true}`, "  ", ""},
		{`{"type":"Nmt"}`, "a\x01b\tc\u200bd\ufffde\u2581f", "ab c d e f"},
		{`{"type":"Prepend","prepend":"▁"}`, "a", "▁a"},
		{`{"type":"Prepend","prepend":"▁"}`, "", ""},
		{`{"type":"Replace","pattern":{"String":" "},"content":"▁"}`, " a  b", "▁a▁▁b"},
		{`{"type":"Replace","pattern":{"String":"aa"},"content":"b"}`, "aaa", "ba"},
		{`{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}`, "a   b c", "a b c"},
		{`{"type":"Replace","pattern":{"Regex":"\\s"},"content":""}`, "a\u3000\u0085b", "ab"},
		// Replacements of single characters run as one pass where they may.
		{`{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"String":"!"},"content":" ! "},{"type":"Replace","pattern":{"String":"."},"content":" . "},{"type":"Replace","pattern":{"Regex":"\\s+"},"content":" "}]}`, "a!. b", "a ! . b"},
		{`{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"String":"a"},"content":"b"},{"type":"Replace","pattern":{"String":"b"},"content":"c"}]}`, "ab", "cc"},
		{`{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"String":"a"},"content":"b"},{"type":"Replace","pattern":{"String":"a"},"content":"c"}]}`, "a", "b"},
		{`{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"String":"a"},"content":""},{"type":"Replace","pattern":{"String":"é"},"content":"a"}]}`, "aé", "a"},
		{`{"type":"ByteLevel"}`, "a é", "aĠÃ©"},
		{`{"type":"Sequence","normalizers":[{"type":"Lowercase"},{"type":"Prepend","prepend":"_"},{"type":"NFD"}]}`, "É", "_e\u0301"},
	} {
		if got := normalized(t, c.definition, c.in); got != c.want {
			t.Errorf("%s of %q = %q, want %q", c.definition, c.in, got, c.want)
		}
	}
}

func TestPreTokenizers(t *testing.T) {
	split := func(pattern, how string, invert bool) string {
		return fmt.Sprintf(`{"type":"Split","pattern":%s,"behavior":%q,"invert":%v}`, pattern, how, invert)
	}
	const llama3 = `{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}`
	for _, c := range []struct {
		definition, in string
		want           []string
	}{
		{`{"type":"BertPreTokenizer"}`, " Hey friend!  How?!", []string{"Hey", "friend", "!", "How", "?", "!"}},
		{`{"type":"BertPreTokenizer"}`, "a$b «c»\u3000d", []string{"a", "$", "b", "«", "c", "»", "d"}},
		{`{"type":"BertPreTokenizer"}`, " ", nil},
		{`{"type":"Whitespace"}`, "Hey man!! it_s 1é", []string{"Hey", "man", "!!", "it_s", "1é"}},
		{`{"type":"WhitespaceSplit"}`, "Hey, man!\u3000x ", []string{"Hey,", "man!", "x"}},
		{`{"type":"Punctuation"}`, "a!?b", []string{"a", "!", "?", "b"}},
		{`{"type":"Punctuation","behavior":"Contiguous"}`, "a!?b", []string{"a", "!?", "b"}},
		{`{"type":"Digits","individual_digits":true}`, "a12³", []string{"a", "1", "2", "³"}},
		{`{"type":"Digits","individual_digits":false}`, "a12b3", []string{"a", "12", "b", "3"}},
		{`{"type":"CharDelimiterSplit","delimiter":"-"}`, "a--b", []string{"a", "b"}},
		// The reference's own example of each behavior.
		{split(`{"String":"-"}`, "Removed", false), "the-final--countdown", []string{"the", "final", "countdown"}},
		{split(`{"String":"-"}`, "Isolated", false), "the-final--countdown", []string{"the", "-", "final", "-", "-", "countdown"}},
		{split(`{"String":"-"}`, "MergedWithPrevious", false), "the-final--countdown", []string{"the-", "final-", "-", "countdown"}},
		{split(`{"String":"-"}`, "MergedWithNext", false), "the-final--countdown", []string{"the", "-final", "-", "-countdown"}},
		{split(`{"String":"-"}`, "Contiguous", false), "the-final--countdown", []string{"the", "-", "final", "--", "countdown"}},
		{split(`{"Regex":"\\w+"}`, "Removed", true), "a-é b", []string{"a", "é", "b"}},
		{split(llama3, "Isolated", false), "It's  1234\n\n x ", []string{"It", "'s", " ", " ", "123", "4", "\n\n", " x", " "}},
		{split(llama3, "Isolated", false), "a   b\t\tc   ", []string{"a", "  ", " b", "\t", "\tc", "   "}},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}`, "Hey  you", []string{"▁Hey", "▁", "▁you"}},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":false}`, "Hey you", []string{"▁Hey▁you"}},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}`, "Hey you ", []string{"Hey", "▁you", "▁"}},
		{`{"type":"Metaspace","replacement":"▁","add_prefix_space":true}`, " Hey", []string{"▁Hey"}},
		{`{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","prepend_scheme":"first"}]}`, "a b", []string{"▁a", "b"}},
		{`{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","prepend_scheme":"first"}]}`, " a b", []string{"a", "b"}},
		{`{"type":"ByteLevel","add_prefix_space":false}`, "It's  a\n\tb", []string{"It", "'s", "Ġ", "Ġa", "Ċ", "ĉ", "b"}},
		{`{"type":"ByteLevel","add_prefix_space":true}`, "I'll pay €5", []string{"ĠI", "'ll", "Ġpay", "ĠâĤ¬", "5"}},
		{`{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}`, "a b", []string{"aĠb"}},
		{`{"type":"ByteLevel","add_prefix_space":false}`, "a  ", []string{"a", "ĠĠ"}},
	} {
		pre, err := buildPreTokenizer("pre_tokenizer", json.RawMessage(c.definition))
		if err != nil {
			t.Fatal(err)
		}
		for _, tracked := range []bool{false, true} {
			var p pieces
			p.reset(c.in, 0, tracked)
			p.whole(true)
			pre.preTokenize(&p)
			var got []string
			for _, each := range p.list {
				got = append(got, string(p.b[each.from:each.to]))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s of %q = %q, want %q", c.definition, c.in, got, c.want)
			}
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for _, pattern := range []string{
		`(?!a)b`, `(?=a)b`, `(?<=a)b`, `(?<!a)b`, `\s+(?!\S)`, `a++`, `a?+`, `a*+`, `(a)\1`, `\bword`, `\h+`, `[a[bc]]`,
		`[a&&b]`, `(?>a)`, `a*`, ``, `[`, `(`, `\`, `\p`, `\p{Nonsense}`, `[^\S]`, `\R`, `(?#x)a`, strings.Repeat("a", 20_000),
		`a{1000}{1000}{1000}`,
	} {
		definition, err := json.Marshal(map[string]any{"type": "Split", "behavior": "Isolated", "pattern": map[string]string{"Regex": pattern}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = buildPreTokenizer("pre_tokenizer", definition)
		var format *FormatError
		if !errors.As(err, &format) || format.Component != "pre_tokenizer.pattern" {
			t.Errorf("the pattern %.40q: error %v", pattern, err)
		}
	}
}

// small is a tokenizer of every stage, for tests of what stages do together.
const small = `{"version":"1.0","truncation":{"direction":"Right","max_length":6,"strategy":"LongestFirst","stride":0},
"padding":{"strategy":"BatchLongest","direction":"Left","pad_id":1,"pad_type_id":0,"pad_token":"[PAD]"},
"added_tokens":[
 {"id":0,"content":"[CLS]","special":true,"normalized":false},
 {"id":2,"content":"[MASK]","special":true,"normalized":false,"lstrip":true},
 {"id":3,"content":"[R]","special":false,"normalized":false,"rstrip":true},
 {"id":4,"content":"WORD","special":false,"normalized":false,"single_word":true},
 {"id":77,"content":"Yesterday","special":false,"normalized":true},
 {"id":5,"content":"[SEP]","special":true,"normalized":false}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[],
 "special_tokens":{"[CLS]":{"id":"[CLS]","ids":[0],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[5],"tokens":["[SEP]"]}}},
"decoder":null,
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":10,
 "vocab":{"[CLS]":0,"[PAD]":1,"[MASK]":2,"[R]":3,"WORD":4,"[SEP]":5,"[UNK]":6,"a":7,"##b":8,"ab":9,"##bc":10,"cafe":11,"!":12,"##s":13,"word":14,"é":15,"\u65e5":16}}}`

func parse(t testing.TB, content string) *Tokenizer {
	t.Helper()
	tok, err := Parse([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestPipeline(t *testing.T) {
	tok := parse(t, small)
	for _, c := range []struct {
		text string
		want string // token@from-to of each
	}{
		{"", ""},
		{"ab", "ab@0-2"},
		{"aB abc", "ab@0-2 [UNK]@3-6"},
		{" Cafés!", "cafe@1-6 ##s@6-7 !@7-8"},
		{"cafe\u0301s", "cafe@0-4 ##s@6-7"},
		{"日ab", "日@0-3 ab@3-5"},
		{"a  [MASK] a", "a@0-1   [MASK]@1-9 a@10-11"},
		{"[R]  a", "[R]  @0-5 a@5-6"},
		{"WORD xWORD WORDx", "WORD@0-4 [UNK]@5-10 [UNK]@11-16"},
		{"a yesterDAYa", "a@0-1 yesterday@2-11 a@11-12"},
		{"[CLS][SEP]", "[CLS]@0-5 [SEP]@5-10"},
		{"abbbbbbbbbb a", "[UNK]@0-11 a@12-13"}, // eleven characters
		{"a\xff\xfeb", "ab@0-4"},                // U+FFFD is cleaned away
	} {
		e := tok.Encode(c.text, Options{NoSpecial: true, Detail: true})
		var got []string
		for i := range e.IDs {
			got = append(got, fmt.Sprintf("%s@%d-%d", e.Tokens[i], e.Offsets[i].From, e.Offsets[i].To))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q = %q, want %q", c.text, strings.Join(got, " "), c.want)
		}
	}
}

func TestTruncation(t *testing.T) {
	tok := parse(t, small)
	if tr := tok.Truncation(); tr == nil || tr.MaxTokens != 6 || tr.Left {
		t.Errorf("Truncation = %+v", tr)
	}
	if p := tok.Padding(); p == nil || p.ID != 1 || !p.Left {
		t.Errorf("Padding = %+v", p)
	}
	for _, c := range []struct {
		o    Options
		want []uint32
		cut  bool
	}{
		{Options{}, []uint32{0, 9, 7, 12, 7, 5}, false},
		{Options{MaxTokens: 6}, []uint32{0, 9, 7, 12, 7, 5}, false},
		{Options{MaxTokens: 5}, []uint32{0, 9, 7, 12, 5}, true},
		{Options{MaxTokens: 3, NoSpecial: true}, []uint32{9, 7, 12}, true},
		{Options{MaxTokens: 1}, []uint32{0, 5}, true}, // special tokens stay
	} {
		for _, detail := range []bool{false, true} {
			c.o.Detail = detail
			e := tok.Encode("ab a!a", c.o)
			if !slices.Equal(e.IDs, c.want) || e.Truncated != c.cut {
				t.Errorf("%+v: %v truncated %v, want %v %v", c.o, e.IDs, e.Truncated, c.want, c.cut)
			}
			if detail && (len(e.Tokens) != len(e.IDs) || len(e.Offsets) != len(e.IDs)) {
				t.Errorf("%+v: %d tokens and %d offsets for %d ids", c.o, len(e.Tokens), len(e.Offsets), len(e.IDs))
			}
		}
	}
	left := parse(t, strings.Replace(small, `"direction":"Right","max_length"`, `"direction":"Left","max_length"`, 1))
	if e := left.Encode("ab a!a", Options{MaxTokens: 4}); !slices.Equal(e.IDs, []uint32{0, 12, 7, 5}) {
		t.Errorf("truncated from the left: %v", e.IDs)
	}
}

func TestLookups(t *testing.T) {
	tok := parse(t, small)
	if id, ok := tok.ID("Yesterday"); !ok || id != 77 {
		t.Errorf("ID of an added token = %d, %v", id, ok)
	}
	if s, ok := tok.Token(77); !ok || s != "Yesterday" {
		t.Errorf("Token(77) = %q, %v", s, ok)
	}
	if _, ok := tok.Token(50); ok {
		t.Error("Token(50) exists")
	}
	if unk, ok := tok.Unknown(); !ok || unk != 6 || tok.Size() != 78 || tok.Special() != 2 || tok.Kind() != "WordPiece" {
		t.Errorf("Unknown %d %v, Size %d, Special %d, Kind %s", unk, ok, tok.Size(), tok.Special(), tok.Kind())
	}
}

func TestPostProcessors(t *testing.T) {
	for definition, want := range map[string]string{
		`null`: "[] []",
		`{"type":"BertProcessing","sep":["[SEP]",5],"cls":["[CLS]",0]}`:                                                                                                                         "[{0 [CLS]}] [{5 [SEP]}]",
		`{"type":"RobertaProcessing","sep":["</s>",2],"cls":["<s>",0],"trim_offsets":true,"add_prefix_space":false}`:                                                                            "[{0 <s>}] [{2 </s>}]",
		`{"type":"ByteLevel","trim_offsets":true,"add_prefix_space":false}`:                                                                                                                     "[] []",
		`{"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"BertProcessing","sep":["b",1],"cls":["a",0]}]}`:                                                                         "[{0 a}] [{1 b}]",
		`{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{}}`:                                                                                      "[] []",
		`{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"x":{"id":"x","ids":[3,4],"tokens":["p","q"]}}}`: "[{3 p} {4 q}] []",
	} {
		p, err := buildPost("post_processor", json.RawMessage(definition))
		if got := fmt.Sprint(p.before, p.after); err != nil || got != want {
			t.Errorf("%s = %s, %v; want %s", definition, got, err, want)
		}
	}
}

func TestVocabTxt(t *testing.T) {
	content := "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n##s\nHello\n"
	uncased, err := ParseVocab([]byte(content), VocabOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if e := uncased.Encode("HELLOS [SEP] x", Options{}); fmt.Sprint(e.IDs) != "[2 4 5 3 1 3]" {
		t.Errorf("uncased: %v", e.IDs)
	}
	cased, err := ParseVocab([]byte(content), VocabOptions{Cased: true})
	if err != nil {
		t.Fatal(err)
	}
	if e := cased.Encode("Hellos hello", Options{NoSpecial: true}); fmt.Sprint(e.IDs) != "[6 5 4]" {
		t.Errorf("cased: %v", e.IDs)
	}
	var format *FormatError
	if _, err := ParseVocab([]byte("a\nb\n"), VocabOptions{}); !errors.As(err, &format) {
		t.Errorf("a vocabulary without special tokens: %v", err)
	}
	if _, err := ParseVocab([]byte("\xff"), VocabOptions{}); !errors.As(err, &format) {
		t.Errorf("a vocabulary that is not UTF-8: %v", err)
	}
}

// TestBertFoldAgainstNFD compares the shortcuts of BERT's decomposition with
// package norm for every character.
func TestBertFoldAgainstNFD(t *testing.T) {
	n := bertNormalizer{strip: true, lower: true}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		var want []byte
		for _, d := range norm.NFD.String(string(r)) {
			if !isNonSpacing(d) {
				want = appendLower(want, d)
			}
		}
		if got := n.append(nil, r); string(got) != string(want) {
			t.Fatalf("%U = %q, want %q", r, got, want)
		}
	}
}
