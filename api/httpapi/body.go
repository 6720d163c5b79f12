package httpapi

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// mediaJSON is the media type of bodies and answers.
const mediaJSON = "application/json"

// maxZstdWindow bounds the memory that a zstd frame can ask for.
const maxZstdWindow = 8 << 20

// body reads a request's body: at most limit bytes as sent, and at most limit
// bytes decompressed. A body that announces more is refused unread.
func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := checkMedia(r.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, bodyTooLarge(limit)
	}
	sent := http.MaxBytesReader(w, r.Body, limit)
	var data []byte
	var err error
	if encoding == "" || encoding == "identity" {
		data, err = readAll(sent, r.ContentLength, limit)
	} else {
		data, err = inflate(sent, encoding, r.ContentLength, limit)
	}
	if err != nil {
		return nil, bodyError(err, encoding, limit)
	}
	if int64(len(data)) > limit {
		w.Header().Set("Connection", "close")
		return nil, bodyTooLarge(limit)
	}
	return data, nil
}

// checkMedia wants JSON in UTF-8, and wants it said: a form in a web page can
// send other types without asking the server first.
func checkMedia(contentType string) error {
	media, params, err := mime.ParseMediaType(contentType)
	if charset := strings.ToLower(params["charset"]); err != nil || media != mediaJSON || charset != "" && charset != "utf-8" {
		return &requestError{
			status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			detail: "the body must be JSON in UTF-8, and the request must say so", remedy: "send Content-Type: application/json",
		}
	}
	return nil
}

// inflater undoes a content encoding, from the beginning again after Reset.
type inflater interface {
	io.Reader
	Reset(r io.Reader) error
}

// decompress undoes the content encoding until end is called.
func decompress(r io.Reader, encoding string) (plain inflater, end func(), err error) {
	switch encoding {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	}
	return nil, nil, &requestError{status: http.StatusUnsupportedMediaType, code: "unsupported_encoding", detail: "the body's Content-Encoding is not supported", remedy: "send gzip, zstd, or none"}
}

// bodyError says why reading failed.
func bodyError(err error, encoding string, limit int64) error {
	var tooLarge *http.MaxBytesError
	var request *requestError
	switch {
	case errors.As(err, &request):
		return err
	case errors.As(err, &tooLarge):
		return bodyTooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &requestError{status: http.StatusRequestTimeout, code: "body_timeout", detail: "the body took too long to arrive", remedy: "send less at once"}
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return bodyTooLarge(limit)
	}
	if encoding == "" || encoding == "identity" {
		return malformed("bad_body", "", "the body ended before it was complete")
	}
	return malformed("bad_body", "", "the body can't be decompressed as %.20q", encoding)
}

// bodyTooLarge is the error for a body beyond the limit.
func bodyTooLarge(limit int64) error {
	remedy := "send the points in several requests, or start the server with a larger --max-body"
	if limit == maxSchemaBody {
		remedy = "send several requests with a part each"
	}
	return &requestError{
		status: http.StatusRequestEntityTooLarge, code: "body_too_large",
		detail: "the body is larger than the server takes, which is " + byteCount(limit), remedy: remedy,
	}
}
