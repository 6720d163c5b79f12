package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/hash"
)

// TestConformance runs the suite of all encoders on each kind.
func TestConformance(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			f := newFake(t, 64)
			o := f.options(kind, newClock())
			o.QueryPrompt, o.DocumentPrompt = "query: ", "passage: "
			embedtest.Run(t, func() embed.Encoder {
				e, err := New(context.Background(), o)
				if err != nil {
					t.Fatal(err)
				}
				return e
			}, embedtest.Options{Unembeddable: []string{"", " \t\n", "\x00\x01", "\u200b\ufeff", "\xff\xfe"}})
		})
	}
}

// TestVectors compares with the model itself: order, prompts, normalization.
func TestVectors(t *testing.T) {
	model, err := hash.New(hash.Options{Dimension: 128})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		f := newFake(t, 128)
		o := f.options(kind, newClock())
		o.QueryPrompt, o.DocumentPrompt = "find ", ""
		o.MaxTexts = 5
		e := open(t, o)
		texts := make([]string, 33)
		for i := range texts {
			texts[i] = fmt.Sprintf("text number %d of <many> & several", i)
		}
		for _, role := range []embed.Role{embed.RoleDocument, embed.RoleQuery} {
			got, err := e.Encode(context.Background(), role, texts)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			sent := slices.Clone(texts)
			if role == embed.RoleQuery {
				for i := range sent {
					sent[i] = "find " + sent[i]
				}
			}
			want, err := model.Encode(context.Background(), embed.RoleDocument, sent)
			if err != nil {
				t.Fatal(err)
			}
			for i := range texts {
				for j, x := range want.Vectors.Row(i) {
					if y := got.Vectors.Row(i)[j]; math.Abs(float64(x-y)) > 1e-6 {
						t.Fatalf("%s: text %d as %v, component %d: %v, the model says %v", kind, i, role, j, y, x)
					}
				}
			}
		}
		if slices.Max(f.batches) != 5 {
			t.Errorf("%s: batches %v, want none above 5", kind, f.batches)
		}
		if f.truncate {
			t.Errorf("%s: truncation was asked for", kind)
		}
	}
}

func TestSpace(t *testing.T) {
	f := newFake(t, 64)
	a, b := newFake(t, 64), newFake(t, 128)
	space := func(f *fake, change func(*Options)) compat.Space {
		o := f.options(KindOpenAI, newClock())
		change(&o)
		return open(t, o).Space()
	}
	same := func(*Options) {}
	base := space(f, same)
	if err := base.Validate(); err != nil || base.Encoder != "remote/1" || base.Normalization != compat.NormalizeL2 || base.MaxTokens != 0 || base.Dimension != 64 {
		t.Errorf("space %+v: %v", base, err)
	}
	if space(a, same) != base || space(f, func(o *Options) { o.Dimensions = 64 }) != base || space(f, func(o *Options) { o.Dimensions, o.Lazy = 64, true }) != base {
		t.Error("the same model at another URL, or with its dimension stated, is another space")
	}
	if o := f.options(KindTEI, newClock()); true {
		o.Model = ""
		if e := open(t, o); e.Space() != Space(KindTEI, "org/model", 64, "", "") || e.maxTexts != 7 {
			t.Errorf("text-embeddings-inference: space %+v, %d texts a request", e.Space(), e.maxTexts)
		}
	}
	for name, other := range map[string]compat.Space{
		"model":     space(f, func(o *Options) { o.Model = "other" }),
		"kind":      space(f, func(o *Options) { o.Kind = KindOllama }),
		"dimension": space(b, same),
		"prompt":    space(f, func(o *Options) { o.DocumentPrompt = "passage: " }),
	} {
		if other.Fingerprint() == base.Fingerprint() {
			t.Errorf("another %s is the same space", name)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, kind := range kinds {
		f := newFake(t, 64)
		o := f.options(kind, newClock())
		o.Dimensions, o.Shorten = 64, true
		open(t, o)
		if f.shorten != 64 {
			t.Errorf("%s: the endpoint was asked for %d dimensions", kind, f.shorten)
		}
		o.Shorten, o.Truncate = false, true
		open(t, o)
		if f.shorten != 0 || kind != KindOpenAI && !f.truncate {
			t.Errorf("%s: asked for %d dimensions, truncate %v", kind, f.shorten, f.truncate)
		}
		o.Dimensions = 65
		_, err := New(context.Background(), o)
		wants(t, string(kind), err, ErrDimension, "64", "65")
	}
}

// TestRefusedText finds the one text that an endpoint refuses.
func TestRefusedText(t *testing.T) {
	for _, kind := range kinds {
		f := newFake(t, 64)
		e := open(t, f.options(kind, newClock()))
		f.set(func() { f.prefix = "BAD" })
		for _, at := range []int{0, 6, 12} {
			texts := slices.Repeat([]string{"a good text"}, 13)
			texts[at] = "BAD text"
			_, err := encode(e, texts...)
			var refused *embed.TextError
			if !errors.As(err, &refused) || refused.Index != at {
				t.Errorf("%s: text %d is bad, and the error is %v", kind, at, err)
			}
			wants(t, string(kind), err, ErrRefused, "less than 512 tokens")
		}
	}
	f := newFake(t, 64)
	o := f.options(KindOllama, newClock())
	o.MaxText = 100
	var refused *embed.TextError
	if _, err := encode(open(t, o), "short", strings.Repeat("long ", 30)); !errors.As(err, &refused) || refused.Index != 1 {
		t.Errorf("a text above MaxText: %v", err)
	}
}

func TestCountTokens(t *testing.T) {
	f := newFake(t, 64)
	texts := []string{"four words are here", "x", "", strings.Repeat("long ", 20000)}
	want := f.encoder.CountTokens(embed.RoleDocument, texts)
	counted := open(t, f.options(KindTEI, newClock()))
	got := counted.CountTokens(embed.RoleDocument, texts)
	if got[0] != want[0]+2 || got[1] != want[1]+2 || got[2] != 1 || got[3] != 25000 {
		t.Errorf("counted %v, the endpoint says %v (and 2 special tokens), texts beyond 64 KiB estimated", got, want)
	}
	o := f.options(KindTEI, newClock())
	o.EstimateTokens = true
	if got := open(t, o).CountTokens(embed.RoleDocument, texts); !slices.Equal(got, []int{5, 1, 1, 25000}) {
		t.Errorf("estimated %v", got)
	}
	// Without the route it estimates, and asks no more.
	f.set(func() {
		f.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.URL.Path == "/tokenize" {
				http.NotFound(w, r)
			}
			return r.URL.Path == "/tokenize"
		}
	})
	for range 2 {
		if got := counted.CountTokens(embed.RoleDocument, []string{"日本語", "four words are here"}); !slices.Equal(got, []int{3, 5}) {
			t.Errorf("without /tokenize %v", got)
		}
	}
	asked := 0
	for _, p := range f.requests() {
		if p == "/tokenize" {
			asked++
		}
	}
	if asked != 2 {
		t.Errorf("/tokenize was asked %d times, want once before and once after it went", asked)
	}
}

func TestDrift(t *testing.T) {
	for _, prompt := range []string{"", "query: "} {
		f := newFake(t, 64)
		o := f.options(KindOpenAI, newClock())
		o.QueryPrompt = prompt
		e := open(t, o)
		var stored []compat.Probe
		for _, text := range append(compat.ProbeTexts(), " ") {
			p := compat.Probe{Text: text}
			for role, to := range map[embed.Role]*[]float32{embed.RoleDocument: &p.Document, embed.RoleQuery: &p.Query} {
				out, err := e.Encode(context.Background(), role, []string{text})
				if errors.Is(err, embed.ErrNoTokens) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				*to = out.Vectors.Row(0)
			}
			stored = append(stored, p)
		}
		if err := e.Drift(context.Background(), stored); err != nil {
			t.Errorf("the same model: %v", err)
		}
		if err := e.Drift(context.Background(), nil); !errors.Is(err, compat.ErrNoProbes) {
			t.Errorf("no probes: %v", err)
		}
		f.set(func() { f.salt = "another model altogether " })
		wants(t, "another model", e.Drift(context.Background(), stored), compat.ErrProbe, "org/model")
		f.set(func() { f.salt, f.encoder = "", newFake(t, 128).encoder })
		wants(t, "another dimension", e.Drift(context.Background(), stored), compat.ErrProbe, "128")
		f.server.Close()
		if err := e.Drift(context.Background(), stored); err == nil || errors.Is(err, compat.ErrProbe) {
			t.Errorf("no endpoint: %v", err)
		}
	}
}

// TestCanary: the key is in nothing that can be printed or logged.
func TestCanary(t *testing.T) {
	f := newFake(t, 64)
	o := f.options(KindTEI, newClock())
	e := open(t, o)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("opened", "options", o, "key", o.APIKey, "info", e.Info())
	slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "options", o, "key", o.APIKey)
	fmt.Fprintf(&log, "%v %+v %#v %s %q %v %+v %#v %v", o, o, o.APIKey, o.APIKey, o.APIKey, e, e, reflect.ValueOf(e).Elem(), e.Info())
	if strings.Contains(log.String(), canary) {
		t.Errorf("the key is shown: %s", log.String())
	}
	// An endpoint that repeats it everywhere.
	for _, status := range []int{302, 400, 401, 403, 404, 418, 422, 429, 500, 503} {
		f.set(func() {
			f.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				hidden := key[:5] + "\u200b\x1b" + key[5:]
				w.Header().Set("Location", "https://elsewhere.invalid/"+key)
				w.Header().Set("X-Key", key)
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"error":{"message":"Incorrect key %s %s \u001b[31m"}}`, key, hidden)
				return true
			}
		})
		_, err := encode(e, "text")
		if err == nil {
			t.Fatalf("status %d is no error", status)
		}
		wants(t, fmt.Sprint(status), err, err)
		if strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("status %d: control characters in %q", status, err)
		}
	}
}

// TestCancelled: a caller that leaves costs nothing more.
func TestCancelled(t *testing.T) {
	f := newFake(t, 64)
	o := f.options(KindOllama, newClock())
	o.Concurrency, o.MaxTexts = 1, 1
	e := open(t, o)
	started, gone := make(chan struct{}), make(chan struct{})
	f.set(func() {
		f.before = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			buffer := make([]byte, 1<<16)
			for {
				if _, err := r.Body.Read(buffer); err != nil {
					break
				}
			}
			started <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
			return true
		}
	})
	before := len(f.requests())
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		_, err := e.Encode(ctx, embed.RoleDocument, []string{"one", "two", "three"})
		result <- err
	}()
	<-started
	// One that waits for its turn leaves at once.
	short, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	if _, err := e.Encode(short, embed.RoleQuery, []string{"four"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller whose time is over in the queue: %v", err)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled caller: %v", err)
	}
	<-gone
	if n := len(f.requests()) - before; n != 1 {
		t.Errorf("%d requests reached the endpoint, want the first alone", n)
	}
	// Callers that leave are no sign of an endpoint that fails.
	for range 2 * DefaultFailures {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-started; cancel(); <-gone }()
		if _, err := e.Encode(ctx, embed.RoleQuery, []string{"left"}); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that left: %v", err)
		}
	}
	f.set(func() { f.before = nil })
	if _, err := encode(e, "after"); err != nil {
		t.Errorf("after that: %v", err)
	}
}
