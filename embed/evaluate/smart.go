package evaluate

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxLine bounds a line of a collection, in bytes.
const maxLine = 16 << 20

// ReadSMART reads a collection in SMART's form. A document's text is its title
// and its words, or "(empty)" when there is nothing. Errors name the line.
func ReadSMART(documents, queries, judgements io.Reader) (Collection, error) {
	var c Collection
	err := readRecords(documents, func(id string, fields map[byte]string) {
		text := strings.Join(strings.Fields(fields['T']+" "+fields['W']), " ")
		if text == "" {
			text = "(empty)"
		}
		c.IDs, c.Documents = append(c.IDs, id), append(c.Documents, text)
	})
	if err != nil {
		return c, fmt.Errorf("documents: %w", err)
	}
	err = readRecords(queries, func(_ string, fields map[byte]string) {
		c.Queries = append(c.Queries, strings.Join(strings.Fields(fields['W']), " "))
		c.Gains = append(c.Gains, map[string]float64{})
	})
	if err != nil {
		return c, fmt.Errorf("queries: %w", err)
	}
	lines := scanner(judgements)
	for n := 1; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		if len(f) < 3 {
			return c, fmt.Errorf("judgements: line %d: want query, document and grade", n)
		}
		query, err := strconv.Atoi(f[0])
		if err != nil || query < 1 || query > len(c.Queries) {
			return c, fmt.Errorf("judgements: line %d: there is no query %.20q: queries are counted from 1 to %d", n, f[0], len(c.Queries))
		}
		grade, err := strconv.Atoi(f[2])
		if err != nil {
			return c, fmt.Errorf("judgements: line %d: %.20q is no grade", n, f[2])
		}
		gain := 1.0
		if grade >= 1 && grade <= 4 {
			gain = float64(5 - grade)
		}
		c.Gains[query-1][f[1]] = gain
	}
	return c, lines.Err()
}

// scanner reads lines of some length.
func scanner(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	return lines
}

// readRecords gives the records of a SMART file: the .I of each and its fields
// by their letter.
func readRecords(r io.Reader, record func(id string, fields map[byte]string)) error {
	var fields map[byte]string
	var id string
	var field byte
	lines := scanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch letter := fieldOf(line); {
		case letter == 'I':
			if fields != nil {
				record(id, fields)
			}
			id, fields, field = strings.TrimSpace(line[2:]), map[byte]string{}, 0
			if id == "" {
				return fmt.Errorf("line %d: .I without a number", n)
			}
		case letter != 0 && fields == nil, fields == nil && strings.TrimSpace(line) != "":
			return fmt.Errorf("line %d: a record begins with .I", n)
		case letter != 0:
			field = letter
		case field != 0:
			fields[field] += line + "\n"
		}
	}
	if fields != nil {
		record(id, fields)
	}
	return lines.Err()
}

// fieldOf is the letter of a line that begins a field, 0 for any other line.
func fieldOf(line string) byte {
	if len(line) < 2 || line[0] != '.' || !strings.Contains("IXTABWNKC", line[1:2]) {
		return 0
	}
	rest := strings.TrimSpace(line[2:])
	if _, err := strconv.Atoi(rest); rest != "" && (line[1] != 'I' || err != nil) {
		return 0
	}
	return line[1]
}
