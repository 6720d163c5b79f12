package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// restClient speaks to the quickstart's own server as any client would.
type restClient struct {
	base string // "http://127.0.0.1:7747"
	http *http.Client
}

// restAnswer is an answer as it came.
type restAnswer struct {
	status int
	line   string // "409 Conflict"
	body   []byte
	took   time.Duration
	space  string // fingerprint that a collection's answer carries
}

// maxAnswer bounds what is read of an answer; the quickstart's are small.
const maxAnswer = 8 << 20

// call sends body as JSON, nil for none, and reads the answer, whatever its
// status.
func (c *restClient) call(ctx context.Context, method, path string, body any) (restAnswer, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return restAnswer{}, fmt.Errorf("%s %s: %w", method, path, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return restAnswer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	begun := time.Now()
	response, err := c.http.Do(request)
	if err != nil {
		return restAnswer{}, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return restAnswer{}, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return restAnswer{status: response.StatusCode, line: response.Status, body: read, took: time.Since(begun), space: response.Header.Get("X-Vecino-Fingerprint")}, nil
}

// result sends body and decodes the "result" of the answer, which must be 200
// or 201, into result.
func (c *restClient) result(ctx context.Context, method, path string, body, result any) (time.Duration, error) {
	answer, err := c.answer(ctx, method, path, body, result)
	return answer.took, err
}

// answer is result with the whole answer.
func (c *restClient) answer(ctx context.Context, method, path string, body, result any) (restAnswer, error) {
	answer, err := c.call(ctx, method, path, body)
	if err != nil {
		return answer, err
	}
	if answer.status != http.StatusOK && answer.status != http.StatusCreated {
		return answer, fmt.Errorf("%s %s: %s: %s", method, path, answer.line, answer.body)
	}
	envelope := struct {
		Result any `json:"result"`
	}{result}
	if err := json.Unmarshal(answer.body, &envelope); err != nil {
		return answer, fmt.Errorf("%s %s: %w in %.200s", method, path, err, answer.body)
	}
	return answer, nil
}
