package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPull(t *testing.T) {
	h := newHub(t)
	h.perPage = 4
	root := models(t)
	o := h.options()
	var last Progress
	calls := 0
	o.Progress = func(p Progress) {
		if calls++; p.Done < last.Done || p.Done > p.Total || p.File < last.File {
			t.Errorf("progress went from %+v to %+v", last, p)
		}
		last = p
	}
	c := client(t, o)
	got, err := pullInto(c, root, repo)
	if err != nil {
		t.Fatal(err)
	}
	h.check(root, "tiny-model", pulled)
	lock := got.Lock
	if got.Name != "tiny-model" || got.Already || got.Downloaded != lock.Bytes() || lock.Repository != repo || lock.Revision != "main" ||
		lock.Commit != commit || lock.Licence != "apache-2.0" || lock.Summary != "A tiny model of ours." || lock.Hub != h.server.URL ||
		!lock.PulledAt.Equal(clock().Now()) {
		t.Errorf("installed %+v", got)
	}
	if last.Done != lock.Bytes() || last.Total != last.Done || last.File != len(pulled) || last.Files != len(pulled) {
		t.Errorf("progress ended at %+v of %d bytes", last, lock.Bytes())
	}
	if read, err := Read(filepath.Join(root.Name(), got.Name)); err != nil || fmt.Sprint(read) != fmt.Sprint(lock) {
		t.Errorf("Read: %+v, %v; want %+v", read, err, lock)
	}

	// A second pull, of the branch or of its commit, asks nobody.
	h.server.Close()
	for _, reference := range []string{repo, repo + "@main", repo + "@" + commit} {
		again, err := pullInto(c, root, reference)
		if err != nil || !again.Already || again.Downloaded != 0 || again.Lock.Commit != commit {
			t.Errorf("%s again: %+v, %v", reference, again, err)
		}
	}
	_, err = pullInto(c, root, repo+"@other")
	wants(t, "another revision without a network", err, ErrUnavailable)
	h.check(root, "tiny-model", pulled)
}

func TestPullNameAndRevision(t *testing.T) {
	h := newHub(t)
	root := models(t)
	got, err := client(t, h.options()).Pull(context.Background(), repo+"@refs/pr/1", root, PullOptions{Name: "mine"})
	if err != nil || got.Lock.Commit != newer || got.Lock.Revision != "refs/pr/1" {
		t.Fatalf("%+v, %v", got, err)
	}
	h.check(root, "mine", pulled)
	if !slices.Contains(h.log(), "/api/models/"+repo+"/revision/refs%2Fpr%2F1") {
		t.Errorf("asked %v", h.log())
	}
	for _, name := range []string{"..", "a/b", ".hidden", `a\b`, "a b", strings.Repeat("x", 200)} {
		_, err := client(t, h.options()).Pull(context.Background(), repo, root, PullOptions{Name: name})
		wants(t, name, err, ErrReference)
	}
}

// TestUpdate: a branch that moved is followed when that is asked for, and the
// older model stays until the newer one is whole.
func TestUpdate(t *testing.T) {
	h := newHub(t)
	root := models(t)
	c := client(t, h.options())
	if _, err := pullInto(c, root, repo); err != nil {
		t.Fatal(err)
	}
	update := func() (Installed, error) {
		return c.Pull(context.Background(), repo, root, PullOptions{Update: true})
	}
	if got, err := update(); err != nil || !got.Already {
		t.Errorf("nothing newer: %+v, %v", got, err)
	}
	old := h.files["model.safetensors"]
	h.set(func() {
		h.revs["main"] = newer
		h.files["model.safetensors"] = bytes.Repeat([]byte("newer weights"), 5000)
		delete(h.files, "vocab.txt")
	})
	if got, err := pullInto(c, root, repo); err != nil || !got.Already || got.Lock.Commit != commit {
		t.Errorf("without update: %+v, %v", got, err)
	}
	_, err := pullInto(c, root, repo+"@"+newer)
	wants(t, "another commit", err, ErrOccupied, "update", commit, newer)

	h.set(func() {
		h.before = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "tokenizer.json") {
				http.Error(w, "no", http.StatusTeapot)
				return true
			}
			return false
		}
	})
	_, err = update()
	wants(t, "a failing update", err, ErrAnswer)
	if on, _ := os.ReadFile(filepath.Join(root.Name(), "tiny-model", "model.safetensors")); !bytes.Equal(on, old) {
		t.Error("a failing update changed the installed model")
	}
	h.set(func() { h.before = nil })
	if got, err := update(); err != nil || got.Already || got.Lock.Commit != newer {
		t.Errorf("update: %+v, %v", got, err)
	}
	h.check(root, "tiny-model", slices.DeleteFunc(slices.Clone(pulled), func(n string) bool { return n == "vocab.txt" }))
}

// TestKilledUpdate: a pull that was killed between the two renames of an
// update is mended by the next.
func TestKilledUpdate(t *testing.T) {
	h := newHub(t)
	root := models(t)
	c := client(t, h.options())
	if _, err := pullInto(c, root, repo); err != nil {
		t.Fatal(err)
	}
	if err := root.Rename("tiny-model", replacedPrefix+"tiny-model"); err != nil {
		t.Fatal(err)
	}
	if got, err := pullInto(c, root, repo); err != nil || !got.Already {
		t.Errorf("%+v, %v", got, err)
	}
	if err := root.MkdirAll(replacedPrefix+"tiny-model/1_Pooling", 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := pullInto(c, root, repo); err != nil || !got.Already {
		t.Errorf("%+v, %v", got, err)
	}
	h.check(root, "tiny-model", pulled)
}

func TestOccupied(t *testing.T) {
	h := newHub(t)
	root := models(t)
	c := client(t, h.options())
	if err := root.MkdirAll("tiny-model", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := root.WriteFile("tiny-model/notes", []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, o := range []PullOptions{{}, {Update: true}} {
		_, err := c.Pull(context.Background(), repo, root, o)
		wants(t, "a directory of the user", err, ErrOccupied, "another name")
	}
	if text, _ := root.ReadFile("tiny-model/notes"); string(text) != "mine" {
		t.Error("the user's file is gone")
	}
	if err := root.WriteFile("file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := c.Pull(context.Background(), repo, root, PullOptions{Name: "file"})
	wants(t, "a file", err, ErrOccupied)
	if err := os.Symlink(t.TempDir(), filepath.Join(root.Name(), "link")); err != nil {
		t.Fatal(err)
	}
	_, err = c.Pull(context.Background(), repo, root, PullOptions{Name: "link"})
	wants(t, "a link out of the models", err, ErrOccupied)

	if _, err := c.Pull(context.Background(), repo, root, PullOptions{Name: "taken"}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Pull(context.Background(), "org/other", root, PullOptions{Name: "taken", Update: true})
	wants(t, "another model", err, ErrOccupied, repo)
	if n := len(h.log()); n != 2+len(pulled)-1 {
		t.Errorf("%d requests, want none but those of the one pull (an empty file takes none)", n)
	}
}

func TestBusy(t *testing.T) {
	h := newHub(t)
	root := models(t)
	c := client(t, h.options())
	inside, proceed := make(chan struct{}), make(chan struct{})
	first := true
	h.before = func(http.ResponseWriter, *http.Request) bool {
		if first {
			first = false
			close(inside)
			<-proceed
		}
		return false
	}
	done := make(chan error, 1)
	go func() {
		_, err := pullInto(c, root, repo)
		done <- err
	}()
	<-inside
	_, err := pullInto(c, root, repo)
	wants(t, "two pulls at once", err, ErrBusy)
	close(proceed)
	if err := <-done; err != nil {
		t.Errorf("the first: %v", err)
	}
	h.check(root, "tiny-model", pulled)
}

// TestCuts cuts every connection after N bytes. Small N take many connections,
// so the file is small there.
func TestCuts(t *testing.T) {
	for _, n := range []int{1, 7, 100, 1000, 65536, 299_999} {
		for _, noRanges := range []bool{false, true} {
			h := newHub(t)
			size := min(len(h.files["model.safetensors"]), 500*n)
			h.files["model.safetensors"] = h.files["model.safetensors"][:size]
			h.files["2_Dense/model.safetensors"] = h.files["2_Dense/model.safetensors"][:min(5000, 100*n)]
			for name, content := range h.files {
				if !large(name) {
					h.files[name] = content[:min(len(content), 80*n)]
				}
			}
			h.files["README.md"] = []byte("---\n")[:min(4, 80*n)]
			h.cut, h.noRanges = n, noRanges
			root := models(t)
			_, err := pullInto(client(t, h.options()), root, repo)
			if noRanges {
				// Every connection starts anew and never gets to the end.
				wants(t, fmt.Sprintf("cuts after %d bytes without ranges", n), err, ErrUnavailable, "broke off")
				notInstalled(t, "cuts", root)
				continue
			}
			if err != nil {
				t.Errorf("cuts after %d bytes: %v", n, err)
				continue
			}
			h.check(root, "tiny-model", pulled)
		}
	}
}

// TestResume: another process goes on where the last one broke off, and takes
// nothing over the network twice but what nothing proves.
func TestResume(t *testing.T) {
	for _, noETags := range []bool{false, true} {
		h := newHub(t)
		h.noETags = noETags
		root := models(t)
		o := h.options()
		o.Retry.Attempts = 1
		h.cut = 250_000
		h.set(func() {
			broken := false
			h.before = func(w http.ResponseWriter, r *http.Request) bool {
				if broken && strings.HasSuffix(r.URL.Path, "/"+weightsFile) && !strings.Contains(r.URL.Path, "Dense") {
					http.Error(w, "down", http.StatusBadGateway)
					return true
				}
				broken = broken || strings.HasSuffix(r.URL.Path, commit+"/"+weightsFile)
				return false
			}
		})
		_, err := pullInto(client(t, o), root, repo)
		wants(t, "the first", err, ErrUnavailable, "kept")
		notInstalled(t, "the first", root)
		h.set(func() { h.before, h.cut, h.ranges = nil, 0, nil })
		got, err := pullInto(client(t, h.options()), root, repo)
		if err != nil {
			t.Fatal(err)
		}
		h.check(root, "tiny-model", pulled)
		if !slices.Contains(h.ranges, "model.safetensors bytes=250000-") || slices.ContainsFunc(h.ranges, func(r string) bool { return strings.HasPrefix(r, "2_Dense/model") }) {
			t.Errorf("asked for %v", h.ranges)
		}
		if got.Downloaded >= 60_000 {
			t.Errorf("%d bytes came the second time", got.Downloaded)
		}
	}
}

// TestResumeDamaged: a part that was damaged on the disk is noticed by its
// hash and begun anew, and so is one that is too long.
func TestResumeDamaged(t *testing.T) {
	for name, part := range map[string][]byte{"other bytes": make([]byte, 1000), "too long": make([]byte, 400_000), "whole but wrong": make([]byte, 300_000)} {
		h := newHub(t)
		root := models(t)
		staging := stagingPrefix + "tiny-model@" + commit
		if err := root.MkdirAll(staging+"/old", 0o755); err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string][]byte{"model.safetensors.part": part, "config.json": []byte("stale"), "evil.py": nil, "old/config.json": nil, "vocab.txt.part": []byte("zz")} {
			if err := root.WriteFile(staging+"/"+file, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := root.MkdirAll(stagingPrefix+"tiny-model@"+newer, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := pullInto(client(t, h.options()), root, repo); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h.check(root, "tiny-model", pulled)
	}
}

// TestChangedETag: a file that changed between two connections is begun anew.
func TestChangedETag(t *testing.T) {
	h := newHub(t)
	root := models(t)
	h.cut = 10
	h.files["config.json"] = []byte(`{"model_type":"bert", "old": "aaaa"}`)
	h.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, commit+"/config.json") && r.Header.Get("Range") != "" {
			h.set(func() { h.files["config.json"] = []byte(`{"model_type":"bert", "new": "bbbb"}`); h.cut = 0 })
		}
		return false
	}
	delete(h.files, "README.md")
	if _, err := pullInto(client(t, h.options()), root, repo); err != nil {
		t.Fatal(err)
	}
	text, _ := root.ReadFile("tiny-model/config.json")
	if string(text) != `{"model_type":"bert", "new": "bbbb"}` {
		t.Errorf("config.json is %s", text)
	}
}

func TestWrongHash(t *testing.T) {
	h := newHub(t)
	root := models(t)
	right := h.files["model.safetensors"]
	h.entries = func(entries []map[string]any) []map[string]any {
		for _, e := range entries {
			if e["path"] == weightsFile {
				e["lfs"] = map[string]any{"oid": sum(right), "size": len(right)}
			}
		}
		return entries
	}
	wrong := bytes.Clone(right)
	wrong[123456] ^= 1
	h.files["model.safetensors"] = wrong
	_, err := pullInto(client(t, h.options()), root, repo)
	wants(t, "a wrong bit", err, ErrHash, weightsFile, "pull again")
	notInstalled(t, "a wrong bit", root)
	h.set(func() { h.files["model.safetensors"] = right[:len(right)-1] })
	_, err = pullInto(client(t, h.options()), root, repo)
	wants(t, "a file that is too short", err, ErrAnswer)
	h.set(func() { h.files["model.safetensors"] = right })
	if _, err = pullInto(client(t, h.options()), root, repo); err != nil {
		t.Error(err)
	}
	h.check(root, "tiny-model", pulled)
}

// TestLength: a body that has not the listed length is refused, with and
// without the server saying so.
func TestLength(t *testing.T) {
	for name, body := range map[string]string{"long": strings.Repeat("x", 500_000), "short": "x"} {
		for _, says := range []bool{true, false} {
			h := newHub(t)
			root := models(t)
			o := h.options()
			o.Retry.Attempts = 3
			h.before = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, commit+"/"+weightsFile) {
					return false
				}
				if says {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				} else {
					w.(http.Flusher).Flush()
				}
				w.Write([]byte(body))
				return true
			}
			_, err := pullInto(client(t, o), root, repo)
			want := ErrHash
			if name == "short" && !says {
				want = ErrUnavailable // it may have broken off
			}
			wants(t, fmt.Sprintf("%s (said: %v)", name, says), err, want)
			part, _ := os.Stat(filepath.Join(root.Name(), stagingPrefix+"tiny-model@"+commit, weightsFile+partSuffix))
			if part != nil && part.Size() > 300_000 {
				t.Errorf("%s: %d bytes were written", name, part.Size())
			}
			notInstalled(t, name, root)
		}
	}
}

// TestWrongRange: bytes of another place than was asked for are not taken.
func TestWrongRange(t *testing.T) {
	for _, contentRange := range []string{"bytes 0-299999/300000", "bytes 999-299999/300000", "bytes 1000-299999/300001", "bytes 1000-999/300000", "bytes x", "", "items 1000-299999/300000", "bytes 1000-299999/-1"} {
		h := newHub(t)
		root := models(t)
		h.cut = 1000
		h.before = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, commit+"/"+weightsFile) || r.Header.Get("Range") == "" {
				return false
			}
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(h.files[weightsFile][1000:])
			return true
		}
		_, err := pullInto(client(t, h.options()), root, repo)
		wants(t, contentRange, err, ErrAnswer)
		notInstalled(t, contentRange, root)
	}
}

func TestFullDisk(t *testing.T) {
	h := newHub(t)
	root := models(t)
	c := client(t, h.options())
	left := 123_456
	c.system.writer = func(f *os.File) io.Writer {
		return &fullDisk{f, &left, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}}
	}
	_, err := pullInto(c, root, repo)
	wants(t, "full", err, ErrNoSpace, "free at least", "kept")
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v does not wrap the cause", err)
	}
	notInstalled(t, "full", root)
	left = 1 << 30
	h.set(func() { h.ranges = nil })
	got, err := pullInto(c, root, repo)
	if err != nil {
		t.Fatal(err)
	}
	h.check(root, "tiny-model", pulled)
	if got.Downloaded > got.Lock.Bytes()-100_000 {
		t.Errorf("%d of %d bytes came again", got.Downloaded, got.Lock.Bytes())
	}

	// A disk that is too small from the start.
	other := models(t)
	c.system.free = func(*os.File) (uint64, bool) { return 1 << 20, true }
	h.set(func() { h.ranges = nil })
	_, err = pullInto(c, other, repo)
	wants(t, "small", err, ErrNoSpace, "1.0 MiB are free")
	if len(h.ranges) != 0 {
		t.Errorf("files were asked for: %v", h.ranges)
	}
	notInstalled(t, "small", other)
}

func TestCancelled(t *testing.T) {
	h := newHub(t)
	root := models(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := h.options()
	o.Progress = func(p Progress) {
		if p.Path == weightsFile {
			cancel()
		}
	}
	_, err := client(t, o).Pull(ctx, repo, root, PullOptions{})
	wants(t, "cancelled", err, context.Canceled)
	notInstalled(t, "cancelled", root)
	if _, err = client(t, h.options()).Pull(ctx, repo, root, PullOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	if _, err = pullInto(client(t, h.options()), root, repo); err != nil {
		t.Fatal(err)
	}
	h.check(root, "tiny-model", pulled)
}

// TestIdle: a connection that says nothing is given up and made anew.
func TestIdle(t *testing.T) {
	h := newHub(t)
	root := models(t)
	o := h.options()
	o.IdleTimeout = 50 * time.Millisecond
	stalls := 0
	h.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, commit+"/"+weightsFile) {
			return false
		}
		if stalls++; stalls > 2 {
			return false
		}
		w.Header().Set("ETag", `"x"`)
		w.Write(h.files[weightsFile][:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	if _, err := pullInto(client(t, o), root, repo); err != nil || stalls != 3 {
		t.Fatalf("%v after %d connections", err, stalls)
	}
	h.check(root, "tiny-model", pulled)
}
