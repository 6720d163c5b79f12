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
	plain, err := decompress(sent, encoding)
	if err != nil {
		return nil, bodyError(err, encoding, limit)
	}
	defer plain.Close()
	data, err := readAll(io.LimitReader(plain, limit+1), r.ContentLength)
	if err != nil {
		return nil, bodyError(err, encoding, limit)
	}
	if int64(len(data)) > limit {
		w.Header().Set("Connection", "close")
		return nil, bodyTooLarge(limit)
	}
	return data, nil
}

// maxBodyHint bounds what is allocated on the word of a Content-Length.
const maxBodyHint = 1 << 20

// readAll is io.ReadAll with a first buffer of the announced size.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	data := make([]byte, 0, max(512, min(announced+1, maxBodyHint)))
	for {
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
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

// decompress undoes the content encoding.
func decompress(r io.Reader, encoding string) (io.ReadCloser, error) {
	switch encoding {
	case "", "identity":
		return io.NopCloser(r), nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, &requestError{status: http.StatusUnsupportedMediaType, code: "unsupported_encoding", detail: "the body's Content-Encoding is not supported", remedy: "send gzip, zstd, or none"}
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
	return &requestError{
		status: http.StatusRequestEntityTooLarge, code: "body_too_large",
		detail: "the body is larger than the server takes, which is " + byteCount(limit), remedy: "send the points in several requests, or start the server with a larger --max-body",
	}
}
