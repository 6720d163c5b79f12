package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// headerFingerprint names the embedding space of a collection.
const headerFingerprint = "X-Vecino-Fingerprint"

// answer is what a handler gives: result goes into the envelope, bare goes
// out as it is, text is no JSON.
type answer struct {
	result any
	usage  usage

	bare  any
	text  []byte
	media string // of text

	streamed bool // it was written already

	status int // 0: 200

	fingerprint string // the space of vectors that belong to no collection
}

// usage says what an answer took.
type usage struct {
	Tokens int        `json:"tokens"`
	Plan   index.Plan `json:"plan,omitempty"`
	// Bridge: the query was encoded by another model and carried over.
	Bridge bool `json:"bridge,omitempty"`
	// Canary: the target of a migration answered before the cut-over.
	Canary bool `json:"canary,omitempty"`
	// Thresholds are those that were translated, in the order of the queries.
	Thresholds []api.Translated `json:"score_thresholds,omitempty"`
}

// envelope is Qdrant's.
type envelope struct {
	Result any     `json:"result"`
	Status string  `json:"status"`
	Time   float64 `json:"time"`
	Usage  usage   `json:"usage"`
}

// write sends an answer and returns its status.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer, took time.Duration) int {
	if a.text != nil {
		send(w, r, http.StatusOK, a.media, a.text)
		return http.StatusOK
	}
	value := a.bare
	if value == nil {
		value = envelope{Result: a.result, Status: "ok", Time: took.Seconds(), Usage: a.usage}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return s.fail(w, r, fmt.Errorf("encode the answer: %w", err))
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	send(w, r, a.status, mediaJSON, b.Bytes())
	return a.status
}

// minCompressed is the size below which compressing an answer doesn't pay.
const minCompressed = 1400

// send writes status, headers and body, compressed when the client takes it.
// An error of writing means that the client has left; nobody is to be told.
func send(w http.ResponseWriter, r *http.Request, status int, media string, data []byte) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Add("Vary", "Accept-Encoding")
	if len(data) >= minCompressed {
		encoding := preferred(r.Header.Get("Accept-Encoding"))
		if compressed, err := compress(encoding, data); err == nil && compressed != nil {
			data = compressed
			h.Set("Content-Encoding", encoding)
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(data)
	}
}

// compress gives data in an encoding, at its highest speed; nil: it is none.
func compress(encoding string, data []byte) ([]byte, error) {
	switch encoding {
	case "gzip":
		z := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(z)
		var b bytes.Buffer
		z.Reset(&b)
		_, err := z.Write(data)
		err = errors.Join(err, z.Close())
		z.Reset(io.Discard)
		return b.Bytes(), err
	case "zstd":
		z, err := zstdEncoder()
		if err != nil {
			return nil, err
		}
		return z.EncodeAll(data, nil), nil
	}
	return nil, nil
}

// Compressors are large, so they are kept: making one for each answer would keep
// the garbage collector busy.
var (
	gzipWriters = sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
		return z
	}}
	zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	})
)

// preferred picks zstd, then gzip, of an Accept-Encoding; "" is neither.
func preferred(accept string) string {
	found := ""
	for item := range strings.SplitSeq(strings.ToLower(accept), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(item), ";")
		weight, _ := strings.CutPrefix(strings.TrimSpace(params), "q=")
		if q, err := strconv.ParseFloat(weight, 64); err == nil && q == 0 {
			continue
		}
		switch strings.TrimSpace(name) {
		case "zstd":
			return "zstd"
		case "gzip", "*":
			found = "gzip"
		}
	}
	return found
}

// preconditions refuses a request that expects another space or manifest.
func preconditions(r *http.Request, c *api.Collection) error {
	if text := r.Header.Get(headerFingerprint); text != "" {
		var want compat.Fingerprint
		if err := want.UnmarshalText([]byte(text)); err != nil {
			return malformed("bad_parameter", "", "the header %s is no fingerprint: %v", headerFingerprint, err)
		}
		if have := c.Fingerprint(); !have.Matches(want) {
			return &requestError{
				status: http.StatusConflict, code: "another_space", expected: have.String(), actual: want.String(),
				detail: fmt.Sprintf("collection %q is of another embedding space than the request expects", c.Name()),
				remedy: "encode by the collection's model: GET /collections/" + c.Name() + "/manifest says which it is",
			}
		}
	}
	if tag := r.Header.Get("If-Match"); tag != "" && tag != "*" && !strings.Contains(tag, c.ETag()) {
		return &requestError{
			status: http.StatusPreconditionFailed, code: "manifest_changed",
			detail: fmt.Sprintf("the manifest of collection %q is not the one that the request expects", c.Name()),
			remedy: "read GET /collections/" + c.Name() + "/manifest again",
		}
	}
	return nil
}

// byteCount is a size for people.
func byteCount(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
