package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// times is how often a text was made a vector of.
func (f *fake) times(text string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paid[text]
}

// withWitness is an encoder whose requests bring the witness.
func withWitness(t *testing.T, f *fake, c *clock) *Encoder {
	t.Helper()
	o := f.options(KindOpenAI, c)
	o.Witness, o.MaxTexts = true, 8
	return open(t, o)
}

// TestRefusedTextsArePaidOnce: who leaves out what is refused, one text after
// another, pays for none of the others twice, and is given the endpoint's rows.
func TestRefusedTextsArePaidOnce(t *testing.T) {
	f := newFake(t, 64)
	e := withWitness(t, f, newClock())
	f.set(func() { f.prefix = "BAD" })
	var texts []string
	for i := range 60 {
		text := fmt.Sprint("good text ", i)
		if i%11 == 3 {
			text = fmt.Sprint("BAD text ", i)
		}
		texts = append(texts, text)
	}
	left := slices.Clone(texts)
	var out embed.Encoded
	var err error
	for range texts {
		out, err = encode(e, left...)
		var refused *embed.TextError
		if !errors.As(err, &refused) {
			break
		}
		left = slices.Delete(left, refused.Index, refused.Index+1)
	}
	if err != nil || len(left) != 54 || out.Vectors.Len() != 54 || len(out.Tokens) != 54 {
		t.Fatalf("%d texts left: %v", len(left), err)
	}
	for i, text := range left {
		if f.times(text) != 1 {
			t.Errorf("%q was paid %d times", text, f.times(text))
		}
		want, err := f.encoder.Encode(t.Context(), embed.RoleDocument, []string{text})
		if err != nil || !row(out.Vectors.Row(i)).alike(want.Vectors.Row(0)) {
			t.Errorf("row %d is not that of %q: %v", i, text, err)
		}
	}
	// It was kept for one batch: who asks once more is given an answer of now.
	if _, err := encode(e, left[0]); err != nil || f.times(left[0]) != 2 {
		t.Errorf("paid %d times, %v", f.times(left[0]), err)
	}
}

// TestEverythingIsRefused: an endpoint that refuses every text is not asked about
// each of them.
func TestEverythingIsRefused(t *testing.T) {
	f := newFake(t, 64)
	e := withWitness(t, f, newClock())
	f.set(func() { f.prefix = "" })
	before := len(f.requests())
	var texts []string
	for i := range 500 {
		texts = append(texts, fmt.Sprint("text ", i))
	}
	var refused *embed.TextError
	if _, err := encode(e, texts...); !errors.As(err, &refused) {
		t.Fatal(err)
	}
	// Each request in flight may find some more; one text after another takes 928.
	if n := len(f.requests()) - before; n > 100 {
		t.Errorf("%d requests", n)
	}
}

// TestLeavingIsPaidOnce: a caller who leaves in the middle of a batch finds what
// had come when he is back.
func TestLeavingIsPaidOnce(t *testing.T) {
	f := newFake(t, 64)
	o := f.options(KindOpenAI, newClock())
	o.Witness, o.MaxTexts, o.Concurrency = true, 3, 1
	e := open(t, o)
	ctx, leave := context.WithCancel(t.Context())
	seen := len(f.requests())
	f.set(func() {
		f.before = func(_ http.ResponseWriter, r *http.Request, n int) bool {
			if n == seen+3 {
				_, _ = io.Copy(io.Discard, r.Body) // else the server sees nobody leave
				leave()
				<-r.Context().Done()
				return true
			}
			return false
		}
	})
	texts := []string{"one", "two", "three", "four", "five", "six"}
	if _, err := e.Encode(ctx, embed.RoleDocument, texts); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := encode(e, texts...); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if f.times(text) != 1 {
			t.Errorf("%q was paid %d times", text, f.times(text))
		}
	}
}

// TestKeptIsOfOneModel: what was kept is dropped when another model is met, by a
// comparison, and with time.
func TestKeptIsOfOneModel(t *testing.T) {
	for name, change := range map[string]func(f *fake, e *Encoder, c *clock){
		"met": func(f *fake, e *Encoder, _ *clock) {
			f.set(func() { f.salt = "another model " })
			if _, err := encode(e, "meet it"); err != nil || e.Epoch() != 1 {
				t.Error(e.Epoch(), err)
			}
		},
		"compared": func(_ *fake, e *Encoder, _ *clock) {
			if err := e.Drift(t.Context(), []compat.Probe{}); !errors.Is(err, compat.ErrNoProbes) {
				t.Error(err)
			}
		},
		"time": func(_ *fake, _ *Encoder, c *clock) { c.advance(keptFor + time.Second) },
	} {
		f, c := newFake(t, 64), newClock()
		e := withWitness(t, f, c)
		f.set(func() { f.prefix = "BAD" })
		var refused *embed.TextError
		if _, err := encode(e, "good text", "BAD text"); !errors.As(err, &refused) {
			t.Fatal(err)
		}
		change(f, e, c)
		if _, err := encode(e, "good text"); err != nil || f.times("good text") != 2 {
			t.Errorf("%s: it was asked for %d times, want anew: %v", name, f.times("good text"), err)
		}
	}
}
