package token

import (
	"reflect"
	"testing"
)

// camelFile takes identifiers apart; the expected tokens and offsets are those
// that Hugging Face's tokenizers give for it.
const camelFile = `{"version":"1.0","added_tokens":[{"id":0,"content":"[UNK]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"Regex":"(?<=[a-z0-9])(?=[A-Z])"},"content":" "},{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}]},
"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Punctuation","behavior":"Removed"},{"type":"WhitespaceSplit"}]},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
"vocab":{"[UNK]":0,"create":1,"file":2,"w":3,"win32":4,"html":5,"parser":6,"##s":7,"api":8,"x":9}}}`

func TestCamelBoundary(t *testing.T) {
	tok, err := Parse([]byte(camelFile))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]struct {
		tokens  []string
		offsets []Offset
	}{
		"CreateFileW":              {[]string{"create", "file", "w"}, []Offset{{0, 6}, {6, 10}, {10, 11}}},
		"win32Api, HTMLParsers! x": {[]string{"win32", "api", "[UNK]", "x"}, []Offset{{0, 5}, {5, 8}, {10, 21}, {23, 24}}},
		"aB":                       {[]string{"[UNK]", "[UNK]"}, []Offset{{0, 1}, {1, 2}}},
		"AaBbC":                    {[]string{"[UNK]", "[UNK]", "[UNK]"}, []Offset{{0, 2}, {2, 4}, {4, 5}}},
		"":                         {[]string{}, []Offset{}},
	} {
		got := tok.Encode(text, Options{Detail: true})
		if !reflect.DeepEqual(got.Tokens, want.tokens) || !reflect.DeepEqual(got.Offsets, want.offsets) {
			t.Errorf("%q: %q %v, want %q %v", text, got.Tokens, got.Offsets, want.tokens, want.offsets)
		}
	}
}
