package train

import (
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/token"
)

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"CreateFileW, win32Api!":  "create file w win32 api",
		"HTMLParser's naïve Café": "htmlparser s naive cafe",
		"x86_64 — 3.14":           "x86 64 3 14",
		"Привет мир":              "",
		"":                        "",
	} {
		if got := strings.Join(Words(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestVocabularyAgrees wants the tokenizer to find the words that were counted:
// words of the vocabulary are one token each.
func TestVocabularyAgrees(t *testing.T) {
	texts := []string{
		"The quick brown fox jumps over the lazy dog", "GetFileAttributesEx returns naïve Unicode paths, e.g. C:\\Temp",
		"HTTPServer listens on port80; see RFC-2616", "the dog and the fox and the port",
	}
	c := NewCounter()
	for i, text := range texts {
		c.Add([]string{"a", "b"}[i%2], text)
	}
	vocabulary, err := c.BuildVocabulary(200, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(vocabulary) > 200 || vocabulary[0] != UnknownToken || vocabulary[73] != "the" {
		t.Fatalf("%d tokens that begin with %q, of which the heaviest is %q", len(vocabulary), vocabulary[0], vocabulary[73])
	}
	again, err := c.BuildVocabulary(200, 100)
	if err != nil || !slices.Equal(vocabulary, again) {
		t.Fatalf("another vocabulary the second time: %v", err)
	}
	file, err := TokenizerFile(vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	tokenizer, err := token.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		var got []string
		got = append(got, tokenizer.Encode(text, token.Options{Detail: true}).Tokens...)
		if want := Words(text); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q: tokens %q, words %q", text, got, want)
		}
	}
	// What is not in the vocabulary is made of pieces, and of letters at worst.
	if got := tokenizer.Encode("zyzzyva", token.Options{Detail: true}).Tokens; slices.Contains(got, UnknownToken) || strings.ReplaceAll(strings.Join(got, ""), "##", "") != "zyzzyva" {
		t.Errorf("pieces %q", got)
	}
	if got := tokenizer.Encode("Привет, world", token.Options{Detail: true}).Tokens; got[0] != UnknownToken {
		t.Errorf("another script: %q", got)
	}
}

func TestVocabularyRefused(t *testing.T) {
	if _, err := NewCounter().BuildVocabulary(50, 10); err == nil {
		t.Error("a vocabulary without room for letters is made")
	}
	for _, v := range [][]string{nil, {"a"}, {UnknownToken, "a", "a"}} {
		if _, err := TokenizerFile(v); err == nil {
			t.Errorf("%q makes a tokenizer", v)
		}
	}
}
