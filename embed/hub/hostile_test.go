package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vecino-db/vecino/embed/remote/egress"
	"github.com/vecino-db/vecino/embed/remote/retry"
)

// TestRedirect follows large files to where a hub keeps them.
func TestRedirect(t *testing.T) {
	h := newHub(t)
	var leaked, served atomic.Int64
	cdn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || strings.Contains(fmt.Sprint(r.Header), canary) {
			leaked.Add(1)
		}
		served.Add(1)
		h.file(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	})
	secure := httptest.NewTLSServer(cdn)
	defer secure.Close()
	plain := httptest.NewServer(cdn)
	defer plain.Close()
	trust := x509.NewCertPool()
	trust.AddCert(secure.Certificate())
	transport := egress.Policy{Loopback: true}.Transport()
	transport.TLSClientConfig = &tls.Config{RootCAs: trust}

	// To https at another host, without the token, ranges included.
	h.cdn, h.cut = secure.URL, 100_000
	o := h.options()
	o.Transport = transport
	root := models(t)
	if _, err := pullInto(client(t, o), root, repo); err != nil {
		t.Fatal(err)
	}
	h.check(root, "tiny-model", pulled)
	if served.Load() < 3 || leaked.Load() != 0 {
		t.Errorf("%d requests at the other host, %d with the token", served.Load(), leaked.Load())
	}

	// To the same host. The token may come along, and the fake wants it.
	h.set(func() { h.cdn = "/" + repo + "/resolve/" + newer })
	h.before = func(w http.ResponseWriter, r *http.Request) bool {
		if name, ok := strings.CutPrefix(r.URL.Path, "/"+repo+"/resolve/"+newer+"/"); ok {
			h.file(w, r, name)
			return true
		}
		return false
	}
	root = models(t)
	if _, err := pullInto(client(t, h.options()), root, repo); err != nil {
		t.Fatal(err)
	}
	h.check(root, "tiny-model", pulled)
	h.before = nil

	// Elsewhere: never reached.
	before := served.Load()
	for name, to := range map[string]string{
		"http at another host":                plain.URL,
		"another scheme":                      "ftp://127.0.0.1",
		"a file":                              "file:///etc",
		"with a user":                         "https://user:pa55w@127.0.0.1",
		"https at an address inside":          secure.URL,
		"https at a name that leads inside":   strings.Replace(secure.URL, "127.0.0.1", "localhost", 1),
		"round and round on the same host":    "/" + repo + "/resolve/" + commit,
		"the metadata service of a cloud":     "https://169.254.169.254/latest",
		"the metadata service without a mask": "http://169.254.169.254/latest",
	} {
		h.set(func() { h.cdn = to })
		root := models(t)
		_, err := pullInto(client(t, h.options()), root, repo)
		wants(t, name, err, ErrRedirect)
		if err != nil && strings.Contains(err.Error(), "pa55w") {
			t.Errorf("%s: %v", name, err)
		}
		notInstalled(t, name, root)
	}
	if served.Load() != before {
		t.Errorf("%d requests went elsewhere", served.Load()-before)
	}
}

// TestTokenComesBack: once away, the token is not sent again, not even if the
// other host leads back.
func TestTokenComesBack(t *testing.T) {
	c := client(t, Options{Endpoint: "https://hub.example.com", Token: canary, Transport: roundTrip(func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		switch {
		case r.URL.Host == "hub.example.com" && r.URL.Path == "/start":
			if r.Header.Get("Authorization") != "Bearer "+canary {
				t.Error("the endpoint got no token")
			}
			http.Redirect(w, r, "https://cdn.example.com/x", http.StatusFound)
		case r.URL.Host == "cdn.example.com":
			if r.Header.Get("Authorization") != "" {
				t.Error("the token went to another host")
			}
			http.Redirect(w, r, "https://hub.example.com/echo", http.StatusFound)
		default:
			if r.Header.Get("Authorization") != "" {
				t.Error("the token was sent at another host's wish")
			}
		}
		return w.Result()
	})})
	response, err := c.fetch(context.Background(), c.at("start"), http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for _, to := range []string{"http://hub.example.com/x", "http://cdn.example.com"} {
		if _, err := c.redirect(c.at("x"), to); err == nil {
			t.Errorf("https gave way to %s", to)
		}
	}
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// TestNames: nothing that a hub lists is written but by the names that the
// package knows, and names that mean harm end the pull.
func TestNames(t *testing.T) {
	for name, want := range map[string]error{
		"../evil.json": ErrUnsafeName, "/etc/passwd": ErrUnsafeName, "a/../../config.json": ErrUnsafeName, "..": ErrUnsafeName, `..\evil`: ErrUnsafeName,
		`C:\evil`: ErrUnsafeName, `\\host\share`: ErrUnsafeName, "config.json\x00.safetensors": ErrUnsafeName, "": ErrUnsafeName, "a//b": ErrUnsafeName, "./config.json": ErrUnsafeName,
		"license": ErrUnsafeName, "License.txt": nil, "config.json": ErrUnsafeName, "CONFIG.JSON": nil, strings.Repeat("a/", 600): ErrUnsafeName,
		"1_Pooling/../config.json": ErrUnsafeName, "1_pooling/config.json": ErrUnsafeName, "3_Evil/config.json/x": nil, "3_Evil/model.py": nil, ".vecino-pull.lock": nil, LockName: nil,
		"weird\nname.json": nil, "CON": nil, "config.json.part": nil, "tokenizer.json\u202e": nil, "3_Evil/pytorch_model.bin": ErrNoWeights,
	} {
		h := newHub(t)
		root := models(t)
		h.entries = func(entries []map[string]any) []map[string]any {
			return append(entries, map[string]any{"type": "file", "size": 3, "path": name})
		}
		if _, ok := h.files[name]; !ok {
			h.before = func(w http.ResponseWriter, r *http.Request) bool {
				ok := strings.Contains(r.URL.Path, "/resolve/"+commit+"/") && strings.HasSuffix(r.URL.Path, "/"+name)
				if ok {
					w.Write([]byte("bad"))
				}
				return ok
			}
		}
		_, err := pullInto(client(t, h.options()), root, repo)
		if want != nil {
			wants(t, fmt.Sprintf("%q", name), err, want)
			notInstalled(t, name, root)
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		list := pulled
		if name == "License.txt" {
			h.files[name] = []byte("bad")
			list = slices.Sorted(slices.Values(append(slices.Clone(pulled), name)))
		}
		h.check(root, "tiny-model", list)
	}
}

// TestStagingLinks: links that lie in the staging directory lead nowhere
// outside of the models.
func TestStagingLinks(t *testing.T) {
	h := newHub(t)
	root := models(t)
	outside := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(outside, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	staging := filepath.Join(root.Name(), stagingPrefix+"tiny-model@"+commit)
	if err := os.MkdirAll(staging, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json.part", "tokenizer.json", "model.safetensors.etag"} {
		if err := os.Symlink(outside, filepath.Join(staging, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(staging, "1_Pooling")); err != nil {
		t.Fatal(err)
	}
	if _, err := pullInto(client(t, h.options()), root, repo); err == nil {
		t.Error("a pull through links that lead outside")
	}
	if text, _ := os.ReadFile(outside); string(text) != "precious" {
		t.Errorf("the file outside is now %q", text)
	}
	if entries, _ := os.ReadDir(filepath.Dir(outside)); len(entries) != 1 {
		t.Errorf("outside lies %v", entries)
	}
	notInstalled(t, "links", root)
}

// TestSizes: sizes of the listing are bounds, not orders.
func TestSizes(t *testing.T) {
	for _, x := range []struct {
		path string
		size any
		want error
	}{
		{weightsFile, int64(1) << 62, ErrTooLarge},
		{"config.json", maxFileBytes + 1, ErrTooLarge},
		{"README.md", maxTextBytes + 1, ErrTooLarge},
		{"config.json", -1, ErrAnswer},
		{"config.json", 1e30, ErrAnswer},
		{"config.json", 1.5, ErrAnswer},
		{"config.json", "12", ErrAnswer},
		{"tokenizer.json", 1, ErrHash}, // the file is longer
	} {
		h := newHub(t)
		root := models(t)
		h.entries = func(entries []map[string]any) []map[string]any {
			for _, e := range entries {
				if e["path"] == x.path {
					e["size"] = x.size
					if e["lfs"] != nil {
						e["lfs"] = map[string]any{"oid": strings.Repeat("0", 64), "size": x.size}
					}
				}
			}
			return entries
		}
		_, err := pullInto(client(t, h.options()), root, repo)
		wants(t, fmt.Sprintf("%s of %v", x.path, x.size), err, x.want)
		notInstalled(t, x.path, root)
	}
	h := newHub(t)
	o := h.options()
	o.MaxBytes = 100_000
	_, err := pullInto(client(t, o), models(t), repo)
	wants(t, "beyond MaxBytes", err, ErrTooLarge, "raise the limit")
}

// TestListings: answers of the hub's API that make no sense.
func TestListings(t *testing.T) {
	long := `"` + strings.Repeat("x", maxInfoBytes) + `"`
	for name, x := range map[string]struct {
		info, tree, link string
		want             error
	}{
		"no JSON":        {"<html>", "", "", ErrAnswer},
		"no commit":      {`{"id":"x"}`, "", "", ErrAnswer},
		"bad commit":     {`{"sha":"../../x"}`, "", "", ErrAnswer},
		"endless":        {long + long, "", "", ErrAnswer},
		"tree no JSON":   {"", "<html>", "", ErrAnswer},
		"tree object":    {"", `{"error":"x"}`, "", ErrAnswer},
		"tree null":      {"", `null`, "", ErrNoWeights},
		"bad hash":       {"", `[{"type":"file","path":"model.safetensors","size":1,"lfs":{"oid":"abc","size":1}}]`, "", ErrAnswer},
		"two sizes":      {"", `[{"type":"file","path":"model.safetensors","size":1,"lfs":{"oid":"` + strings.Repeat("a", 64) + `","size":2}}]`, "", ErrAnswer},
		"next elsewhere": {"", `[]`, `<https://elsewhere.invalid/x>; rel="next"`, ErrRedirect},
		"next forever":   {"", `[]`, `</api/models/` + repo + `/tree/` + commit + `>; rel="next"`, ErrTooLarge},
	} {
		h := newHub(t)
		h.before = func(w http.ResponseWriter, r *http.Request) bool {
			body := x.info
			if strings.Contains(r.URL.Path, "/tree/") {
				body = x.tree
			}
			if x.link != "" && strings.Contains(r.URL.Path, "/tree/") {
				w.Header().Set("Link", x.link)
			}
			w.Write([]byte(body))
			return body != ""
		}
		root := models(t)
		_, err := pullInto(client(t, h.options()), root, repo)
		wants(t, name, err, x.want)
		notInstalled(t, name, root)
	}
	h := newHub(t)
	h.revs[newer] = commit
	_, err := pullInto(client(t, h.options()), models(t), repo+"@"+newer)
	wants(t, "another commit than asked for", err, ErrAnswer, commit)
}

func TestStatuses(t *testing.T) {
	for _, x := range []struct {
		status   int
		code     string
		want     error
		attempts int
		says     string
	}{
		{404, "RepoNotFound", ErrNotFound, 1, "spelling"},
		{401, "RepoNotFound", ErrNotFound, 1, "HF_TOKEN"},
		{401, "GatedRepo", ErrGated, 1, "HF_TOKEN"},
		{403, "GatedRepo", ErrGated, 1, "accept"},
		{403, "", ErrGated, 1, "HF_TOKEN"},
		{404, "RevisionNotFound", ErrNotFound, 1, "revision"},
		{400, "", ErrAnswer, 1, "HF_ENDPOINT"},
		{429, "", ErrUnavailable, 5, "later"},
		{500, "", ErrUnavailable, 5, "later"},
		{503, "", ErrUnavailable, 5, "later"},
	} {
		h := newHub(t)
		h.before = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Error-Code", x.code)
			w.WriteHeader(x.status)
			fmt.Fprintf(w, "you sent %s \x1b[31m", r.Header.Get("Authorization"))
			return true
		}
		_, err := pullInto(client(t, h.options()), models(t), repo)
		wants(t, fmt.Sprint(x.status, x.code), err, x.want, fmt.Sprint(x.status), x.says)
		if n := len(h.log()); n != x.attempts {
			t.Errorf("%d %s: %d requests, want %d", x.status, x.code, n, x.attempts)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	h := newHub(t)
	var waits []time.Duration
	o := h.options()
	o.Clock.Wait = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	o.Clock.Jitter = func() float64 { return 0 }
	o.Retry = retry.Policy{MaxAfter: time.Hour}
	tries := 0
	h.before = func(w http.ResponseWriter, r *http.Request) bool {
		if tries++; tries > 2 {
			return false
		}
		w.Header().Set("Retry-After", "42")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	if _, err := pullInto(client(t, o), models(t), repo); err != nil || !slices.Equal(waits, []time.Duration{42 * time.Second, 42 * time.Second}) {
		t.Errorf("%v, waited %v", err, waits)
	}
}

func TestNoWeights(t *testing.T) {
	for name, x := range map[string]struct {
		files []string
		says  string
	}{
		"pickle": {[]string{"config.json", "pytorch_model.bin"}, "convert"},
		"onnx":   {[]string{"config.json", "onnx/model.onnx"}, "convert"},
		"none":   {[]string{"config.json"}, "choose a repository"},
		"module": {[]string{"config.json", "model.safetensors", "2_Dense/config.json", "2_Dense/pytorch_model.bin"}, "2_Dense"},
	} {
		h := newHub(t)
		h.files = map[string][]byte{}
		for _, f := range x.files {
			h.files[f] = []byte("x")
		}
		root := models(t)
		_, err := pullInto(client(t, h.options()), root, repo)
		wants(t, name, err, ErrNoWeights, x.says)
		notInstalled(t, name, root)
	}
}

func TestShards(t *testing.T) {
	h := newHub(t)
	delete(h.files, weightsFile)
	names := []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
	for i, n := range names {
		h.files[n] = []byte(strings.Repeat(fmt.Sprint(i), 1000))
	}
	h.files["other.safetensors"] = []byte("not named by the index")
	index := func(m map[string]string) []byte {
		text, err := json.Marshal(map[string]any{"metadata": map[string]int{"total_size": 1}, "weight_map": m})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	h.files[indexFile] = index(map[string]string{"a": names[0], "b": names[1], "c": names[0]})
	want := slices.Sorted(slices.Values(append(slices.DeleteFunc(slices.Clone(pulled), func(n string) bool { return n == weightsFile }), indexFile, names[0], names[1])))
	root := models(t)
	if _, err := pullInto(client(t, h.options()), root, repo); err != nil {
		t.Fatal(err)
	}
	h.check(root, "tiny-model", want)
	for name, x := range map[string]struct {
		content []byte
		want    error
	}{
		"no index":  {[]byte("{}"), ErrAnswer},
		"no JSON":   {[]byte("<"), ErrAnswer},
		"a path":    {index(map[string]string{"a": "../x.safetensors"}), ErrUnsafeName},
		"a module":  {index(map[string]string{"a": "2_Dense/model.safetensors"}), ErrUnsafeName},
		"a pickle":  {index(map[string]string{"a": "pytorch_model.bin"}), ErrUnsafeName},
		"the lock":  {index(map[string]string{"a": LockName}), ErrUnsafeName},
		"a missing": {index(map[string]string{"a": "model-3.safetensors"}), ErrNoWeights},
	} {
		h.files[indexFile] = x.content
		root := models(t)
		_, err := pullInto(client(t, h.options()), root, repo)
		wants(t, name, err, x.want)
		notInstalled(t, name, root)
	}
}

func TestParseReference(t *testing.T) {
	for text, want := range map[string]Reference{
		"org/name": {"org/name", "main"}, "org/name@v1.0": {"org/name", "v1.0"}, "O-r.g_1/n@refs/pr/3": {"O-r.g_1/n", "refs/pr/3"},
	} {
		got, err := ParseReference(text)
		if err != nil || got != want || got.String() != want.Repository+"@"+want.Revision {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "name", "/name", "org/", "a/b/c", "../x", "x/..", "a..b/c", "org/name@", "org/name@..", "org/name@a..b", "org/name@/a", "org/name@a//b", "org/na me", "org/n@a b", "-a/b", "org/name@-x", "http://h/x", "org/name\x00", "org/name?x", "org/%2e%2e", strings.Repeat("x", 200) + "/y"} {
		_, err := ParseReference(bad)
		wants(t, bad, err, ErrReference)
	}
}

func TestOptions(t *testing.T) {
	env := map[string]string{"HF_ENDPOINT": " https://hub.example.com/mirror/ ", "HF_TOKEN": canary + "\n"}
	o := FromEnvironment(func(k string) string { return env[k] })
	c := client(t, o)
	if c.endpoint.String() != "https://hub.example.com/mirror" || c.repository([]string{"api", "models"}, "o/n", "revision", "a/b").String() != "https://hub.example.com/mirror/api/models/o/n/revision/a%2Fb" {
		t.Errorf("endpoint %s", c.endpoint)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v %+v %#v", o, o, o.Token, c, c), canary) {
		t.Error("the token is shown")
	}
	if d, err := (Options{}).endpoint(); err != nil || d.String() != DefaultEndpoint {
		t.Errorf("default %v, %v", d, err)
	}
	for name, bad := range map[string]Options{
		"scheme": {Endpoint: "ftp://x"}, "user": {Endpoint: "https://u:" + canary + "@x"}, "bad": {Endpoint: "https://u:" + canary + "@x y"}, "query": {Endpoint: "https://x/?a=" + canary},
		"clear": {Endpoint: "http://hub.example.com", Token: canary}, "token": {Token: "a b"}, "size": {MaxBytes: -1}, "idle": {IdleTimeout: -1}, "retry": {Retry: retry.Policy{Attempts: -1}},
	} {
		_, err := New(bad)
		wants(t, name, err, err)
		if err == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

// TestVerify: every change of a file is noticed.
func TestVerify(t *testing.T) {
	h := newHub(t)
	root := models(t)
	if _, err := pullInto(client(t, h.options()), root, repo); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root.Name(), "tiny-model")
	undo := func() {
		for name, content := range h.files {
			if slices.Contains(pulled, name) {
				os.Remove(filepath.Join(dir, name))
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	lock, err := os.ReadFile(filepath.Join(dir, LockName))
	if err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(dir, weightsFile)
	if err := os.WriteFile(filepath.Join(dir, "copy"), h.files[weightsFile], 0o644); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"a bit": func() error {
			w := slices.Clone(h.files[weightsFile])
			w[299_999] ^= 128
			return os.WriteFile(weights, w, 0o644)
		},
		"cut":     func() error { return os.Truncate(weights, 299_999) },
		"longer":  func() error { return os.Truncate(weights, 300_001) },
		"missing": func() error { return os.Remove(filepath.Join(dir, "1_Pooling/config.json")) },
		"a link":  func() error { os.Remove(weights); return os.Symlink("copy", weights) },
		"added":   func() error { return os.WriteFile(filepath.Join(dir, "config_sentence_transformers.json"), nil, 0o644) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(context.Background(), dir)
		wants(t, name, err, ErrHash, "pull the model again")
		_, err = pullInto(client(t, h.options()), root, repo)
		wants(t, name+", pulled again", err, ErrHash)
		undo()
		os.Remove(filepath.Join(dir, "config_sentence_transformers.json"))
		if _, err := Verify(context.Background(), dir); err != nil {
			t.Fatalf("put right after %s: %v", name, err)
		}
	}
	for name, change := range map[string][2]string{
		"schema": {`"schema": 1`, `"schema": 2`}, "path": {`"LICENSE"`, `"../LICENSE"`}, "absolute": {`"LICENSE"`, `"/LICENSE"`}, "code": {`"LICENSE"`, `"x.py"`},
		"field": {`"schema": 1`, `"schema": 1, "extra": 2`}, "size": {`"size": 6`, `"size": -6`}, "twice": {`"vocab.txt"`, `"tokenizer.json"`}, "commit": {commit, "main"}, "hash": {sum([]byte("Apache")), "00"}, "cut": {"}\n", ""},
	} {
		changed := strings.Replace(string(lock), change[0], change[1], 1)
		if changed == string(lock) {
			t.Fatalf("%s changes nothing in %s", name, lock)
		}
		if err := os.WriteFile(filepath.Join(dir, LockName), []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(context.Background(), dir)
		wants(t, name, err, ErrNotInstalled)
	}
	_, err = Verify(context.Background(), filepath.Join(root.Name(), "nowhere"))
	wants(t, "nowhere", err, ErrNotInstalled)
	if err := os.WriteFile(filepath.Join(dir, LockName), lock, 0o644); err != nil {
		t.Fatal(err)
	}
	// With update a damaged model is replaced.
	os.Remove(weights)
	got, err := client(t, h.options()).Pull(context.Background(), repo, root, PullOptions{Update: true})
	if err != nil || got.Already {
		t.Errorf("%+v, %v", got, err)
	}
	h.check(root, "tiny-model", slices.Clone(pulled))
}
