package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/vecino-db/vecino/compat"
)

// connection says which server a command speaks to.
type connection struct {
	Server string `help:"Address of the server." default:"http://127.0.0.1:7747" placeholder:"URL"`
	Data   string `help:"Work on the stopped store of this directory instead of a server." placeholder:"DIR" env:"-" own:""`
	Models string `help:"With --data: directory of local models." placeholder:"DIR"`

	create bool // with --data: make a store where there is none
}

// AfterApply decides between --server and --data, which a command line that
// gives both leaves open. One that gives --server goes before a --data of the
// configuration.
func (c *connection) AfterApply(parsed *kong.Context) error {
	given := map[string]bool{}
	for _, p := range parsed.Path {
		if p.Flag != nil && !p.Resolved {
			given[p.Flag.Name] = true
		}
	}
	switch {
	case given["server"] && given["data"]:
		return errors.New("--server and --data are two places to work on; give one of them")
	case given["server"]:
		c.Data = ""
	}
	return nil
}

// open connects. With --data it starts a server of its own on a free port, so
// that there is one way to speak; close ends it and checkpoints.
func (c connection) open(ctx context.Context) (r *remote, end func() error, err error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	r = &remote{base: strings.TrimRight(c.Server, "/"), http: &http.Client{Transport: transport}}
	end = func() error { transport.CloseIdleConnections(); return nil }
	if c.Data == "" {
		if u, err := url.Parse(r.base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, nil, usageError{fmt.Errorf("--server %q is no address; write it as http://127.0.0.1:7747", c.Server)}
		}
		return r, end, nil
	}
	server, err := startServer(ctx, serveOptions{Data: c.Data, Existing: !c.create, Listen: "127.0.0.1:0", Models: modelsDir(c.Models), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	r.base = server.URL
	return r, func() error {
		transport.CloseIdleConnections()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return server.Close(closing)
	}, nil
}

// with runs f with a connection and ends it.
func (c connection) with(ctx context.Context, f func(r *remote) error) error {
	r, end, err := c.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(r), end())
}

// remote is a server as its client sees it.
type remote struct {
	base        string
	http        *http.Client
	fingerprint string // space that the vectors of requests are said to be of; "" for none
}

// serverError is a refusal by the server.
type serverError struct {
	status     int
	retryAfter time.Duration
	Detail     string          `json:"detail"`
	Code       string          `json:"code"`
	Remedy     string          `json:"remedy"`
	Changes    []compat.Change `json:"changes"`
	Adoption   json.RawMessage `json:"adoption"` // figures of one that was refused
}

// Error is what the server said.
func (e *serverError) Error() string {
	text := e.Detail
	if text == "" {
		text = http.StatusText(e.status)
	}
	for _, c := range e.Changes {
		if c.Verdict > compat.VerdictSame {
			text += fmt.Sprintf("\n  %s: %s, asked for %s (%s)", c.Field, c.Have, c.Want, c.Verdict)
		}
	}
	if e.Remedy != "" {
		text += "\n  what to do: " + e.Remedy
	}
	return text
}

// anotherSpace reports whether spaces would have been mixed.
func (e *serverError) anotherSpace() bool {
	switch e.Code {
	case "another_space", "another_model", "encoder_changed", "adoption_refused", "adoption_unproved":
		return e.status == http.StatusConflict
	}
	return e.status == http.StatusConflict && compat.Worst(e.Changes) > compat.VerdictTune
}

// temporary reports whether the same request may succeed later.
func (e *serverError) temporary() bool {
	return e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable && e.Code != "encoder_missing" && e.Code != "model_unreadable"
}

// maxReply bounds what is read of an answer.
const maxReply = 1 << 30

// call sends a body as JSON (nil for none) and decodes the whole answer.
func (r *remote) call(ctx context.Context, method, path string, body, answer any) error {
	var content io.Reader
	if body != nil {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // payloads are stored as they are sent
		if err := e.Encode(body); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		content = &b
	}
	request, err := http.NewRequestWithContext(ctx, method, r.base+path, content)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.fingerprint != "" {
		request.Header.Set("X-Vecino-Fingerprint", r.fingerprint)
	}
	response, err := r.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w; is a server running? start one by: vecino serve", err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return refusal(response, data)
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("%s %s: the answer is not vecino's: %w", method, path, err)
	}
	return nil
}

// refusal reads an error in either dialect.
func refusal(response *http.Response, data []byte) error {
	e := &serverError{status: response.StatusCode}
	var openAI struct {
		Error struct{ Message, Code string } `json:"error"`
	}
	if json.Unmarshal(data, e) != nil || e.Detail == "" {
		if json.Unmarshal(data, &openAI) == nil {
			e.Detail, e.Code = openAI.Error.Message, openAI.Error.Code
		}
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.retryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// result decodes the "result" of an answer.
func (r *remote) result(ctx context.Context, method, path string, body, result any) error {
	return r.call(ctx, method, path, body, &struct {
		Result any `json:"result"`
	}{result})
}

// collection is the path of a collection and what follows it.
func collection(name, rest string) string {
	return "/collections/" + url.PathEscape(name) + rest
}
