package hub

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/embedtest"
)

func TestParseCard(t *testing.T) {
	for text, want := range map[string]Card{
		"": {}, "# Title\n\nProse here\nover lines.\n\nMore.": {"", "Prose here over lines."},
		"---\nlicense: mit\n---\nText": {"mit", "Text"}, "---\r\nlicense: \"cc-by-4.0\"  # why\r\n---\r\nText": {"cc-by-4.0", "Text"},
		"---\nlicense: 'a' \n---": {"a", ""}, "---\nlicense: [mit, apache-2.0]\n---": {"mit, apache-2.0", ""},
		"---\nlicense:\n- mit\n- bsd\ntags:\n- x\n---": {"mit, bsd", ""}, "---\nlicense:\n  - mit\nlicense_name: n\n---": {"mit: n", ""},
		"---\nlicense: other\nlicense_name: some-licence\nlicense_link: LICENSE\n---": {"other: some-licence", ""},
		"---\nlicense: null\n---\n": {}, "---\nlicense: ~\n---\n": {}, "---\nlicense: mit # comment\n---": {"mit", ""},
		"---\nother:\n  license: nested\n---": {}, "---\nlicense: mit\n": {}, "license: mit\n---\n": {"", "license: mit"},
		"\ufeff---\nlicense: mit\n---\n<img>\n[![badge](x)](y)\n| a | b |\n```\ncode\n```\n- item\n\nA [link](https://x) to `it`.\n": {"mit", "A link to it."},
		"---\nlicense: \x1b[31mred\u202e\n---\n\x1b]0;title\x07Text\x00":                                                             {"[31mred", "]0;titleText"},
		"---\nlicense: *anchor\n---\n": {"*anchor", ""},
	} {
		if got := ParseCard([]byte(text)); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	long := ParseCard([]byte("---\nlicense: " + strings.Repeat("x", 10000) + "\n---\n" + strings.Repeat("word ", 10000)))
	if len(long.Licence) > maxLicence+3 || len(long.Summary) > maxSummary+3 {
		t.Errorf("%d bytes of licence, %d of summary", len(long.Licence), len(long.Summary))
	}
}

// TestRealCard reads a card as a library writes them.
func TestRealCard(t *testing.T) {
	text, err := os.ReadFile(embedtest.Shared(t, "models", "model2vec-test-model-float32", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	card := ParseCard(text)
	if card.Licence != "mit" || !strings.HasPrefix(card.Summary, "This Model2Vec model is a distilled version of a Sentence Transformer.") {
		t.Errorf("%+v", card)
	}
}

func FuzzParseCard(f *testing.F) {
	f.Add([]byte("---\nlicense: [a, [b], 'c']\n- d\n---\n# x\n\n[a](b) **c**\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		card := ParseCard(text)
		if len(card.Licence) > maxLicence+3 || len(card.Summary) > maxSummary+3 || strings.ContainsAny(card.Licence+card.Summary, "\x00\x1b\n") {
			t.Fatalf("%+v", card)
		}
	})
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(`{"schema":1,"repository":"a/b","revision":"main","commit":"` + commit + `","files":[{"path":"config.json","size":1,"sha256":"` + strings.Repeat("a", 64) + `"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		lock, err := parseLock(text)
		if err != nil {
			return
		}
		for _, file := range lock.Files {
			if !filepath.IsLocal(file.Path) || file.Size < 0 {
				t.Fatalf("%+v", file)
			}
		}
	})
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(`[{"type":"file","path":"model.safetensors","size":1,"lfs":{"oid":"` + strings.Repeat("a", 64) + `","size":1}},{"type":"file","path":"1_P/config.json","size":2}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		page, err := parsePage(text)
		if err != nil {
			return
		}
		chosen, err := choose(page, DefaultMaxBytes)
		if err != nil {
			return
		}
		for _, file := range chosen {
			if !filepath.IsLocal(file.Path) || file.Size < 0 || strings.ContainsAny(file.Path, "\x00\\:") {
				t.Fatalf("%+v", file)
			}
		}
	})
}
