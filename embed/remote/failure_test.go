package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/remote/retry"
)

// answer makes the fake answer a status to the next requests, then work again.
func (f *fake) fail(times, status int, header http.Header) {
	var left atomic.Int64
	left.Store(int64(times))
	f.set(func() {
		f.before = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			if left.Add(-1) < 0 {
				return false
			}
			for k, v := range header {
				w.Header()[k] = v
			}
			w.WriteHeader(status)
			io.WriteString(w, `{"error":"later"}`)
			return true
		}
	})
}

func TestRetryAfter(t *testing.T) {
	c := newClock()
	f := newFake(t, 64)
	e := open(t, f.options(KindOpenAI, c))
	for _, x := range []struct {
		status int
		after  string
		want   []time.Duration
	}{
		{503, c.now().Add(30 * time.Second).Format(http.TimeFormat), []time.Duration{30 * time.Second, 500 * time.Millisecond}},
		{429, "7", []time.Duration{7 * time.Second, 7 * time.Second}},
		{503, "0", []time.Duration{250 * time.Millisecond, 500 * time.Millisecond}},
		{502, "", []time.Duration{250 * time.Millisecond, 500 * time.Millisecond}},
		{500, "soon", []time.Duration{250 * time.Millisecond, 500 * time.Millisecond}},
		{408, "-3", []time.Duration{250 * time.Millisecond, 500 * time.Millisecond}},
	} {
		from := len(c.slept())
		f.fail(2, x.status, http.Header{"Retry-After": {x.after}})
		if _, err := encode(e, "text"); err != nil {
			t.Errorf("%d, Retry-After %q: %v", x.status, x.after, err)
		}
		if got := c.slept()[from:]; !slices.Equal(got, x.want) {
			t.Errorf("%d, Retry-After %q: waited %v, want %v", x.status, x.after, got, x.want)
		}
	}
	// One that asks for too long is told on, not waited for.
	f.fail(1, 429, http.Header{"Retry-After": {"3600"}})
	from := len(c.slept())
	_, err := encode(e, "text")
	wants(t, "an hour", err, ErrOverloaded, "1h0m0s")
	var status *StatusError
	if !errors.As(err, &status) || status.RetryAfter != time.Hour || len(c.slept()) != from {
		t.Errorf("an hour: %+v, waited %v", status, c.slept()[from:])
	}
}

func TestStatuses(t *testing.T) {
	f := newFake(t, 64)
	for status, want := range map[int]error{301: ErrRedirect, 307: ErrRedirect, 400: ErrRefused, 401: ErrKey, 403: ErrKey, 404: ErrModel, 409: ErrRefused, 429: ErrOverloaded, 424: ErrUnavailable, 500: ErrUnavailable, 504: ErrUnavailable} {
		o := f.options(KindOllama, newClock())
		o.Lazy, o.Dimensions = true, 64
		o.Retry = retry.Policy{Attempts: 3}
		e := open(t, o)
		before := len(f.requests())
		f.fail(100, status, http.Header{"Location": {"http://127.0.0.1:1/"}})
		_, err := encode(e, "text")
		wants(t, fmt.Sprint(status), err, want, fmt.Sprint(status))
		attempts := 1
		if want == ErrUnavailable || want == ErrOverloaded {
			attempts = 3
		}
		if n := len(f.requests()) - before; n != attempts {
			t.Errorf("status %d: %d requests, want %d", status, n, attempts)
		}
	}
}

func TestBreaker(t *testing.T) {
	c := newClock()
	f := newFake(t, 64)
	o := f.options(KindTEI, c)
	o.Failures, o.Cooldown, o.EstimateTokens = 3, 10*time.Second, true
	o.Retry = retry.Policy{Attempts: 2, Base: time.Millisecond}
	e := open(t, o)
	f.fail(1<<30, 500, nil)
	if _, err := encode(e, "text"); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	_, err := encode(e, "text") // its first attempt is the third failure, the second meets the breaker
	var opened *OpenError
	if !errors.As(err, &opened) || opened.Failures != 3 || opened.RetryAfter <= 0 || opened.RetryAfter > 10*time.Second {
		t.Fatalf("after three failures: %v", err)
	}
	n := len(f.requests())
	for range 5 {
		_, err = encode(e, "text")
		wants(t, "open", err, ErrUnavailable, "try again in")
	}
	if len(f.requests()) != n {
		t.Errorf("an open breaker let %d requests pass", len(f.requests())-n)
	}
	// Half open: one failed trial opens it anew.
	c.advance(11 * time.Second)
	if _, err = encode(e, "text"); !errors.As(err, &opened) || len(f.requests()) != n+1 {
		t.Errorf("half open: %v, %d requests", err, len(f.requests())-n)
	}
	// A trial that works closes it.
	c.advance(11 * time.Second)
	f.fail(0, 500, nil)
	for range 3 {
		if _, err := encode(e, "text"); err != nil {
			t.Errorf("after the endpoint came back: %v", err)
		}
	}
	// A refusal is a sign of life.
	f.fail(1<<30, 400, nil)
	for range 10 {
		if _, err := encode(e, "text"); !errors.Is(err, ErrRefused) {
			t.Errorf("refused: %v", err)
		}
	}
}

// TestBreakerTrial: while one trial is out, nobody else is let pass; and one
// whose caller left leaves the question open.
func TestBreakerTrial(t *testing.T) {
	c := newClock()
	b := &breaker{endpoint: "x", limit: 1, cooldown: time.Second, now: c.now}
	if b.enter() != nil {
		t.Fatal("closed")
	}
	b.leave(dead)
	c.advance(2 * time.Second)
	if b.enter() != nil || b.enter() == nil {
		t.Fatal("half open lets one pass")
	}
	b.leave(unknown)
	if b.enter() != nil {
		t.Fatal("the trial's place is free again")
	}
	b.leave(alive)
	if first, second := b.enter(), b.enter(); first != nil || second != nil {
		t.Fatal("closed again")
	}
}

// TestBadAnswers: nothing but what was asked for is taken.
func TestBadAnswers(t *testing.T) {
	f := newFake(t, 64)
	row := "[" + strings.TrimSuffix(strings.Repeat("1,", 64), ",") + "]"
	data := func(items ...string) string { return `{"data":[` + strings.Join(items, ",") + `]}` }
	item := func(index, row string) string { return `{"index":` + index + `,"embedding":` + row + `}` }
	for _, x := range []struct {
		name string
		kind Kind
		body string
		want error
	}{
		{"no JSON", KindOpenAI, "hello", ErrAnswer},
		{"empty", KindTEI, "", ErrAnswer},
		{"null", KindTEI, "null", ErrAnswer},
		{"too few", KindOpenAI, data(item("0", row)), ErrAnswer},
		{"too many", KindOpenAI, data(item("0", row), item("1", row), item("2", row)), ErrAnswer},
		{"index twice", KindOpenAI, data(item("0", row), item("0", row)), ErrAnswer},
		{"index beyond", KindOpenAI, data(item("0", row), item("2", row)), ErrAnswer},
		{"negative index", KindOpenAI, data(item("0", row), item("-1", row)), ErrAnswer},
		{"no index", KindOpenAI, data(item("0", row), `{"embedding":`+row+`}`), ErrAnswer},
		{"no vector", KindOpenAI, data(item("0", row), `{"index":1}`), ErrAnswer},
		{"null vector", KindOpenAI, data(item("0", row), item("1", "null")), ErrAnswer},
		{"base64", KindOpenAI, data(item("0", row), item("1", `"AAAA"`)), ErrAnswer},
		{"too few for Ollama", KindOllama, `{"embeddings":[` + row + `]}`, ErrAnswer},
		{"no embeddings", KindOllama, `{"embedding":` + row + `}`, ErrAnswer},
		{"null inside", KindTEI, "[" + row + "," + strings.Replace(row, "1", "null", 1) + "]", ErrAnswer},
		{"NaN", KindTEI, "[" + row + "," + strings.Replace(row, "1", "NaN", 1) + "]", ErrAnswer},
		{"beyond float32", KindTEI, "[" + row + "," + strings.Replace(row, "1", "1e39", 1) + "]", ErrAnswer},
		{"a string", KindTEI, "[" + row + "," + strings.Replace(row, "1", `"1"`, 1) + "]", ErrAnswer},
		{"an array", KindTEI, "[" + row + "," + strings.Replace(row, "1", `[1]`, 1) + "]", ErrAnswer},
		{"trailing", KindTEI, "[" + row + "," + row + "]{}", ErrAnswer},
		{"cut", KindTEI, "[" + row + "," + row, ErrAnswer},
		{"zeros", KindTEI, "[" + row + "," + strings.ReplaceAll(row, "1", "0") + "]", ErrAnswer},
		{"shorter vector", KindTEI, "[" + row + ",[1,2]]", ErrDimension},
		{"empty vector", KindTEI, "[" + row + ",[]]", ErrDimension},
		{"longer vector", KindTEI, "[" + row + "," + strings.Replace(row, "1", "1,1", 1) + "]", ErrDimension},
	} {
		o := f.options(x.kind, newClock())
		o.EstimateTokens = true
		f.set(func() { f.before = nil })
		e := open(t, o)
		f.set(func() {
			f.before = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
				io.WriteString(w, x.body)
				return true
			}
		})
		out, err := encode(e, "one", "two")
		wants(t, x.name, err, x.want)
		if out.Vectors.Len() != 0 {
			t.Errorf("%s: vectors beside an error", x.name)
		}
	}
}

// TestHugeBody: an answer without end is read up to its bound.
func TestHugeBody(t *testing.T) {
	f := newFake(t, 64)
	e := open(t, f.options(KindOllama, newClock()))
	var sent atomic.Int64
	f.set(func() {
		f.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			chunk := []byte(strings.Repeat(" ", 64<<10))
			for r.Context().Err() == nil && sent.Load() < 64<<20 {
				n, err := w.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					break
				}
			}
			return true
		}
	})
	_, err := encode(e, "text")
	wants(t, "huge", err, ErrAnswer, "more than")
	if sent.Load() > 32<<20 {
		t.Errorf("%d bytes were taken", sent.Load())
	}
}

func TestCutBodies(t *testing.T) {
	c := newClock()
	f := newFake(t, 64)
	e := open(t, f.options(KindOllama, c))
	cuts := 0
	f.set(func() {
		f.before = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			if cuts++; cuts > 2 {
				return false
			}
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"embeddings":[[1,`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	if _, err := encode(e, "text"); err != nil || cuts != 3 {
		t.Errorf("after two cut answers: %v, %d requests", err, cuts)
	}
}

func TestTimeout(t *testing.T) {
	f := newFake(t, 64)
	o := f.options(KindOllama, newClock())
	o.Timeout, o.Retry.Attempts = 30*time.Millisecond, 2
	o.Lazy, o.Dimensions = true, 64
	e := open(t, o)
	f.set(func() {
		f.before = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			return true
		}
	})
	_, err := encode(e, "text")
	wants(t, "slow", err, ErrUnavailable, "no answer in time")
}

// TestRedirect: a redirect takes neither texts nor key elsewhere.
func TestRedirect(t *testing.T) {
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	f := newFake(t, 64)
	e := open(t, f.options(KindOpenAI, newClock()))
	for _, to := range []string{other.URL, "/v1/other", "file:///etc/passwd"} {
		f.fail(1, 307, http.Header{"Location": {to}})
		_, err := encode(e, "text")
		wants(t, to, err, ErrRedirect)
	}
	if reached.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestEgress(t *testing.T) {
	f := newFake(t, 64)
	o := f.options(KindOpenAI, newClock())
	o.AllowLoopback = false
	_, err := New(context.Background(), o)
	wants(t, "loopback", err, ErrUnavailable, "loopback")
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	o = f.options(KindOpenAI, newClock())
	o.AllowHosts = []string{"api.example.com"}
	if _, err := New(context.Background(), o); err == nil || !strings.Contains(err.Error(), "list of allowed hosts") {
		t.Errorf("a host off the list: %v", err)
	}
	o.AllowHosts = append(o.AllowHosts, "127.0.0.1")
	open(t, o)
}

func TestValidate(t *testing.T) {
	good := Options{Kind: KindOpenAI, BaseURL: "https://api.example.com/v1", Model: "m", APIKey: canary}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"kind":           func(o *Options) { o.Kind = "cohere" },
		"no URL":         func(o *Options) { o.BaseURL = "" },
		"scheme":         func(o *Options) { o.BaseURL = "ftp://host" },
		"user":           func(o *Options) { o.BaseURL = "https://user:" + canary + "@host" },
		"bad URL":        func(o *Options) { o.BaseURL = "https://user:" + canary + "@ho st" },
		"query":          func(o *Options) { o.BaseURL = "https://host/?key=" + canary },
		"no model":       func(o *Options) { o.Model = "" },
		"model":          func(o *Options) { o.Model = "a\nb" },
		"key":            func(o *Options) { o.APIKey = canary + "\n" },
		"key in clear":   func(o *Options) { o.BaseURL = "http://api.example.com" },
		"dimensions":     func(o *Options) { o.Dimensions = -1 },
		"too many":       func(o *Options) { o.Dimensions = compat.MaxDimension + 1 },
		"shorten to 0":   func(o *Options) { o.Shorten = true },
		"lazy without":   func(o *Options) { o.Lazy = true },
		"prompt":         func(o *Options) { o.QueryPrompt = strings.Repeat("x", 1<<20) },
		"UTF-8":          func(o *Options) { o.DocumentPrompt = "\xff" },
		"negative":       func(o *Options) { o.Timeout = -1 },
		"negative texts": func(o *Options) { o.MaxTexts = -1 },
		"attempts":       func(o *Options) { o.Retry.Attempts = -1 },
	} {
		o := good
		change(&o)
		err := o.Validate()
		if err == nil {
			t.Errorf("%s: valid", name)
			continue
		}
		wants(t, name, err, err)
	}
}

func TestTEIInfo(t *testing.T) {
	f := newFake(t, 64)
	o := f.options(KindTEI, newClock())
	o.Model = "org/other"
	_, err := New(context.Background(), o)
	wants(t, "another model", err, ErrModel, "org/model", "org/other")
	o.Model = ""
	f.info = `{"model_id":"org/model","model_type":{"reranker":{"id2label":{}}},"max_client_batch_size":7}`
	_, err = New(context.Background(), o)
	wants(t, "reranker", err, ErrModel, "embeddings")
	f.info = `{"model_id":"` + strings.Repeat("x", 300) + `","model_type":{"embedding":{}},"max_client_batch_size":-7}`
	_, err = New(context.Background(), o)
	wants(t, "long name", err, ErrAnswer)
}

// TestOpenAIPath: both habits of writing the URL lead to the route.
func TestOpenAIPath(t *testing.T) {
	f := newFake(t, 64)
	for _, suffix := range []string{"", "/", "/v1", "/v1/"} {
		o := f.options(KindOpenAI, newClock())
		o.BaseURL += suffix
		open(t, o)
	}
	for _, p := range f.requests() {
		if p != "/v1/embeddings" {
			t.Errorf("asked at %s", p)
		}
	}
}

func FuzzRow(f *testing.F) {
	for _, seed := range []string{"[1,2.5,-3e-2]", "[]", "null", "[null]", "[1e999]", `["1"]`, "[[1]]", "{}", "[1", "1,2]", " [ 1 , 2 ] "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var rows []row
		if decode(text, &rows) != nil {
			return
		}
		for _, r := range rows {
			for _, x := range r {
				if x != x || x-x != 0 {
					t.Fatalf("%v came out of %q", x, text)
				}
			}
		}
	})
}
