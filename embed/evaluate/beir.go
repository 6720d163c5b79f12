package evaluate

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// ReadBEIR reads a collection in BEIR's form. A document's text is its title, a
// space and its text. Queries without a judgement are left out. Errors name the
// line.
func ReadBEIR(corpus, queries, judgements io.Reader) (Collection, error) {
	var c Collection
	known := map[string]bool{}
	err := readJSONLines(corpus, func(r beirRecord) {
		c.IDs, c.Documents = append(c.IDs, r.ID), append(c.Documents, strings.TrimSpace(r.Title+" "+r.Text))
		known[r.ID] = true
	})
	if err != nil {
		return c, fmt.Errorf("corpus: %w", err)
	}
	gains, err := readQrels(judgements)
	if err != nil {
		return c, err
	}
	err = readJSONLines(queries, func(r beirRecord) {
		g := gains[r.ID]
		for id := range g {
			if !known[id] {
				delete(g, id)
				c.Missing++
			}
		}
		if len(g) > 0 {
			c.Queries, c.Gains = append(c.Queries, r.Text), append(c.Gains, g)
		}
	})
	if err != nil {
		return c, fmt.Errorf("queries: %w", err)
	}
	return c, nil
}

// readQrels reads judgements: the gains above 0 by query and document.
func readQrels(judgements io.Reader) (map[string]map[string]float64, error) {
	gains := map[string]map[string]float64{}
	lines := scanner(judgements)
	for n := 1; lines.Scan(); n++ {
		f := strings.Split(strings.TrimSpace(lines.Text()), "\t")
		if n == 1 && len(f) == 3 && f[0] == "query-id" || len(f) == 1 && f[0] == "" {
			continue
		}
		score, err := strconv.ParseFloat(f[len(f)-1], 64)
		if len(f) != 3 || err != nil || math.IsNaN(score) || math.IsInf(score, 0) {
			return nil, fmt.Errorf("judgements: line %d: want query, document and score, separated by tabs", n)
		}
		if score <= 0 {
			continue
		}
		if gains[f[0]] == nil {
			gains[f[0]] = map[string]float64{}
		}
		gains[f[0]][f[1]] = score
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("judgements: %w", err)
	}
	return gains, nil
}

// beirRecord is a line of a corpus or of queries.
type beirRecord struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

func readJSONLines(r io.Reader, record func(beirRecord)) error {
	lines := scanner(r)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var one beirRecord
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if one.ID == "" {
			return fmt.Errorf("line %d: it has no _id", n)
		}
		record(one)
	}
	return lines.Err()
}

// ReadPairs reads sentence pairs "a, b, score" a line, separated by tabs or, as
// csv has it, by commas. A first line whose score is no number is taken for
// titles.
func ReadPairs(r io.Reader, tabs bool) ([]Pair, error) {
	reader := csv.NewReader(r)
	reader.FieldsPerRecord = 3
	if tabs {
		reader.Comma, reader.LazyQuotes = '\t', true
	}
	var pairs []Pair
	for first := true; ; first = false {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("sentence pairs: %w", err)
		}
		score, err := strconv.ParseFloat(strings.TrimSpace(row[2]), 64)
		if err != nil && first {
			continue
		}
		if err != nil {
			line, _ := reader.FieldPos(2)
			return nil, fmt.Errorf("sentence pairs: line %d: %.40q is no score", line, row[2])
		}
		pairs = append(pairs, Pair{A: row[0], B: row[1], Score: score})
	}
	if len(pairs) == 0 {
		return nil, errors.New("sentence pairs: there are none: give lines of two sentences and a score")
	}
	return pairs, nil
}
