package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/store"
)

// errInternal stands for what the service did not expect.
var errInternal = errors.New("internal error")

// requestError is a refusal by this package.
type requestError struct {
	status  int
	code    string
	detail  string
	remedy  string
	pointer string // into the body
	cause   error
	// expected and actual are fingerprints.
	expected, actual string
}

// Error is what is wrong.
func (e *requestError) Error() string { return e.detail }

// Unwrap gives the cause.
func (e *requestError) Unwrap() error { return e.cause }

// malformed makes the error of a request that can't be understood.
func malformed(code, pointer, format string, args ...any) *requestError {
	return &requestError{status: http.StatusBadRequest, code: code, pointer: pointer, detail: fmt.Sprintf(format, args...)}
}

// problem is the body of an error: RFC 9457 with members of our own.
type problem struct {
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Detail   string          `json:"detail"`
	Instance string          `json:"instance"`
	Status   problemStatus   `json:"status"`
	Code     string          `json:"code"`
	Errors   []api.Field     `json:"errors,omitempty"`
	Expected string          `json:"expected,omitempty"`
	Actual   string          `json:"actual,omitempty"`
	Changes  []compat.Change `json:"changes,omitempty"`
	Remedy   string          `json:"remedy,omitempty"`
	// Adoption is the figures of one that was refused.
	Adoption *api.AdoptResult `json:"adoption,omitempty"`

	status     int
	retryAfter time.Duration // 0: nothing is said of it
}

// problemStatus is where Qdrant's clients look for the message.
type problemStatus struct {
	Error string `json:"error"`
}

// titles name the statuses for people.
var titles = map[int]string{
	http.StatusBadRequest: "Malformed request", http.StatusNotFound: "Not found", http.StatusMethodNotAllowed: "Method not allowed",
	http.StatusRequestTimeout: "Out of time", http.StatusConflict: "Conflict", http.StatusPreconditionFailed: "Another manifest",
	http.StatusRequestEntityTooLarge: "Too large", http.StatusUnsupportedMediaType: "Unsupported media type", http.StatusUnprocessableEntity: "Unusable value",
	http.StatusInternalServerError: "Internal error", http.StatusServiceUnavailable: "Not ready", http.StatusInsufficientStorage: "Disk nearly full",
	http.StatusTooManyRequests: "Too much to do", http.StatusMisdirectedRequest: "Another host",
}

// problemOf turns any error into what the client is told.
func problemOf(err error) problem {
	p := describe(err)
	if p.Title == "" {
		p.Title = titles[p.status]
	}
	p.Type, p.Status.Error = "urn:vecino:problem:"+p.Code, p.Detail
	return p
}

// describe finds the kind of error.
func describe(err error) problem {
	var (
		request  *requestError
		service  *api.Error
		mismatch *compat.MismatchError
		invalid  *compat.InvalidError
		vector   *compat.VectorError
		syntax   *strictjson.Error
		router   *echo.HTTPError
	)
	switch {
	case errors.As(err, &request):
		p := problem{status: request.status, Code: request.code, Detail: request.detail, Remedy: request.remedy, Expected: request.expected, Actual: request.actual}
		if request.pointer != "" {
			p.Errors = []api.Field{{Pointer: request.pointer, Reason: request.detail}}
		}
		return p
	case errors.As(err, &service):
		return ofService(service)
	case errors.As(err, &mismatch):
		p := problem{status: http.StatusConflict, Code: "another_space", Title: "Another embedding space", Detail: mismatch.Summary()}
		return p.with(mismatch)
	case errors.As(err, &invalid):
		p := problem{status: http.StatusUnprocessableEntity, Code: "invalid_manifest", Detail: invalid.Error(), Remedy: "use a value that is allowed"}
		for _, f := range invalid.Fields {
			p.Errors = append(p.Errors, api.Field{Pointer: "/" + strings.ReplaceAll(f.Field, ".", "/"), Reason: f.Error()})
		}
		return p
	case errors.As(err, &vector):
		return problem{status: http.StatusUnprocessableEntity, Code: "bad_vector", Detail: vector.Error()}
	case errors.As(err, &syntax):
		return problem{status: http.StatusBadRequest, Code: "bad_json", Detail: syntax.Error(), Errors: []api.Field{{Pointer: syntax.Pointer, Reason: syntax.Reason}}}
	case errors.As(err, &router):
		return ofRouter(router)
	}
	return ofSentinel(err)
}

// ofService describes a refusal of the service.
func ofService(e *api.Error) problem {
	status := map[api.Kind]int{
		api.KindMalformed: http.StatusBadRequest, api.KindInvalid: http.StatusUnprocessableEntity, api.KindNotFound: http.StatusNotFound,
		api.KindConflict: http.StatusConflict, api.KindTooLarge: http.StatusRequestEntityTooLarge, api.KindNotReady: http.StatusServiceUnavailable,
		api.KindFull: http.StatusInsufficientStorage, api.KindOverloaded: http.StatusTooManyRequests,
	}[e.Kind]
	p := problem{status: status, Code: e.Code, Detail: e.Detail, Remedy: e.Remedy, Errors: e.Fields, retryAfter: e.RetryAfter}
	var mismatch *compat.MismatchError
	if errors.As(e.Err, &mismatch) {
		p = p.with(mismatch)
	}
	var adoption *api.AdoptError
	if errors.As(e.Err, &adoption) {
		p.Adoption = &adoption.Result
	}
	return p
}

// with adds what a mismatch knows.
func (p problem) with(e *compat.MismatchError) problem {
	p.Expected, p.Actual, p.Changes, p.Remedy = e.Have.String(), e.Want.String(), e.Changes, e.Plan.Remedy
	return p
}

// ofRouter describes a path or method that there isn't.
func ofRouter(e *echo.HTTPError) problem {
	if e.Code == http.StatusMethodNotAllowed {
		return problem{status: e.Code, Code: "method_not_allowed", Detail: "the path has no such method", Remedy: "GET /openapi.yaml lists what there is"}
	}
	return problem{status: http.StatusNotFound, Code: "no_such_path", Detail: "there is no such path", Remedy: "GET /openapi.yaml lists what there is"}
}

// sentinels are errors that are told apart by identity.
var sentinels = []struct {
	err    error
	status int
	code   string
	remedy string
}{
	{store.ErrNotFound, http.StatusNotFound, "collection_not_found", "GET /collections lists those there are"},
	{store.ErrPointNotFound, http.StatusNotFound, "point_not_found", ""},
	{store.ErrExists, http.StatusConflict, "collection_exists", "choose another name"},
	{store.ErrName, http.StatusUnprocessableEntity, "bad_collection_name", ""},
	{store.ErrID, http.StatusBadRequest, "bad_id", "ids are unsigned integers or strings of 1 to 512 bytes"},
	{store.ErrDocument, http.StatusUnprocessableEntity, "bad_document", ""},
	{store.ErrAlias, http.StatusNotFound, "alias_not_found", "GET /aliases lists those there are"},
	{store.ErrPayloadIndex, http.StatusUnprocessableEntity, "bad_payload_index", ""},
	{store.ErrBatch, http.StatusRequestEntityTooLarge, "batch_too_large", "send fewer points at once"},
	{store.ErrDiskFull, http.StatusInsufficientStorage, "disk_full", "free some space; nothing was written"},
	// Vectors of a space that served when the request began.
	{index.ErrSpace, http.StatusConflict, "another_space", "encode by the collection's model: its manifest says which it is"},
	{store.ErrAdopted, http.StatusConflict, "already_verified", "look at the manifest"},
	{store.ErrMigrating, http.StatusConflict, "migration_under_way", "finish it (commit) or abort it first"},
	{store.ErrFull, http.StatusInsufficientStorage, "collection_full", "begin another collection"},
	{store.ErrClosed, http.StatusServiceUnavailable, "closing", "the server is stopping; try again when it is back"},
	{store.ErrFailed, http.StatusServiceUnavailable, "store_failed", "look at the server's log and its disk, then restart it"},
	{context.DeadlineExceeded, http.StatusRequestTimeout, "timeout", "ask for less, or for a longer timeout"},
	{context.Canceled, http.StatusServiceUnavailable, "cancelled", ""},
}

// ofSentinel describes what is left. An error that nobody foresaw is told
// without its text.
func ofSentinel(err error) problem {
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return problem{status: s.status, Code: s.code, Detail: err.Error(), Remedy: s.remedy}
		}
	}
	return problem{status: http.StatusInternalServerError, Code: "internal", Detail: "the server failed to answer; its log says why", Remedy: "report it if it comes again"}
}

// fail writes an error and returns its status.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) int {
	p := problemOf(err)
	p.Instance = r.URL.EscapedPath()
	if p.status >= http.StatusInternalServerError && r.Context().Err() == nil && !errors.Is(err, errInternal) {
		s.logger.Error("a request failed", "method", r.Method, "path", r.URL.Path, "status", p.status, "code", p.Code, "error", err)
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	var data []byte
	media := "application/problem+json"
	if isOpenAI(r) {
		media = mediaJSON
		data, err = json.Marshal(openAIError(p))
	} else {
		data, err = json.Marshal(p)
	}
	if err != nil {
		data = nil
	}
	send(w, r, p.status, media, data)
	return p.status
}

// openAIError is the shape of errors that OpenAI's clients read.
func openAIError(p problem) map[string]any {
	kind := "invalid_request_error"
	switch {
	case p.status >= http.StatusInternalServerError:
		kind = "server_error"
	case p.status == http.StatusNotFound:
		kind = "not_found_error"
	case p.status == http.StatusTooManyRequests:
		kind = "rate_limit_error"
	}
	message := p.Detail
	if p.Remedy != "" {
		message += "; " + p.Remedy
	}
	var param any
	if len(p.Errors) > 0 {
		param, _, _ = strings.Cut(strings.TrimPrefix(p.Errors[0].Pointer, "/"), "/")
	}
	return map[string]any{"error": map[string]any{"message": message, "type": kind, "param": param, "code": p.Code}}
}
