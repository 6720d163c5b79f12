package adapt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/embed/builtin"
	"github.com/vecino-db/vecino/embed/static"
	"github.com/vecino-db/vecino/embed/train"
	"github.com/vecino-db/vecino/embed/train/passages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func base(t *testing.T) (*static.Encoder, []byte) {
	t.Helper()
	e, err := builtin.OpenStatic(builtin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokenizer, err := builtin.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	return e, tokenizer
}

// jargon is documents of a field whose words mean something of their own there:
// each topic has words that go together only in this collection.
func jargon(n int) []Document {
	r := rand.New(rand.NewPCG(1, 2))
	const plain = "apple river stone window garden letter engine mirror copper yellow silver paper winter bridge candle button pocket forest island market school doctor soldier kitchen basket blanket hammer ladder needle ribbon saddle ticket tunnel valley violin wallet whistle anchor barrel camera dragon feather guitar helmet jacket kettle lantern magnet napkin orange pencil rabbit shovel teapot umbrella velvet wagon yogurt zebra hollow"
	words := strings.Fields(plain)
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	const topics, each = 12, 5
	documents := make([]Document, n)
	for i := range documents {
		topic := words[i%topics*each : i%topics*each+each]
		say := func() string {
			return fmt.Sprintf("The %s is near the %s and number %d.", topic[r.IntN(each)], topic[r.IntN(each)], r.IntN(1000))
		}
		documents[i] = Document{Body: say() + " " + say() + " " + say()}
	}
	return documents
}

func TestAdapts(t *testing.T) {
	encoder, tokenizer := base(t)
	documents := jargon(400)
	o := Options{Epochs: 4, Seed: 1}
	r, err := Run(context.Background(), encoder, tokenizer, documents, o)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := r.Report.After, r.Report.Before; a.First <= b.First || a.Ten < b.Ten || r.Documents != 400 || r.Held < 20 || r.Held > 70 || r.HeldPairs != a.Pairs {
		t.Errorf("%+v", r)
	}
	rows, _ := encoder.Rows()
	if slices.Equal(rows, r.Model.Rows) {
		t.Error("the rows are those of the base")
	}
	// Another order, and documents that come twice, are the same collection.
	shuffled := append(slices.Clone(documents), documents[:50]...)
	slices.Reverse(shuffled)
	again, err := Run(context.Background(), encoder, tokenizer, shuffled, o)
	if err != nil || !slices.Equal(again.Model.Rows, r.Model.Rows) {
		t.Errorf("another order gives another model: %v", err)
	}
	card := Card{Name: "local:x", Base: "builtin:static", Collection: "c", Program: "1", Seed: 1}.Markdown(r)
	if !strings.Contains(card, fmt.Sprintf("| found first | %.1f %% | %.1f %% |", 100*r.Report.Before.First, 100*r.Report.After.First)) {
		t.Errorf("card:\n%s", card)
	}
}

// TestNotBetter wants a model refused that learned nothing that holds elsewhere:
// documents whose sides belong together by nothing.
func TestNotBetter(t *testing.T) {
	encoder, tokenizer := base(t)
	r := rand.New(rand.NewPCG(3, 4))
	words := []string{"red", "blue", "sea", "tree", "car", "sky", "ant", "oak", "box", "cup", "hat", "ink"}
	documents := make([]Document, 300)
	for i := range documents {
		var b strings.Builder
		for range 8 {
			fmt.Fprintf(&b, "%s ", words[r.IntN(len(words))])
		}
		documents[i].Body = b.String()
	}
	got, err := Run(context.Background(), encoder, tokenizer, documents, Options{Epochs: 2, Seed: 1, Rate: 0.2})
	var refused *NotBetterError
	if !errors.As(err, &refused) || got.Model != nil || !strings.Contains(err.Error(), "found first") {
		t.Fatalf("%+v %v", got.Report, err)
	}
}

func TestTooFew(t *testing.T) {
	encoder, tokenizer := base(t)
	for name, documents := range map[string][]Document{"none": nil, "empty": make([]Document, 50), "other scripts": slices.Repeat([]Document{{Body: "Большой театр. Малый театр."}}, 500), "a few": jargon(9)} {
		if _, err := Run(context.Background(), encoder, tokenizer, documents, Options{}); !errors.Is(err, ErrTooFew) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	encoder, tokenizer := base(t)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Run(ctx, encoder, tokenizer, jargon(400), Options{Progress: func(p train.Progress, _ bool) {
		if p.Step == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestTitles: the first line is a title where it is short and not all.
func TestTitles(t *testing.T) {
	for body, want := range map[string]string{
		"# Bread\nFlour and water make it. Salt too.":                       "Bread",
		"Flour and water make it. Salt comes too.":                          "Flour and water make it.",
		strings.Repeat("word ", 30) + "\nA rest of it here. And more here.": strings.TrimSpace(strings.Repeat("word ", 30) + "A rest of it here."),
	} {
		if got := (Document{Body: body}).pairs(); len(got) == 0 || got[0].Query != want {
			t.Errorf("%.40q: %q, want %q", body, got, want)
		}
	}
	if got := (Document{Title: "T one", Body: "Flour and water make it."}).pairs(); got[0] != (passages.Pair{Query: "T one", Document: "Flour and water make it."}) {
		t.Errorf("%q", got)
	}
	if got := (Document{Body: strings.Repeat("A sentence of words. ", 500)}).pairs(); len(got) > pairsOfDocument {
		t.Errorf("%d pairs of one document", len(got))
	}
}
