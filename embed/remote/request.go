package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/vecino-db/vecino/embed/remote/egress"
	"github.com/vecino-db/vecino/embed/remote/retry"
)

const maxErrorBytes = 8 << 10

// errTimeout is the cause of a request that took longer than Options.Timeout.
var errTimeout = errors.New("no answer in time")

// call sends body as JSON (nil: a GET) to a path below the endpoint and decodes
// the answer, of at most limit bytes, into answer. It waits for its turn among
// the requests in flight, and retries what may pass.
func (e *Encoder) call(ctx context.Context, path string, body, answer any, limit int64) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = marshal(body); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return e.options.Retry.Do(ctx, e.options.Clock, func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.breaker.enter(); err != nil {
			return err
		}
		result := unknown
		defer func() { e.breaker.leave(result) }()
		got, err := e.send(ctx, path, text, limit)
		switch {
		case err == nil:
			result = alive
			return decode(got, answer)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		result = dead
		var status *StatusError
		if errors.As(err, &status) && !errors.Is(err, ErrUnavailable) {
			result = alive
		}
		return err
	})
}

// marshal writes JSON as it is meant to be read by other programs: '<' and '>'
// stay what they are.
func marshal(body any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(body)
	return b.Bytes(), err
}

// send is one attempt. It returns the body of an answer 200.
func (e *Encoder) send(ctx context.Context, path string, text []byte, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.options.Timeout, errTimeout)
	defer cancel()
	target := *e.base
	target.Path += path
	method := http.MethodGet
	var reader io.Reader
	if text != nil {
		method, reader = http.MethodPost, bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), reader)
	if err != nil {
		return nil, fmt.Errorf("%w: the URL of %s can't be used", ErrRefused, target.Host)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "vecino")
	if text != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	e.authorize(request.Header)
	response, err := e.http.Do(request)
	if err != nil {
		return nil, e.failed(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, e.refused(response)
	}
	got, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case err != nil:
		return nil, e.failed(ctx, err)
	case int64(len(got)) > limit:
		return nil, fmt.Errorf("%w: %s sends more than the %d bytes that the request can take: check the URL and the model", ErrAnswer, e.base.Host, limit)
	}
	return got, nil
}

// failed is the error of a request without a whole answer. A *url.Error's text
// is not shown, as it repeats the URL.
func (e *Encoder) failed(ctx context.Context, err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if errors.Is(context.Cause(ctx), errTimeout) {
		err = errTimeout
	}
	if errors.Is(err, egress.ErrRefused) {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, e.base.Host, err)
	}
	return retry.Again(fmt.Errorf("%w: %s: %w: check the network, the URL, and that the endpoint runs", ErrUnavailable, e.base.Host, err))
}

// refused is the error of an answer that is not 200.
func (e *Encoder) refused(response *http.Response) error {
	err := &StatusError{Endpoint: e.base.Host, Status: response.StatusCode}
	// Endpoints repeat the key, in part or in whole, when they refuse it.
	if !errors.Is(err, ErrKey) {
		if body, readErr := io.ReadAll(io.LimitReader(response.Body, maxErrorBytes)); readErr == nil {
			err.Message = e.redact(message(body))
		}
	}
	after, asked := retry.ParseAfter(response.Header, e.options.Clock.Now())
	err.RetryAfter = after
	switch {
	case !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrOverloaded):
		return err
	case asked:
		return retry.After(err, after)
	}
	return retry.Again(err)
}

// message finds the words in the ways that the three kinds of endpoints have
// of saying them; anything else is shown as it is.
func message(body []byte) string {
	var forms struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(body, &forms) != nil {
		return string(body)
	}
	var text string
	var object struct {
		Message string `json:"message"`
	}
	switch {
	case json.Unmarshal(forms.Error, &text) == nil && text != "":
		return text
	case json.Unmarshal(forms.Error, &object) == nil && object.Message != "":
		return object.Message
	case forms.Message != "":
		return forms.Message
	}
	return string(body)
}
