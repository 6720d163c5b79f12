package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/weights"
)

// colours are the files of a small static model.
func colours(t *testing.T) map[string][]byte {
	t.Helper()
	words := []string{"[PAD]", "[UNK]", "red", "blue", "green", "the"}
	rows := []float32{9, 9, 9, .1, .2, .3, 1, 0, 0, 0, 1, 0, 0, 0, 1, .3, .1, .2}
	var tensors bytes.Buffer
	if err := weights.Write(&tensors, []weights.Entry{weights.Float32Entry("embeddings", []int{len(words), 3}, rows)}, nil); err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for i, w := range words {
		ids[w] = i
	}
	tokenizer, err := json.Marshal(map[string]any{
		"normalizer": map[string]any{"type": "BertNormalizer"}, "pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"model": map[string]any{"type": "WordPiece", "vocab": ids, "unk_token": "[UNK]"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"model.safetensors": tensors.Bytes(), "tokenizer.json": tokenizer,
		"config.json":       []byte(`{"model_type":"model2vec","architectures":["StaticModel"],"normalize":true}`),
		"README.md":         []byte("---\nlicense: mit\n---\n# Colours\n\nKnows three colours.\n"),
		"pytorch_model.bin": []byte("a pickle"),
	}
}

// hubOf serves files as the one model org/colours.
func hubOf(t *testing.T, files map[string][]byte) {
	t.Helper()
	commit := strings.Repeat("c0", 20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/models/org/colours/revision/main":
			fmt.Fprintf(w, `{"sha":%q}`, commit)
		case r.URL.Path == "/api/models/org/colours/tree/"+commit:
			var list []map[string]any
			for name, content := range files {
				sum := sha256.Sum256(content)
				list = append(list, map[string]any{"type": "file", "path": name, "size": len(content), "lfs": map[string]any{"oid": hex.EncodeToString(sum[:]), "size": len(content)}})
			}
			json.NewEncoder(w).Encode(list)
		default:
			name, ok := strings.CutPrefix(r.URL.Path, "/org/colours/resolve/"+commit+"/")
			if content := files[name]; ok && content != nil {
				w.Write(content)
				return
			}
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_TOKEN", "")
}

// TestModelsPull pulls, lists, inspects, serves and damages a model.
func TestModelsPull(t *testing.T) {
	hubOf(t, colours(t))
	models := filepath.Join(t.TempDir(), "models")
	t.Setenv("VECINO_SHARED", t.TempDir())
	status, out, progress := vecino(t, "models", "pull", "org/colours", "--models", models)
	if status != exitOK || !strings.Contains(out, "local:colours") || !strings.Contains(out, "mit") || !strings.Contains(out, "Knows three colours.") || !strings.Contains(progress, "model.safetensors") {
		t.Fatalf("pull: %d %s%s", status, out, progress)
	}
	if _, err := os.Stat(filepath.Join(models, "colours", "pytorch_model.bin")); err == nil {
		t.Error("a pickle was pulled")
	}
	if status, out, _ = vecino(t, "models", "pull", "org/colours@main", "--models", models, "--json"); status != exitOK || !strings.Contains(out, `"already": true`) {
		t.Errorf("again: %d %s", status, out)
	}
	for _, args := range [][]string{{"org"}, {"org/colours", "--name", "../x"}, {}} {
		if status, _, errors := vecino(t, append([]string{"models", "pull", "--models", models}, args...)...); status != exitUsage {
			t.Errorf("pull %q: %d %s", args, status, errors)
		}
	}
	if status, _, errors := vecino(t, "models", "pull", "org/none", "--models", models); status != exitFailed || !strings.Contains(errors, "org/none") {
		t.Errorf("a model that isn't there: %d %s", status, errors)
	}
	if status, out, _ = vecino(t, "models", "list", "--models", models); status != exitOK || !strings.Contains(out, "local:colours") || !strings.Contains(out, "mit") || !strings.Contains(out, "3") {
		t.Errorf("list: %d %s", status, out)
	}

	texts := filepath.Join(t.TempDir(), "texts.txt")
	if err := os.WriteFile(texts, []byte("the red and the blue\n\ngreen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errors := vecino(t, "models", "inspect", "local:colours", "--models", models, "--texts", texts, "--json")
	var found inspection
	if err := json.Unmarshal([]byte(out), &found); status != exitOK || err != nil {
		t.Fatalf("inspect: %d %v %s", status, err, errors)
	}
	if found.Tokenizer != "WordPiece" || found.Vocabulary != 6 || found.Licence != "mit" || found.Pulled == nil || found.Texts == nil || *found.Texts != (textShares{Texts: 2, Tokens: 6, Unknown: 1}) || found.Summary != "Knows three colours." {
		t.Errorf("inspect: %+v %+v", found, found.Texts)
	}
	if status, out, _ = vecino(t, "models", "inspect", filepath.Join(models, "colours")); status != exitOK || !strings.Contains(out, "org/colours@c0c0") || !strings.Contains(out, found.Fingerprint) {
		t.Errorf("inspect a directory: %d %s", status, out)
	}

	path := filepath.Join(models, "colours", "config.json")
	if err := os.WriteFile(path, []byte(`{"model_type":"model2vec","normalize":false}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errors = vecino(t, "models", "inspect", "local:colours", "--models", models); status != exitFailed || !strings.Contains(errors, "config.json") || !strings.Contains(errors, "pull") {
		t.Errorf("a changed file: %d %s", status, errors)
	}
	if status, out, errors = vecino(t, "models", "pull", "org/colours", "--models", models, "--update"); status != exitOK {
		t.Errorf("update: %d %s %s", status, out, errors)
	}
	if status, _, errors = vecino(t, "models", "inspect", "local:colours", "--models", models); status != exitOK {
		t.Errorf("after the update: %d %s", status, errors)
	}
}

// TestReferenceVectors: a model that is known by name must give what is known.
func TestReferenceVectors(t *testing.T) {
	dir := t.TempDir()
	models := filepath.Join(dir, "models")
	for name, content := range colours(t) {
		path := filepath.Join(models, "colours", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for values, want := range map[string]int{"[0, 1]": exitOK, "[0.7, 0.7]": exitFailed} {
		if err := os.WriteFile(filepath.Join(dir, referenceFile), []byte(`{"text":"blue","vectors":{"org/colours":`+values+`,"org/other":[1]}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		status, out, errors := vecino(t, "models", "inspect", "local:colours", "--models", models, "--reference", dir)
		if status != want || !strings.Contains(out, "org/colours") {
			t.Errorf("%s: %d %s%s", values, status, out, errors)
		}
	}
}

func TestModelsCompare(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"sts.tsv":      "a red bicycle\ta red bicycle\t5\na red bicycle\tthe bicycle is blue\t3\na red bicycle\tyeast makes bread rise\t0\n",
		"corpus.jsonl": `{"_id":"1","text":"rye bread keeps"}` + "\n" + `{"_id":"2","text":"the ferry leaves"}` + "\n", "queries.jsonl": `{"_id":"q","text":"ferry"}` + "\n", "qrels.tsv": "q\t2\t1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, errors := vecino(t, "models", "compare", "builtin:hash", "builtin:hash?dimensions=1024", "--sts", filepath.Join(dir, "sts.tsv"), "--corpus", dir, "--json")
	var got comparison
	if err := json.Unmarshal([]byte(out), &got); status != exitOK || err != nil {
		t.Fatalf("%d %v %s", status, err, errors)
	}
	if got.A.Dimension != 512 || got.B.Dimension != 1024 || got.Cosines != nil || got.A.Similarity.Spearman != 1 || got.B.Retrieval.NDCG10 != 1 || got.A.PerSecond <= 0 || got.A.QueryMillis <= 0 {
		t.Errorf("%s", out)
	}
	status, out, errors = vecino(t, "models", "compare", "builtin:hash", "builtin:hash")
	if status != exitOK || !strings.Contains(out, "mean 1.00000") || !strings.Contains(out, "tokens a second") {
		t.Errorf("%d %s %s", status, out, errors)
	}
	for _, ref := range []string{"builtin:hash?x=1", "builtin:hash?dimensions=no", "builtin:hash?precision=f64", "local:../x", "builtin:hash?normalize=perhaps"} {
		if status, _, errors := vecino(t, "models", "compare", "builtin:hash", ref); status != exitUsage {
			t.Errorf("%s: %d %s", ref, status, errors)
		}
	}
}

// TestRemotesFlag reads the list from YAML and from JSON; keys come from the
// environment, and what is wrong is a usage error.
func TestRemotesFlag(t *testing.T) {
	dir := t.TempDir()
	config := func(text string) string {
		path := filepath.Join(dir, "vecino.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("A_KEY", "sk-canary")
	for name, c := range map[string]struct {
		text string
		want string // in the error; "": it would serve
	}{
		"a model that needs no network": {"serve:\n  listen: 127.0.0.1:0\n  remotes:\n    - name: small\n      kind: openai\n      url: https://api.example/v1\n      model: text-small\n      api_key_env: A_KEY\n      dimensions: 8\n      matryoshka: [4]\n      query_prompt: 'query: '\n      licence: their terms\n      description: d\n      source: s\n", ""},
		"an unknown member":             {"serve:\n  remotes:\n    - {name: a, api_key: sk-canary}\n", "api_key"},
		"no list":                       {"serve:\n  remotes: {name: a}\n", "list"},
		"an unknown kind":               {"serve:\n  remotes:\n    - {name: a, kind: x, url: 'https://h', model: m}\n", "unknown"},
		"a key that is not set":         {"serve:\n  remotes:\n    - {name: a, kind: openai, url: 'https://h', model: m, api_key_env: NO_SUCH_KEY}\n", "NO_SUCH_KEY"},
		"one name twice":                {"serve:\n  remotes:\n    - {name: a, kind: openai, url: 'https://h', model: m}\n    - {name: a, kind: openai, url: 'https://h', model: m}\n", "twice"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var stdout, stderr bytes.Buffer
		status := run(ctx, []string{"--config", config(c.text), "serve", "--data", filepath.Join(t.TempDir(), "data")}, strings.NewReader(""), &stdout, &stderr)
		said := stderr.String()
		if strings.Contains(said, "sk-canary") {
			t.Errorf("%s: the key is shown: %s", name, said)
		}
		if c.want == "" && status == exitUsage || c.want != "" && (status == exitOK || !strings.Contains(said, c.want)) {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	var list remoteList
	if got, err := list.models(); err != nil || got != nil {
		t.Errorf("none: %v %v", got, err)
	}
	list = remoteList{{Name: "a", Kind: "tei", URL: "http://127.0.0.1:1", Model: "m", AllowLoopback: true, TimeoutSeconds: 1.5, Licence: "mit", Description: "d", Source: "s"}}
	if got, err := list.models(); err != nil || len(got) != 1 || got[0].Licence+got[0].Description+got[0].Source != "mitds" || got[0].Timeout.Milliseconds() != 1500 || !got[0].AllowLoopback {
		t.Errorf("%+v %v", got, err)
	}
}

func TestServeFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--max-connections", "0"}, {"--threads", "-1"}, {"--workers", "-1"}, {"--cache-size", "5"}, {"--max-body", "0"}, {"--probe-every", "0s"}, {"--batch-time", "0s"}, {"--query-delay", "0s"}, {"--queue-tokens", "-1"}, {"--remotes", "x"},
	} {
		if status, _, errors := vecino(t, append([]string{"serve", "--data", filepath.Join(t.TempDir(), "d")}, args...)...); status != exitUsage || errors == "" {
			t.Errorf("%q: %d %s", args, status, errors)
		}
	}
}
