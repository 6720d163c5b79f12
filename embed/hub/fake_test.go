package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/embed/remote/retry"
)

const (
	canary = "hf_canaryCANARYcanary"
	repo   = "org/tiny-model"
	commit = "0123456789abcdef0123456789abcdef01234567"
	newer  = "fedcba9876543210fedcba9876543210fedcba98"
)

// fakeHub serves one repository as a hub does.
type fakeHub struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	files    map[string][]byte
	revs     map[string]string // revision to commit
	requests []string          // method-less: path?query
	ranges   []string          // Range headers of downloads
	// What a test bends:
	before   func(w http.ResponseWriter, r *http.Request) bool
	entries  func([]map[string]any) []map[string]any
	cut      int  // bytes of a body after which the connection is cut; 0: never
	noRanges bool // ignore Range
	noETags  bool
	perPage  int    // entries of a page of the listing; 0: all
	cdn      string // where large files are redirected to; "": served here
}

func newHub(t *testing.T) *fakeHub {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	weights := make([]byte, 300_000)
	for i := range weights {
		weights[i] = byte(random.Uint32())
	}
	h := &fakeHub{t: t, revs: map[string]string{"main": commit, commit: commit, "refs/pr/1": newer, newer: newer}, files: map[string][]byte{
		"config.json":               []byte(`{"model_type":"bert"}`),
		"tokenizer.json":            []byte(`{"version":"1.0"}`),
		"vocab.txt":                 []byte("a\nb\n"),
		"modules.json":              []byte(`[]`),
		"1_Pooling/config.json":     []byte(`{"pooling_mode_mean_tokens":true}`),
		"2_Dense/config.json":       []byte(`{}`),
		"2_Dense/model.safetensors": bytes.Repeat([]byte("dense"), 1000),
		"model.safetensors":         weights,
		"README.md":                 []byte("---\nlicense: apache-2.0\ntags:\n- x\n---\n# Tiny\n\nA **tiny** model of [ours](https://x.y).\n\nMore.\n"),
		"LICENSE":                   []byte("Apache"),
		// What must not be pulled:
		"pytorch_model.bin":       []byte("pickle"),
		"modeling.py":             []byte("import os"),
		"onnx/model.onnx":         []byte("onnx"),
		".gitattributes":          []byte("*"),
		"empty/config.json":       {},
		"training_args.bin":       []byte("pickle"),
		"special_tokens_map.json": {},
	}}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	return h
}

// pulled are the names that a pull of newHub's repository installs.
var pulled = []string{
	"1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "LICENSE", "README.md", "config.json",
	"model.safetensors", "modules.json", "special_tokens_map.json", "tokenizer.json", "vocab.txt",
}

func large(name string) bool { return strings.HasSuffix(name, ".safetensors") }

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

func (h *fakeHub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *fakeHub) log() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r.URL.RequestURI())
	before := h.before
	h.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+canary {
		h.t.Errorf("%s came with the authorization %q", r.URL, got)
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/models/"+repo+"/revision/"); ok {
		h.mu.Lock()
		sha := h.revs[rest]
		h.mu.Unlock()
		if sha == "" {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			http.Error(w, "Invalid rev id", http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"id":%q,"sha":%q,"siblings":[]}`, repo, sha)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/models/"+repo+"/tree/"); ok && commitName.MatchString(rest) {
		h.tree(w, r)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/"+repo+"/resolve/"); ok {
		at, name, _ := strings.Cut(rest, "/")
		if !commitName.MatchString(at) {
			h.t.Errorf("a file was asked for at the revision %q", at)
		}
		if h.cdn != "" && large(name) {
			w.Header().Set("X-Linked-Etag", `"`+sum(h.files[name])+`"`)
			http.Redirect(w, r, h.cdn+"/"+name+"?signature=secret", http.StatusFound)
			return
		}
		h.file(w, r, name)
		return
	}
	http.NotFound(w, r)
}

func (h *fakeHub) tree(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entries := []map[string]any{{"type": "directory", "oid": "0", "size": 0, "path": "onnx"}}
	for _, name := range slices.Sorted(maps.Keys(h.files)) {
		entry := map[string]any{"type": "file", "oid": strings.Repeat("a", 40), "size": len(h.files[name]), "path": name}
		if large(name) {
			entry["lfs"] = map[string]any{"oid": sum(h.files[name]), "size": len(h.files[name]), "pointerSize": 134}
		}
		entries = append(entries, entry)
	}
	if h.entries != nil {
		entries = h.entries(entries)
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	if h.perPage > 0 {
		if to := from + h.perPage; to < len(entries) {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=%d>; rel="next"`, h.server.URL, r.URL.Path, to))
			entries = entries[:to]
		}
		entries = entries[from:]
	}
	json.NewEncoder(w).Encode(entries)
}

// file serves a file by our own hand, so that no library of the server decides
// what a Range means.
func (h *fakeHub) file(w http.ResponseWriter, r *http.Request, name string) {
	h.mu.Lock()
	content, ok := h.files[name]
	cut, noRanges, noETags := h.cut, h.noRanges, h.noETags
	h.ranges = append(h.ranges, name+" "+r.Header.Get("Range"))
	h.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	tag := `"` + sum(content)[:16] + `"`
	if !noETags {
		w.Header().Set("ETag", tag)
	}
	from := 0
	match := r.Header.Get("If-Range")
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !noRanges && (match == "" || match == tag) {
		from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
		if from >= len(content) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)-from))
	if w.Header().Get("Content-Range") != "" {
		w.WriteHeader(http.StatusPartialContent)
	}
	if rest := content[from:]; cut > 0 && len(rest) > cut {
		w.Write(rest[:cut])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(content[from:])
}

// clock does not wait.
func clock() retry.Clock {
	return retry.Clock{
		Now:  func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func (h *fakeHub) options() Options {
	return Options{Endpoint: h.server.URL, Token: canary, Clock: clock()}
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// models is an empty directory of models.
func models(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func pullInto(c *Client, root *os.Root, reference string) (Installed, error) {
	return c.Pull(context.Background(), reference, root, PullOptions{})
}

// check holds an installed model against what the hub has.
func (h *fakeHub) check(root *os.Root, name string, want []string) {
	h.t.Helper()
	dir := filepath.Join(root.Name(), name)
	lock, err := Verify(context.Background(), dir)
	if err != nil {
		h.t.Errorf("Verify: %v", err)
		return
	}
	var files []string
	err = fs.WalkDir(os.DirFS(dir), ".", func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && p != LockName {
			files = append(files, p)
		}
		return err
	})
	if err != nil || !slices.Equal(files, want) {
		h.t.Errorf("files %v (%v), want %v", files, err, want)
	}
	for _, f := range lock.Files {
		got, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil || !bytes.Equal(got, h.files[f.Path]) || f.Size != int64(len(got)) || f.SHA256 != sum(got) {
			h.t.Errorf("%s: %v, %d bytes, recorded %+v", f.Path, err, len(got), f)
		}
	}
	if len(lock.Files) != len(want) {
		h.t.Errorf("%d files recorded, want %d", len(lock.Files), len(want))
	}
	if names := visible(h.t, root); !slices.Equal(names, []string{name}) {
		h.t.Errorf("beside the model lies %v", names)
	}
}

// visible are the names in a directory of models but for the lock of pulls.
func visible(t *testing.T, root *os.Root) []string {
	t.Helper()
	entries, err := os.ReadDir(root.Name())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != pullLock {
			names = append(names, e.Name())
		}
	}
	return names
}

// notInstalled checks that a failed pull left nothing under a model's name.
func notInstalled(t *testing.T, what string, root *os.Root) {
	t.Helper()
	for _, name := range visible(t, root) {
		if !strings.HasPrefix(name, stagingPrefix) {
			t.Errorf("%s: %s is there", what, name)
		}
	}
}

// wants checks an error's sentinel and words, and that it keeps secrets.
func wants(t *testing.T, what string, err, sentinel error, words ...string) {
	t.Helper()
	if err == nil || !errors.Is(err, sentinel) {
		t.Errorf("%s: error %v, want %v", what, err, sentinel)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the error %q does not say %q", what, err, word)
		}
	}
	if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "signature=") {
		t.Errorf("%s: the error shows a secret: %v", what, err)
	}
}

var _ io.Writer = (*fullDisk)(nil)

// fullDisk takes so many bytes and no more.
type fullDisk struct {
	to   io.Writer
	left *int
	err  error
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), *d.left)
	*d.left -= n
	n, err := d.to.Write(p[:n])
	if err == nil && n < len(p) {
		err = d.err
	}
	return n, err
}
