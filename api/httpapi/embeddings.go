package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// embeddingsRequest is a request in OpenAI's dialect.
type embeddingsRequest struct {
	api.EmbedRequest
	base64 bool
}

// decodeEmbeddings reads one.
func decodeEmbeddings(data []byte) (embeddingsRequest, error) {
	var q embeddingsRequest
	truncate, format, inputType, user := true, "", "", ""
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		err := fields(r, map[string]func() error{
			"input":           into(&q.Texts, func() ([]string, error) { return inputs(r) }),
			"model":           into(&q.Model, r.Str),
			"dimensions":      optional(r, integer(r, &q.Dimensions, 1, compat.MaxDimension)),
			"precision":       optional(r, oneOf(r, &q.Precision, compat.PrecisionF32, compat.PrecisionInt8)),
			"encoding_format": optional(r, oneOf(r, &format, "float", "base64")),
			"input_type":      optional(r, oneOf(r, &inputType, "query", "document")),
			"truncate":        optional(r, into(&truncate, r.Bool)),
			"user":            optional(r, into(&user, r.Str)),
		})
		switch {
		case err != nil:
			return err
		case q.Texts == nil:
			return malformed("missing_input", "/input", "input is missing")
		case q.Model == "":
			return malformed("missing_model", "/model", "model is missing; GET /v1/models lists those there are")
		}
		return nil
	})
	q.base64, q.NoTruncate = format == "base64", !truncate
	if inputType == "query" {
		q.Role = embed.RoleQuery
	}
	return q, err
}

// inputs reads a text or a list of texts. Token ids are OpenAI's third form;
// they would have to be those of the model's own tokenizer.
func inputs(r *strictjson.Reader) ([]string, error) {
	if r.Kind() == strictjson.String {
		text, err := r.Str()
		return []string{text}, err
	}
	texts := []string{}
	err := r.Array(func(i int) error {
		switch {
		case i >= api.MaxEmbedInputs:
			return r.Fail("more than %d inputs in one request", api.MaxEmbedInputs)
		case r.Kind() == strictjson.Number || r.Kind() == strictjson.Array:
			return malformed("token_ids", r.Pointer(), "the models here take texts, not token ids; send the text")
		}
		text, err := r.Str()
		texts = append(texts, text)
		return err
	})
	if err == nil && len(texts) == 0 {
		err = r.Fail("input is empty")
	}
	return texts, err
}

// embedding is one vector of an answer.
type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or their bytes in base64
	Tokens    int    `json:"tokens"`
	Truncated bool   `json:"truncated"`
}

// createEmbeddings encodes texts.
func (s *Server) createEmbeddings(ctx context.Context, c *call) (answer, error) {
	q, err := decodeEmbeddings(c.body)
	if err != nil {
		return answer{}, err
	}
	encoded, err := s.service.Embed(ctx, q.EmbedRequest)
	if err != nil {
		return answer{}, err
	}
	have := encoded.Vectors.Fingerprint().String()
	if want := c.request.Header.Get(headerFingerprint); want != "" && want != have {
		return answer{}, &requestError{
			status: http.StatusConflict, code: "another_space", expected: have, actual: want,
			detail: fmt.Sprintf("model %q gives vectors of another embedding space than the request expects: %s", q.Model, have), remedy: "use the model and dimensions of the collection that the vectors are for",
		}
	}
	data := make([]embedding, encoded.Vectors.Len())
	total := 0
	for i := range data {
		row := encoded.Vectors.Row(i)
		data[i] = embedding{Object: "embedding", Index: i, Embedding: row, Tokens: encoded.Tokens[i], Truncated: encoded.Truncated[i]}
		if q.base64 {
			data[i].Embedding = base64Floats(row)
		}
		total += encoded.Tokens[i]
	}
	return answer{fingerprint: have, bare: map[string]any{
		"object": "list", "data": data, "model": q.Model, "usage": map[string]int{"prompt_tokens": total, "total_tokens": total},
	}}, nil
}

// base64Floats is OpenAI's compact form: little-endian 32-bit floats.
func base64Floats(row []float32) string {
	b := make([]byte, 0, 4*len(row))
	for _, x := range row {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// model is an entry of the list of models.
type model struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	Kind        string `json:"kind,omitempty"`
	Description string `json:"description,omitempty"`
	Licence     string `json:"licence,omitempty"`
	Dimensions  int    `json:"dimensions,omitempty"`
	Matryoshka  []int  `json:"matryoshka,omitempty"`
	MaxTokens   int    `json:"max_tokens,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Problem     string `json:"problem,omitempty"`
}

// entry describes a model.
func entry(m api.Model) model {
	out := model{ID: m.Name, Object: "model", OwnedBy: "vecino", Problem: m.Problem}
	if m.Problem == "" {
		out.Kind, out.Description, out.Licence, out.Matryoshka = m.Info.Kind, m.Info.Description, m.Info.Licence, m.Info.Matryoshka
	}
	if m.Space.Dimension != 0 {
		out.Dimensions, out.MaxTokens, out.Fingerprint = m.Space.Dimension, m.Space.MaxTokens, m.Space.Fingerprint().String()
	}
	return out
}

// listModels lists the models that can be named.
func (s *Server) listModels(ctx context.Context, _ *call) (answer, error) {
	list, err := s.service.Encoders().List(ctx)
	if err != nil {
		return answer{}, err
	}
	data := make([]model, 0, len(list))
	for _, m := range list {
		data = append(data, entry(m))
	}
	return answer{bare: map[string]any{"object": "list", "data": data}}, nil
}

// getModel describes one model.
func (s *Server) getModel(ctx context.Context, c *call) (answer, error) {
	m, err := s.service.Encoders().Describe(ctx, c.path["model"])
	if err != nil {
		return answer{}, err
	}
	return answer{bare: entry(m)}, nil
}
