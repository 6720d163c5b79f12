package remote

import (
	"context"
	"fmt"
	"strings"
)

// limitPerFloat bounds the bytes of a component in JSON, separators included:
// "-1.2345678901234567e-308, " with room to spare.
const limitPerFloat = 40

// vectors asks for the vectors of texts, in one request, in order. Their
// dimension is not checked.
func (e *Encoder) vectors(ctx context.Context, texts []string) ([]row, error) {
	dim := e.space.Dimension
	if dim == 0 {
		dim = maxUnknownDimension
	}
	limit := int64(len(texts))*(int64(dim)*limitPerFloat+256) + 64<<10
	var rows []row
	var err error
	switch e.options.Kind {
	case KindOpenAI:
		rows, err = e.openAI(ctx, texts, limit)
	case KindOllama:
		rows, err = e.ollama(ctx, texts, limit)
	default:
		rows, err = e.tei(ctx, texts, limit)
	}
	if err == nil && len(rows) != len(texts) {
		err = fmt.Errorf("%w: %d vectors for %d texts: look at the endpoint", ErrAnswer, len(rows), len(texts))
	}
	return rows, err
}

// dimensions is what the endpoint is asked to shorten its vectors to.
func (e *Encoder) dimensions() int {
	if e.options.Shorten {
		return e.options.Dimensions
	}
	return 0
}

func (e *Encoder) openAI(ctx context.Context, texts []string, limit int64) ([]row, error) {
	path := "/v1/embeddings"
	if strings.HasSuffix(e.base.Path, "/v1") {
		path = "/embeddings"
	}
	request := struct {
		Input      []string `json:"input"`
		Model      string   `json:"model"`
		Format     string   `json:"encoding_format"`
		Dimensions int      `json:"dimensions,omitempty"`
	}{texts, e.model, "float", e.dimensions()}
	var answer struct {
		Data []struct {
			Index     *int `json:"index"`
			Embedding row  `json:"embedding"`
		} `json:"data"`
	}
	if err := e.call(ctx, path, request, &answer, limit); err != nil {
		return nil, err
	}
	if len(answer.Data) != len(texts) {
		return nil, fmt.Errorf("%w: %d vectors for %d texts: look at the endpoint", ErrAnswer, len(answer.Data), len(texts))
	}
	rows := make([]row, len(texts))
	for _, d := range answer.Data {
		if d.Index == nil || *d.Index < 0 || *d.Index >= len(rows) || rows[*d.Index] != nil || d.Embedding == nil {
			return nil, fmt.Errorf("%w: an index is missing, out of range or there twice: look at the endpoint", ErrAnswer)
		}
		rows[*d.Index] = d.Embedding
	}
	return rows, nil
}

func (e *Encoder) ollama(ctx context.Context, texts []string, limit int64) ([]row, error) {
	request := struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Truncate   bool     `json:"truncate"`
		Dimensions int      `json:"dimensions,omitempty"`
	}{e.model, texts, e.options.Truncate, e.dimensions()}
	var answer struct {
		Embeddings []row `json:"embeddings"`
	}
	err := e.call(ctx, "/api/embed", request, &answer, limit)
	return answer.Embeddings, err
}

func (e *Encoder) tei(ctx context.Context, texts []string, limit int64) ([]row, error) {
	request := struct {
		Inputs     []string `json:"inputs"`
		Truncate   bool     `json:"truncate"`
		Normalize  bool     `json:"normalize"`
		Dimensions int      `json:"dimensions,omitempty"`
	}{texts, e.options.Truncate, true, e.dimensions()}
	var answer []row
	err := e.call(ctx, "/embed", request, &answer, limit)
	return answer, err
}

// teiInfo is what is read of /info.
type teiInfo struct {
	ModelID   string `json:"model_id"`
	ModelSHA  string `json:"model_sha"`
	ModelType struct {
		Embedding *struct {
			Pooling string `json:"pooling"`
		} `json:"embedding"`
	} `json:"model_type"`
	MaxInputLength     int `json:"max_input_length"`
	MaxClientBatchSize int `json:"max_client_batch_size"`
}

func (e *Encoder) info(ctx context.Context) (teiInfo, error) {
	var info teiInfo
	err := e.call(ctx, "/info", nil, &info, 64<<10)
	return info, err
}

// tokenize asks for the number of tokens of each text, special tokens
// included.
func (e *Encoder) tokenize(ctx context.Context, texts []string) ([]int, error) {
	request := struct {
		Inputs []string `json:"inputs"`
		Add    bool     `json:"add_special_tokens"`
	}{texts, true}
	bytes := 0
	for _, t := range texts {
		bytes += len(t)
	}
	// A token is an object of some 80 bytes and its text, for each byte or so
	// of the text at worst.
	var answer [][]struct{}
	if err := e.call(ctx, "/tokenize", request, &answer, int64(bytes)*160+int64(len(texts))*1024+64<<10); err != nil {
		return nil, err
	}
	if len(answer) != len(texts) {
		return nil, fmt.Errorf("%w: %d lists of tokens for %d texts: look at the endpoint", ErrAnswer, len(answer), len(texts))
	}
	counts := make([]int, len(texts))
	for i, tokens := range answer {
		counts[i] = len(tokens)
	}
	return counts, nil
}
