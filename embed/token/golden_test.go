package token

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/embedtest"
)

// every is a tokenizer of every kind: small ones, and the shared ones where
// they are there.
func every(t testing.TB) map[string]*Tokenizer {
	t.Helper()
	toks := map[string]*Tokenizer{"small": parse(t, small)}
	for name, content := range kinds() {
		toks[name] = parse(t, content)
	}
	if dir, ok := embedtest.SharedDir(); ok {
		for _, name := range []string{"all-MiniLM-L6-v2", "gpt2", "t5-small", "wordllama-l2"} {
			toks[name] = load(t, filepath.Join(dir, "tokenizers", name, "tokenizer.json"))
		}
		toks["vocab-quantized"] = load(t, filepath.Join(dir, "models", "model2vec-test-model-vocab-quantized", "tokenizer.json"))
	}
	return toks
}

// kinds are small tokenizers of the kinds that the small one isn't.
func kinds() map[string]string {
	return map[string]string{
		"BPE of bytes and replaced spaces": `{"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
			"model":{"type":"BPE","unk_token":"a","fuse_unk":true,"byte_fallback":true,"vocab":{"a":0,"b":1,"ab":2,"▁":3,"aa":4,"▁a":5,"▁▁":6},"merges":["a b","a a","▁ ▁","▁ a"]}}`,
		"BPE at byte level": `{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":true},"post_processor":{"type":"ByteLevel","trim_offsets":true},
			"model":{"type":"BPE","vocab":{"Ġ":0,"a":1,"Ġa":2,"e":3,"1":4,".":5,"..":6},"merges":[["Ġ","a"],[".","."]]}}`,
		"Unigram": `{"normalizer":{"type":"Precompiled","precompiled_charsmap":"CAAAAAAAAAABAgMEYQBiAA=="},"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false},
			"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["▁a",-1.5],["b",-2],["a",-2],["▁",-3]]}}`,
		"patterns": `{"normalizer":{"type":"NFKC"},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"},"behavior":"MergedWithNext","invert":true},
			"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}}`,
	}
}

// golden is one file of expected values, made with the reference library.
type golden struct {
	Tokenizer string `json:"tokenizer"`
	Cases     []struct {
		Text   string   `json:"text"`
		IDs    []uint32 `json:"ids"`
		Tokens []string `json:"tokens"`
		Plain  []uint32 `json:"ids_no_special"`
	} `json:"cases"`
}

// tokenizerFile finds the file that a golden was made with.
func tokenizerFile(t testing.TB, name string) string {
	t.Helper()
	fixture := strings.Replace(strings.TrimPrefix(name, "model2vec-fixtures/"), "test-model", "model2vec-test-model", 1)
	for _, path := range []string{name, filepath.Join("models", name), filepath.Join("models", fixture)} {
		path = filepath.Join(embedtest.Shared(t), path)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatalf("the shared data lack %s", name)
	return ""
}

func load(t testing.TB, path string) *Tokenizer {
	t.Helper()
	if !strings.HasSuffix(path, ".gz") {
		tok, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readGolden(t testing.TB, path string) golden {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(content, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGoldens(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(embedtest.Shared(t, "golden", "tokenizers"), "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			g := readGolden(t, path)
			tok := load(t, tokenizerFile(t, g.Tokenizer))
			for _, c := range g.Cases {
				e := tok.Encode(c.Text, Options{Detail: true})
				if !slices.Equal(e.IDs, c.IDs) {
					t.Errorf("%.60q\n got %v\nwant %v", c.Text, e.IDs, c.IDs)
				} else if !slices.Equal(e.Tokens, c.Tokens) {
					t.Errorf("%.60q\n got %q\nwant %q", c.Text, e.Tokens, c.Tokens)
				}
				if e := tok.Encode(c.Text, Options{NoSpecial: true}); !slices.Equal(e.IDs, c.Plain) {
					t.Errorf("%.60q without special tokens\n got %v\nwant %v", c.Text, e.IDs, c.Plain)
				}
				if n := tok.Count(c.Text, Options{}); n != len(c.IDs) {
					t.Errorf("%.60q: Count = %d, want %d", c.Text, n, len(c.IDs))
				}
			}
		})
	}
}
