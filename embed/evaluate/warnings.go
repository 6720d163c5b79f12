package evaluate

import (
	"fmt"
	"strings"
)

// MinQueries is the number of queries below which an interval says little: 50
// is what TREC's collections have (Buckley and Voorhees 2000, "Evaluating
// evaluation measure stability").
const MinQueries = 50

// Warning says what is wrong with judgements.
type Warning struct {
	// Code is few_queries, nothing_relevant, missing_documents, near_duplicates
	// or repeated_queries.
	Code     string   `json:"code"`
	Count    int      `json:"count"`              // of queries; of missing_documents: of judgements
	Text     string   `json:"text"`               // one sentence for people
	Examples []string `json:"examples,omitempty"` // ids of some of the queries, maxExamples at most
}

const maxExamples = 10

// Check looks at judged queries beside the documents that they judge. Give it
// every document once, in any order, and ask for the warnings. It is not safe
// for concurrent use.
type Check struct {
	judged []Judged
	near   *nearTexts
	judges map[string][]int // the queries that judge a document that was not seen
	found  []int            // judged documents of each query that were seen
	all    int              // different judged documents
	copies map[int]string   // the first document that is a near-duplicate, by query
}

// NewCheck begins with the queries.
func NewCheck(judged []Judged) *Check {
	c := &Check{judged: judged, near: newNearTexts(), judges: map[string][]int{}, found: make([]int, len(judged)), copies: map[int]string{}}
	for i, q := range judged {
		c.near.add(q.Text)
		for id := range q.Gains {
			c.judges[id] = append(c.judges[id], i)
		}
	}
	c.all = len(c.judges)
	return c
}

// Missing is how many of the different judged documents were not given, and how
// many there are.
func (c *Check) Missing() (missing, all int) { return len(c.judges), c.all }

// Document takes one document into account.
func (c *Check) Document(id, text string) {
	for _, q := range c.judges[id] {
		c.found[q]++
	}
	delete(c.judges, id) // once
	for _, q := range c.near.near(text) {
		if _, ok := c.copies[q]; !ok {
			c.copies[q] = id
		}
	}
}

// Warnings are what was found, gravest first; none where all is well.
func (c *Check) Warnings() []Warning {
	var out []Warning
	add := func(code string, count int, examples []string, format string, args ...any) {
		out = append(out, Warning{Code: code, Count: count, Text: fmt.Sprintf(format, args...), Examples: examples[:min(len(examples), maxExamples)]})
	}
	var missing, empty, copies []string
	gone, all := 0, 0
	for i, q := range c.judged {
		all += len(q.Gains)
		if len(q.Gains) == 0 {
			empty = append(empty, q.ID)
		}
		if lost := len(q.Gains) - c.found[i]; lost > 0 {
			gone += lost
			missing = append(missing, q.ID)
		}
		if id, ok := c.copies[i]; ok {
			copies = append(copies, q.ID+" in "+id)
		}
	}
	judged, repeated := len(c.judged)-len(empty), c.repeated()
	if gone > 0 {
		add("missing_documents", gone, missing, "%d of %d judgements are of documents that are not in the collection, of %d queries: these count as not found in every run; judge anew, or check the ids", gone, all, len(missing))
	}
	if len(empty) > 0 {
		add("nothing_relevant", len(empty), empty, "%d of %d queries have no relevant document: they count 0 in every run; leave them out", len(empty), len(c.judged))
	}
	if judged < MinQueries {
		add("few_queries", judged, nil, "only %d queries have a relevant document: with fewer than %d the intervals themselves are uncertain; judge more", judged, MinQueries)
	}
	if len(copies) > 0 {
		add("near_duplicates", len(copies), copies, "%d of %d queries are near-duplicates of a document (%.0f %% of the word triples of the shorter one are in the other): they test copying more than meaning; leave them out, or write them anew", len(copies), len(c.judged), 100*nearSimilarity)
	}
	if len(repeated) > 0 {
		add("repeated_queries", len(repeated), repeated, "%d of %d queries have the words of another one: they count more than once, so that the intervals are too narrow; leave them out", len(repeated), len(c.judged))
	}
	return out
}

// repeated are the queries whose words an earlier one has.
func (c *Check) repeated() []string {
	seen := map[string]bool{}
	var out []string
	for _, q := range c.judged {
		words := strings.Join(wordsOf(q.Text), " ")
		if seen[words] {
			out = append(out, q.ID)
		}
		seen[words] = true
	}
	return out
}

// Leakage looks for the texts of a test among those that a model is trained on:
// what a model has seen it need not understand. Give it every training text,
// in any order, and ask for the report. It is not safe for concurrent use.
type Leakage struct {
	collection Collection
	near       *nearTexts
	training   int
	leaked     map[int]string // the training text by the number of the test text
}

// LeakReport is what was found.
type LeakReport struct {
	TrainingTexts int    `json:"training_texts"`
	Documents     int    `json:"documents"` // of the collection, and how many stand in training
	DocumentsSeen int    `json:"documents_seen"`
	Queries       int    `json:"queries"`
	QueriesSeen   int    `json:"queries_seen"`
	Examples      []Leak `json:"examples,omitempty"`
}

// Leak is a text of the test and the training text that it is like, shortened.
type Leak struct {
	Test     string `json:"test"`
	Training string `json:"training"`
}

// Clean reports whether no text of the test stands among the training texts.
func (r LeakReport) Clean() bool { return r.DocumentsSeen+r.QueriesSeen == 0 }

// String is the report in a sentence.
func (r LeakReport) String() string {
	return fmt.Sprintf("%d of %d documents and %d of %d queries stand among %d training texts, as they are or nearly", r.DocumentsSeen, r.Documents, r.QueriesSeen, r.Queries, r.TrainingTexts)
}

// NewLeakage begins with the collection of the test.
func NewLeakage(c Collection) *Leakage {
	l := &Leakage{collection: c, near: newNearTexts(), leaked: map[int]string{}}
	for _, text := range c.Documents {
		l.near.add(text)
	}
	for _, text := range c.Queries {
		l.near.add(text)
	}
	return l
}

// Training takes one text of the training pairs into account.
func (l *Leakage) Training(text string) {
	l.training++
	for _, number := range l.near.near(text) {
		if _, ok := l.leaked[number]; !ok {
			l.leaked[number] = text
		}
	}
}

// Report is what was found.
func (l *Leakage) Report() LeakReport {
	documents := len(l.collection.Documents)
	out := LeakReport{TrainingTexts: l.training, Documents: documents, Queries: len(l.collection.Queries)}
	for number := range documents + out.Queries {
		text, ok := l.leaked[number]
		if !ok {
			continue
		}
		var test string
		if number < documents {
			out.DocumentsSeen++
			test = l.collection.Documents[number]
		} else {
			out.QueriesSeen++
			test = l.collection.Queries[number-documents]
		}
		if len(out.Examples) < maxExamples {
			out.Examples = append(out.Examples, Leak{Test: Snippet(test, 120), Training: Snippet(text, 120)})
		}
	}
	return out
}

// Snippet is a text on one line, of at most so many characters.
func Snippet(text string, most int) string {
	line := strings.Join(strings.Fields(text), " ")
	runes := []rune(line)
	if len(runes) <= most {
		return line
	}
	return string(runes[:max(most-3, 0)]) + "..."
}
