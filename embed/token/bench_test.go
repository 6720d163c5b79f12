package token

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/embedtest"
)

// cranfield is the abstracts of the Cranfield collection: English prose.
func cranfield(b *testing.B) []string {
	b.Helper()
	content, err := os.ReadFile(embedtest.Shared(b, "retrieval", "cranfield", "cran.all.1400"))
	if err != nil {
		b.Fatal(err)
	}
	var texts []string
	for _, document := range regexp.MustCompile(`(?m)^\.I \d+$`).Split(string(content), -1)[1:] {
		_, text, _ := strings.Cut(document, "\n.W\n")
		texts = append(texts, text)
	}
	return texts
}

// BenchmarkEncode is ids of one text after another on one core.
func BenchmarkEncode(b *testing.B) {
	texts := cranfield(b)
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	for name, path := range map[string]string{
		"WordPiece":           "tokenizers/all-MiniLM-L6-v2/tokenizer.json",
		"Unigram/t5":          "tokenizers/t5-small/tokenizer.json",
		"Unigram/xlm-roberta": "tokenizers/paraphrase-multilingual-mpnet-base-v2.tokenizer.json.gz",
		"Unigram/model2vec":   "models/model2vec-test-model-vocab-quantized/tokenizer.json",
		"BPE/gpt2":            "tokenizers/gpt2/tokenizer.json",
		"BPE/llama2":          "tokenizers/wordllama-l2/tokenizer.json",
		"WordLevel/glove":     "models/glove-6b-50d-5k/tokenizer.json",
	} {
		b.Run(name, func(b *testing.B) {
			tok := load(b, embedtest.Shared(b, path))
			var ids []uint32
			tokens := 0
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				tokens = 0
				for _, text := range texts {
					ids, _ = tok.Append(ids[:0], text, Options{})
					tokens += len(ids)
				}
			}
			b.ReportMetric(float64(tokens)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mtokens/s")
		})
	}
}

// BenchmarkLoad is the time to read a tokenizer.json.
func BenchmarkLoad(b *testing.B) {
	for name, path := range map[string]string{
		"WordPiece":  "tokenizers/all-MiniLM-L6-v2/tokenizer.json",
		"Unigram/t5": "tokenizers/t5-small/tokenizer.json",
		"BPE/gpt2":   "tokenizers/gpt2/tokenizer.json",
	} {
		b.Run(name, func(b *testing.B) {
			path := embedtest.Shared(b, path)
			for b.Loop() {
				load(b, path)
			}
		})
	}
}
