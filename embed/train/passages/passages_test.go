package passages

import (
	"reflect"
	"strings"
	"testing"
)

func TestSentences(t *testing.T) {
	for text, want := range map[string][]string{
		"One. Two! Three?":                                    {"One.", "Two!", "Three?"},
		"See Fig. 3 for e.g. A or so. Then go.":               {"See Fig. 3 for e.g. A or so.", "Then go."},
		"the flow . is laminar . at low speeds":               {"the flow .", "is laminar .", "at low speeds"},
		"He said \"stop.\" She went (quickly).  \n\n Fin":     {`He said "stop."`, "She went (quickly).", "Fin"},
		"version 1.2.3 of J. Smith's file.txt is old. it is.": {"version 1.2.3 of J. Smith's file.txt is old.", "it is."},
		"":         nil,
		" \n\t":    nil,
		"no end":   {"no end"},
		"A.B. C.":  {"A.B.", "C."},
		"Ende. …?": {"Ende. …?"},
	} {
		if got := Sentences(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if got := strings.Join(Sentences(text), " "); got != strings.Join(strings.Fields(text), " ") {
			t.Errorf("%q: the words of its sentences are %q", text, got)
		}
	}
}

func TestPlain(t *testing.T) {
	l := Limits{Query: 5, Document: 8, Least: 3}
	for name, c := range map[string]struct {
		title, body string
		want        []Pair
	}{
		"title and sentences": {"A short title", "First thing here. Second thing there. Third.", []Pair{
			{"A short title", "First thing here. Second thing there. Third."},
			{"First thing here.", "Second thing there. Third."},
			{"Second thing there.", "Third. First thing here."},
		}},
		"one sentence": {"", "one two three four five six seven", []Pair{{"one two three", "four five six seven"}}},
		"cut":          {"a b c d e f g", "h i j k l m n o p q", []Pair{{"a b c d e", "h i j k l m n o"}, {"h i j k l", "m n o p q"}}},
		"too little":   {"", "one two", nil},
		"empty":        {"", "", nil},
		"title alone":  {"title", "title", nil},
	} {
		if got := Plain(c.title, c.body, l); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPairs(t *testing.T) {
	d := Document{
		Title: "Boundary layers", Description: "How a fluid moves near a wall.",
		Sections: []Section{
			{Path: "Boundary layers Laminar", Paragraphs: []string{
				"A laminar layer is smooth and thin. Its thickness grows along the wall.",
				"It becomes turbulent where the Reynolds number is large enough.",
			}},
			{Path: "Boundary layers Empty"},
		},
	}
	got := map[Pair]bool{}
	for _, p := range d.Pairs(Standard()) {
		got[p] = true
	}
	body := strings.Join(d.Sections[0].Paragraphs, " ")
	for _, want := range []Pair{
		{d.Title, d.Description},
		{"Boundary layers Laminar", body},
		{"A laminar layer is smooth and thin.", "Its thickness grows along the wall. " + d.Sections[0].Paragraphs[1]},
		{d.Sections[0].Paragraphs[0], d.Sections[0].Paragraphs[1]},
		{d.Description, body},
	} {
		if !got[want] {
			t.Errorf("no pair %q", want)
		}
		delete(got, want)
	}
	if len(got) > 0 {
		t.Errorf("and these: %v", got)
	}
	if p := (Document{}).Pairs(Standard()); p != nil {
		t.Errorf("pairs of nothing: %q", p)
	}
}
