package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

// modelsCompareCmd measures two models.
type modelsCompareCmd struct {
	connection
	A          string `arg:"" help:"A directory, local:NAME or builtin:NAME, with options as ?precision=int8." placeholder:"A"`
	B          string `arg:"" help:"The other one." placeholder:"B"`
	Collection string `short:"c" help:"Collection whose documents are ranked." placeholder:"NAME"`
	Qrels      string `help:"With -c: file of judged queries, ${judged}. Pairs cut out of the documents when left out." placeholder:"PATH"`
	Title      string `help:"With -c: payload field with a document's title." placeholder:"FIELD"`
	STS        string `name:"sts" help:"File of sentence pairs with people's scores: two sentences and a score a line, separated by tabs, or by commas in a .csv." placeholder:"FILE"`
	Corpus     string `help:"Directory of a judged collection: BEIR's files, or SMART's as Cranfield has them." placeholder:"DIR"`
	Threads    int    `help:"Threads of a transformer. 0: one a core." default:"0"`
	JSON       bool   `help:"Print JSON."`
}

// Help teaches.
func (modelsCompareCmd) Help() string {
	return `Examples:
  vecino models compare local:minilm 'local:minilm?precision=int8' --sts stsb-dev.csv
  vecino models compare builtin:hash ./some/model --corpus ./cranfield
  vecino models compare builtin:blend local:docs-adapted -c docs --qrels judged.jsonl

Options after ?: precision (f32, int8), dimensions, query_prompt,
document_prompt, normalize. Where both vectors have the same dimension their
cosines are shown: near 1 where one model only computes otherwise, and without
meaning for two different ones. With -c the documents of a collection are ranked,
and agreement is the share of the first ten that both find. Without judged
queries the parts of a document look for each other: of an adapted model that
trained on these documents this says too much; its card has what it did on
documents that it had not seen. Without --sts, --corpus and -c speed and cosines are
measured on a few built-in texts.`
}

// measured is one column.
type measured struct {
	Model       string               `json:"model"`
	Kind        string               `json:"kind"`
	Dimension   int                  `json:"dimension"`
	VectorBytes int                  `json:"bytes_per_vector"` // as stored: float32
	Precision   string               `json:"precision"`
	Fingerprint string               `json:"fingerprint"`
	LoadSeconds float64              `json:"load_seconds"`
	Memory      int64                `json:"memory_bytes"` // on the heap, after encoding
	Tokens      int                  `json:"tokens"`
	PerSecond   float64              `json:"tokens_per_second"`
	QueryMillis float64              `json:"query_ms"` // median of one short query
	Similarity  *evaluate.Similarity `json:"sts,omitempty"`
	Retrieval   *evaluate.Retrieval  `json:"retrieval,omitempty"`

	vectors evaluate.Sample
}

// comparison is the whole.
type comparison struct {
	A       measured          `json:"a"`
	B       measured          `json:"b"`
	Cosines *evaluate.Cosines `json:"cosines,omitempty"` // of the same texts by both
	// Agreement of the rankings, where there are any.
	Agreement *compare.Agreement `json:"agreement,omitempty"`
}

// material is what the models are measured on.
type material struct {
	pairs      []evaluate.Pair
	collection *evaluate.Collection
	texts      []string // for speed and cosines
}

// maxSample bounds the texts for speed and cosines.
const maxSample = 512

// Run compares.
func (c *modelsCompareCmd) Run(ctx context.Context, out *output) error {
	switch {
	case c.Collection != "" && c.Corpus != "":
		return usageError{errors.New("--corpus and -c are two collections to rank; give one of them")}
	case c.Collection == "" && (c.Qrels != "" || c.Title != ""):
		return usageError{errors.New("--qrels and --title belong to a collection; name it by -c")}
	}
	var refs [2]modelRef
	for i, text := range []string{c.A, c.B} {
		var err error
		if refs[i], err = parseModelRef(text); err != nil {
			return err
		}
	}
	m, err := c.material(ctx)
	if err != nil {
		return err
	}
	var both comparison
	for i, column := range []*measured{&both.A, &both.B} {
		fmt.Fprintf(out.errors, "measuring %s\n", refs[i].text)
		if *column, err = c.measure(ctx, refs[i], m); err != nil {
			return fmt.Errorf("%s: %w", refs[i].text, err)
		}
	}
	if both.A.Dimension == both.B.Dimension {
		both.Cosines = both.A.vectors.Compare(both.B.vectors)
	}
	if m.collection != nil {
		agreement, err := agree(*m.collection, *both.A.Retrieval, *both.B.Retrieval)
		if err != nil {
			return err
		}
		both.Agreement = &agreement
	}
	if c.JSON {
		return out.JSON(both)
	}
	out.Table(table.Row{"", "A", "B"}, comparisonRows(both))
	return nil
}

// material reads what is to be measured on.
func (c *modelsCompareCmd) material(ctx context.Context) (m material, err error) {
	if c.STS != "" {
		if m.pairs, err = evaluate.OpenPairs(c.STS); err != nil {
			return m, err
		}
		for _, p := range m.pairs {
			m.texts = append(m.texts, p.A, p.B)
		}
	}
	if c.Corpus != "" {
		collection, err := evaluate.Open(c.Corpus)
		if err != nil {
			return m, err
		}
		m.collection, m.texts = &collection, collection.Documents
	}
	if c.Collection != "" {
		collection, err := c.stored(ctx)
		if err != nil {
			return m, err
		}
		m.collection, m.texts = &collection, collection.Documents
	}
	if m.texts == nil {
		points, err := readFieldguide()
		if err != nil {
			return m, err
		}
		for _, p := range points {
			m.texts = append(m.texts, p.Text)
		}
	}
	m.texts = m.texts[:min(len(m.texts), maxSample)]
	return m, nil
}

// measure opens a model, measures it alone, and closes it.
func (c *modelsCompareCmd) measure(ctx context.Context, ref modelRef, m material) (out measured, err error) {
	before, begun := heap(), time.Now()
	encoder, err := ref.open(ctx, c.Models, c.Threads)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, encoder.Close()) }()
	space := encoder.Space()
	out = measured{
		Model: ref.text, Kind: encoder.Info().Kind, Dimension: space.Dimension, VectorBytes: 4 * space.Dimension, Precision: string(space.Precision),
		Fingerprint: space.Fingerprint().String(), LoadSeconds: time.Since(begun).Seconds(),
	}
	if out.vectors, err = evaluate.Encode(ctx, encoder, m.texts); err != nil {
		return out, err
	}
	out.Memory = max(heap()-before-out.vectors.Bytes(), 0)
	out.Tokens, out.PerSecond = out.vectors.Tokens, float64(out.vectors.Tokens)/max(out.vectors.Seconds, 1e-9)
	if out.QueryMillis, err = evaluate.QueryTime(ctx, encoder); err != nil {
		return out, err
	}
	if m.pairs != nil {
		got, err := evaluate.Correlate(ctx, encoder, m.pairs)
		if err != nil {
			return out, err
		}
		out.Similarity = &got
	}
	if m.collection != nil {
		got, err := evaluate.Retrieve(ctx, encoder, *m.collection)
		if err != nil {
			return out, err
		}
		out.Retrieval = &got
		out.Tokens, out.PerSecond = got.Tokens, float64(got.Tokens)/max(got.EncodeSeconds, 1e-9)
	}
	return out, nil
}

// heap is the size of what is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// comparisonRows are the rows of the table.
func comparisonRows(c comparison) []table.Row {
	var rows []table.Row
	add := func(name string, value func(m measured) string) {
		rows = append(rows, table.Row{name, value(c.A), value(c.B)})
	}
	add("model", func(m measured) string { return line(m.Model, 80) })
	add("kind", func(m measured) string { return m.Kind })
	add("dimension, precision", func(m measured) string { return fmt.Sprintf("%d, %s", m.Dimension, m.Precision) })
	if c.A.Similarity != nil {
		add("sentence pairs, Spearman", func(m measured) string { return fmt.Sprintf("%.4f of %d", m.Similarity.Spearman, m.Similarity.Pairs) })
	}
	if c.A.Retrieval != nil {
		add("retrieval, nDCG@10", func(m measured) string { return fmt.Sprintf("%.4f", m.Retrieval.NDCG10) })
		add("retrieval, recall@100", func(m measured) string { return fmt.Sprintf("%.4f", m.Retrieval.Recall100) })
		add("retrieval, MRR@10", func(m measured) string { return fmt.Sprintf("%.4f", m.Retrieval.MRR10) })
		add("texts without tokens", func(m measured) string { return strconv.Itoa(m.Retrieval.Unusable) })
	}
	if g := c.Agreement; g != nil {
		rows = append(rows, table.Row{fmt.Sprintf("agreement@%d", g.K), fmt.Sprintf("%.4f of %d queries", g.Overlap, g.Queries), fmt.Sprintf("same first %d", g.SameFirst)})
	}
	add("bytes a vector", func(m measured) string { return strconv.Itoa(m.VectorBytes) })
	add("tokens a second", func(m measured) string { return fmt.Sprintf("%.0f (%d tokens)", m.PerSecond, m.Tokens) })
	add("a short query", func(m measured) string { return fmt.Sprintf("%.3f ms", m.QueryMillis) })
	add("memory on the heap", func(m measured) string { return bytesText(m.Memory) })
	add("time to load", func(m measured) string { return fmt.Sprintf("%.2f s", m.LoadSeconds) })
	if x := c.Cosines; x != nil {
		rows = append(rows, table.Row{"cosine of the two", fmt.Sprintf("mean %.5f", x.Mean), fmt.Sprintf("least %.5f, of %d texts", x.Least, x.Texts)})
	}
	add("fingerprint", func(m measured) string { return m.Fingerprint[:16] })
	return rows
}
