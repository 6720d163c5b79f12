package evaluate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Judged is one query with what people found relevant to it.
type Judged struct {
	ID   string
	Text string
	// Gains of documents by id, all above 0. A document that was judged and
	// found irrelevant is not among them.
	Gains map[string]float64
}

// Bounds of a judged query, so that a file of them can be held in memory.
const (
	maxJudgedQueries = 100_000
	maxQueryText     = 64 << 10 // bytes
	maxGain          = 1000
)

// ErrJudgements means that a file of judged queries can't be read; the text
// says in which line, and why.
var ErrJudgements = errors.New("unreadable judgements")

// ReadJudged reads judged queries, one JSON object a line, as described in the
// package's comment. It is strict: a line that is no such object, an unknown
// key, a key or an id that is there twice, a grade that is no number of 0 to
// 1000, and text that is no UTF-8 are errors that wrap ErrJudgements and name
// the line. Queries without a relevant document are kept: CheckJudged warns of
// them.
func ReadJudged(r io.Reader) ([]Judged, error) {
	var out []Judged
	seen := map[string]int{}
	lines := scanner(r)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		q, err := parseJudged(line)
		if err == nil && seen[q.ID] > 0 {
			err = fmt.Errorf("the query %.40q stands in line %d already", q.ID, seen[q.ID])
		}
		if err == nil && len(out) == maxJudgedQueries {
			err = fmt.Errorf("more than %d queries: take a sample of them", maxJudgedQueries)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrJudgements, n, err)
		}
		seen[q.ID] = n
		out = append(out, q)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: after %d queries: %w", ErrJudgements, len(out), err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf(`%w: there are none: give lines of {"id":"q1","text":"a query","relevant":{"document id":1}}`, ErrJudgements)
	}
	return out, nil
}

// parseJudged reads one line.
func parseJudged(line []byte) (Judged, error) {
	if !utf8.Valid(line) {
		return Judged{}, errors.New("it is no UTF-8")
	}
	fields, err := object(line, `{"id","text","relevant"}`)
	if err != nil {
		return Judged{}, err
	}
	q := Judged{Gains: map[string]float64{}}
	for _, f := range fields {
		switch f.key {
		case "id":
			if q.ID, err = identifier(f.value); err != nil {
				return q, fmt.Errorf("id: %w", err)
			}
		case "text":
			if err := json.Unmarshal(f.value, &q.Text); err != nil {
				return q, fmt.Errorf("text: want a string, not %.40s", f.value)
			}
		case "relevant":
			if err := relevant(f.value, q.Gains); err != nil {
				return q, err
			}
		default:
			return q, fmt.Errorf("unknown key %.40q: known are id, text and relevant", f.key)
		}
	}
	switch {
	case q.ID == "":
		return q, errors.New("it has no id")
	case strings.TrimSpace(q.Text) == "":
		return q, errors.New("it has no text")
	case len(q.Text) > maxQueryText:
		return q, fmt.Errorf("its text has %d bytes: at most %d", len(q.Text), maxQueryText)
	}
	return q, nil
}

// relevant reads {"document":grade}; grades of 0 are no gains.
func relevant(value []byte, gains map[string]float64) error {
	grades, err := object(value, `{"document id":grade}`)
	if err != nil {
		return fmt.Errorf("relevant: %w", err)
	}
	for _, g := range grades {
		grade, err := strconv.ParseFloat(string(g.value), 64)
		if err != nil || !(grade >= 0 && grade <= maxGain) {
			return fmt.Errorf("relevant: %.40q: the grade is %.40s: give a number of 0 to %d", g.key, g.value, maxGain)
		}
		if g.key == "" {
			return errors.New("relevant: a document has an empty id")
		}
		if grade > 0 {
			gains[g.key] = grade
		}
	}
	return nil
}

// identifier reads an id: a string, or an integer as the API has them.
func identifier(value []byte) (string, error) {
	var text string
	if json.Unmarshal(value, &text) == nil && value[0] == '"' {
		return text, nil
	}
	if n, err := strconv.ParseUint(string(value), 10, 64); err == nil {
		return strconv.FormatUint(n, 10), nil
	}
	return "", fmt.Errorf("want a string or an unsigned integer, not %.40s", value)
}

// member is one key of an object with its value.
type member struct {
	key   string
	value json.RawMessage
}

// object reads a JSON object and nothing after it, and refuses keys that stand
// there twice.
func object(data []byte, want string) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	open, err := d.Token()
	if err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("want an object %s", want)
	}
	var out []member
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("want an object %s: %w", want, err)
		}
		m := member{key: key.(string)} // in an object the decoder gives no other token here
		if seen[m.key] {
			return nil, fmt.Errorf("the key %.40q stands there twice", m.key)
		}
		seen[m.key] = true
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("%.40q: %w", m.key, err)
		}
		out = append(out, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("want an object %s: %w", want, err)
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("there is more after the object: %.40q", rest)
	}
	return out, nil
}

// ReadBEIRJudged reads BEIR's queries.jsonl and qrels alone, for documents that
// stand elsewhere. Queries without a judgement are left out; judged ids are
// taken as they are.
func ReadBEIRJudged(queries, judgements io.Reader) ([]Judged, error) {
	gains, err := readQrels(judgements)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJudgements, err)
	}
	var out []Judged
	seen := map[string]bool{}
	err = readJSONLines(queries, func(r beirRecord) {
		if g := gains[r.ID]; len(g) > 0 && !seen[r.ID] {
			seen[r.ID] = true
			out = append(out, Judged{ID: r.ID, Text: r.Text, Gains: g})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: queries: %w", ErrJudgements, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no query of the %d judged ones stands among the queries", ErrJudgements, len(gains))
	}
	return out, nil
}

// OpenJudged reads judged queries from a file of JSON lines (ReadJudged), or
// from a directory with BEIR's queries.jsonl and qrels/test.tsv or qrels.tsv.
func OpenJudged(path string) (out []Judged, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJudgements, err)
	}
	paths := []string{path}
	if info.IsDir() {
		paths = []string{filepath.Join(path, "queries.jsonl"), qrelsPath(path)}
	}
	files := make([]io.Reader, 0, len(paths))
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrJudgements, err)
		}
		defer f.Close()
		files = append(files, f)
	}
	if info.IsDir() {
		out, err = ReadBEIRJudged(files[0], files[1])
	} else {
		out, err = ReadJudged(files[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// Judged are the queries of the collection, called by their number from 1.
func (c Collection) Judged() []Judged {
	out := make([]Judged, len(c.Queries))
	for i, text := range c.Queries {
		out[i] = Judged{ID: strconv.Itoa(i + 1), Text: text, Gains: c.Gains[i]}
	}
	return out
}

// Scores are the measures of one query.
type Scores struct {
	NDCG10    float64 `json:"ndcg_at_10"`
	Recall100 float64 `json:"recall_at_100"`
	RR10      float64 `json:"rr_at_10"` // its mean is MRR@10
}

// Score measures one ranking: ids of documents, best first, 100 of them where
// there are as many. An id that stands there twice counts once.
func (q Judged) Score(ranked []string) Scores {
	gains := make([]float64, 0, depthRecall)
	seen := make(map[string]bool, depthRecall)
	for _, id := range ranked {
		if len(gains) == depthRecall {
			break
		}
		if !seen[id] {
			seen[id] = true
			gains = append(gains, q.Gains[id])
		}
	}
	return scoresOf(gains, q.Gains)
}

// scoresOf measures the gains of a ranking.
func scoresOf(ranked []float64, gains map[string]float64) Scores {
	ideal := slices.Collect(maps.Values(gains))
	return Scores{
		NDCG10:    NDCG(ranked, ideal, depthNDCG),
		Recall100: Recall(ranked, len(ideal), depthRecall),
		RR10:      ReciprocalRank(ranked, depthNDCG),
	}
}

// Quality is a run's measures with their intervals.
type Quality struct {
	NDCG10    Interval `json:"ndcg_at_10"`
	Recall100 Interval `json:"recall_at_100"`
	MRR10     Interval `json:"mrr_at_10"`
}

// Quality of one run: one Scores a query. Errors are those of Interval.
func (o Bootstrap) Quality(run []Scores) (q Quality, err error) {
	for _, m := range []struct {
		to *Interval
		of func(Scores) float64
	}{{&q.NDCG10, ndcg}, {&q.Recall100, recall}, {&q.MRR10, reciprocal}} {
		if *m.to, err = o.Interval(column(run, m.of)); err != nil {
			return Quality{}, err
		}
	}
	return q, nil
}

// Gain is what one run has over another, by measure.
type Gain struct {
	NDCG10    Difference `json:"ndcg_at_10"`
	Recall100 Difference `json:"recall_at_100"`
	MRR10     Difference `json:"mrr_at_10"`
}

// Gain compares two runs over the same queries. Errors are those of Paired.
func (o Bootstrap) Gain(before, after []Scores) (g Gain, err error) {
	for _, m := range []struct {
		to *Difference
		of func(Scores) float64
	}{{&g.NDCG10, ndcg}, {&g.Recall100, recall}, {&g.MRR10, reciprocal}} {
		if *m.to, err = o.Paired(column(before, m.of), column(after, m.of)); err != nil {
			return Gain{}, err
		}
	}
	return g, nil
}

func ndcg(s Scores) float64       { return s.NDCG10 }
func recall(s Scores) float64     { return s.Recall100 }
func reciprocal(s Scores) float64 { return s.RR10 }

func column(run []Scores, of func(Scores) float64) []float64 {
	out := make([]float64, len(run))
	for i, s := range run {
		out[i] = of(s)
	}
	return out
}
