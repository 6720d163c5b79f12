package httpapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
)

const (
	mediaFile = "application/octet-stream"
	mediaForm = "multipart/form-data"
	// snapshotIdle is how long a file that is sent or fetched may stand still.
	snapshotIdle = 2 * time.Minute
	// snapshotStep of it moves the deadline on.
	snapshotStep = 1 << 20
)

// snapshotRecord is a snapshot as clients see it.
type snapshotRecord struct {
	Name        string  `json:"name"`
	CreatedAt   *string `json:"creation_time"` // Qdrant's form: UTC without a zone
	Size        int64   `json:"size"`
	Checksum    *string `json:"checksum"`
	Collection  string  `json:"collection,omitempty"`
	Fingerprint string  `json:"fingerprint,omitempty"`
	Model       string  `json:"model,omitempty"`
	Dimension   int     `json:"dimension,omitempty"`
	Points      int     `json:"points"`
	Problem     string  `json:"problem,omitempty"`
}

func snapshotOf(s api.Snapshot) snapshotRecord {
	r := snapshotRecord{Name: s.Name, Size: s.Bytes}
	if s.Checksum != "" {
		r.Checksum = &s.Checksum
	}
	if s.Unreadable != nil {
		r.Problem = s.Unreadable.Error()
		return r
	}
	at := s.Info.CreatedAt.UTC().Format("2006-01-02T15:04:05")
	r.CreatedAt, r.Collection, r.Fingerprint = &at, s.Info.Collection, s.Info.Fingerprint.String()
	r.Model, r.Dimension, r.Points = s.Info.Manifest.Provenance.Model, s.Info.Dimension, s.Info.Points
	return r
}

// waits reports whether the request waits for what it asks for.
func waits(c *call) bool { return c.request.URL.Query().Get("wait") != "false" }

// createSnapshot writes one, or begins the job that does.
func (s *Server) createSnapshot(ctx context.Context, c *call) (answer, error) {
	if !waits(c) {
		job, err := s.service.StartSnapshot(c.collection)
		return answer{result: map[string]any{"job": job}}, err
	}
	made, err := s.service.CreateSnapshot(ctx, c.collection)
	return answer{result: snapshotOf(made)}, err
}

// listSnapshots lists them.
func (s *Server) listSnapshots(ctx context.Context, c *call) (answer, error) {
	list, err := s.service.Snapshots(ctx, c.path["collection"])
	records := make([]snapshotRecord, 0, len(list))
	for _, one := range list {
		records = append(records, snapshotOf(one))
	}
	return answer{result: records}, err
}

// deleteSnapshot deletes one.
func (s *Server) deleteSnapshot(_ context.Context, c *call) (answer, error) {
	return answer{result: true}, s.service.DeleteSnapshot(c.path["collection"], c.path["snapshot"])
}

// getSnapshot sends the file.
func (s *Server) getSnapshot(_ context.Context, c *call) (answer, error) {
	f, one, err := s.service.OpenSnapshot(c.path["collection"], c.path["snapshot"])
	if err != nil {
		return answer{}, err
	}
	defer f.Close()
	h := c.writer.Header()
	h.Set("Content-Type", mediaFile)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": one.Name}))
	if one.Checksum != "" {
		h.Set("ETag", `"`+one.Checksum+`"`)
	}
	if one.Unreadable == nil {
		h.Set(headerFingerprint, one.Info.Fingerprint.String())
	}
	w := &patientWriter{ResponseWriter: c.writer, control: http.NewResponseController(c.writer)}
	http.ServeContent(w, c.request, "", one.Info.CreatedAt, f)
	return answer{streamed: true}, nil
}

// patientWriter gives a client time as long as it takes something.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	left    int // bytes until the deadline moves
}

// Write implements http.ResponseWriter.
func (w *patientWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		w.left = snapshotStep
		if err := w.control.SetWriteDeadline(time.Now().Add(snapshotIdle)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
	}
	return w.ResponseWriter.Write(b)
}

// patientReader is the same of what a client sends.
type patientReader struct {
	r       io.Reader
	control *http.ResponseController
	left    int
	failed  error // of reading, the end of the stream not counted
}

// Read implements io.Reader.
func (r *patientReader) Read(b []byte) (int, error) {
	if r.left <= 0 {
		r.left = snapshotStep
		deadline := time.Now().Add(snapshotIdle)
		for _, err := range []error{r.control.SetReadDeadline(deadline), r.control.SetWriteDeadline(deadline.Add(snapshotIdle))} {
			if err != nil && !errors.Is(err, http.ErrNotSupported) {
				return 0, err
			}
		}
	}
	n, err := r.r.Read(b)
	r.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return n, err
}

// uploadSnapshot receives a file and makes the collection of it.
func (s *Server) uploadSnapshot(ctx context.Context, c *call) (answer, error) {
	control := http.NewResponseController(c.writer)
	body := &patientReader{r: c.request.Body, control: control}
	c.request.Body = struct {
		io.Reader
		io.Closer
	}{body, c.request.Body}
	file, size, err := uploaded(c.request)
	if err != nil {
		return answer{}, err
	}
	w := recoverWish(c)
	w.Checksum = c.request.URL.Query().Get("checksum")
	r, err := s.service.Receive(ctx, c.path["collection"], file, size, w)
	if body.failed != nil {
		err = bodyError(body.failed, "", s.maxBody)
	}
	if err != nil {
		return answer{}, err
	}
	if err := noMore(file); err != nil {
		return answer{}, errors.Join(err, r.Discard())
	}
	if err := control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return answer{}, errors.Join(err, r.Discard())
	}
	return s.recovered(ctx, c, r)
}

// uploaded finds the file in a request, and its size, or -1.
func uploaded(r *http.Request) (io.Reader, int64, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	switch {
	case encoding != "" && encoding != "identity":
		return nil, 0, &requestError{status: http.StatusUnsupportedMediaType, code: "unsupported_encoding", detail: "a snapshot is not sent compressed", remedy: "send the file as it is"}
	case err == nil && media == mediaFile:
		return r.Body, r.ContentLength, nil
	case err != nil || media != mediaForm:
		return nil, 0, &requestError{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type", detail: "the body must be a snapshot, and the request must say so", remedy: "send Content-Type: " + mediaFile + ", or a form with the field snapshot"}
	}
	// A form is what a page of another site can send without asking.
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return nil, 0, &requestError{status: http.StatusForbidden, code: "cross_origin", detail: "the form comes from a page of another site", remedy: "send the file by a program, or as " + mediaFile}
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, 0, malformed("bad_form", "", "the form can't be read: %v", err)
	}
	part, err := form.NextPart()
	if err != nil || part.FormName() != "snapshot" {
		return nil, 0, malformed("bad_form", "", "the form's first field is not the file, whose name is snapshot")
	}
	return formFile{part, form}, -1, nil
}

// formFile is the file of a form.
type formFile struct {
	io.Reader
	form *multipart.Reader
}

// noMore wants nothing behind the file of a form.
func noMore(file io.Reader) error {
	if f, ok := file.(formFile); ok {
		if _, err := f.form.NextPart(); !errors.Is(err, io.EOF) {
			return malformed("bad_form", "", "the form goes on behind its file")
		}
	}
	return nil
}

// recoverWish is what the query string says.
func recoverWish(c *call) api.RecoverWish {
	return api.RecoverWish{Keep: c.request.URL.Query().Get("replace") == "false"}
}

// recoverSnapshot makes the collection of one of its snapshots.
func (s *Server) recoverSnapshot(ctx context.Context, c *call) (answer, error) {
	return s.recoverOf(ctx, c, c.path["collection"], c.path["snapshot"], recoverWish(c))
}

// recoverFromSnapshot does it by a location.
func (s *Server) recoverFromSnapshot(ctx context.Context, c *call) (answer, error) {
	location, w, err := decodeRecover(c.body)
	if err != nil {
		return answer{}, err
	}
	w.Keep = recoverWish(c).Keep
	of, name, err := s.service.FindSnapshot(c.path["collection"], location, c.request.Host)
	if err != nil {
		return answer{}, err
	}
	return s.recoverOf(ctx, c, of, name, w)
}

func (s *Server) recoverOf(ctx context.Context, c *call, of, name string, w api.RecoverWish) (answer, error) {
	r, err := s.service.Recovery(c.path["collection"], of, name, w)
	if err != nil {
		return answer{}, err
	}
	return s.recovered(ctx, c, r)
}

// recovered waits for the collection, or begins its job.
func (s *Server) recovered(ctx context.Context, c *call, r *api.Recovery) (answer, error) {
	if !waits(c) {
		job, err := r.Start()
		return answer{result: map[string]any{"job": job}}, err
	}
	made, err := r.Run(ctx)
	if err != nil {
		return answer{}, err
	}
	c.collection = made
	return answer{result: true}, nil
}

// decodeRecover reads where a snapshot lies.
func decodeRecover(data []byte) (location string, w api.RecoverWish, err error) {
	var priority string
	found := false
	err = strictjson.Decode(data, func(r *strictjson.Reader) error {
		err := fields(r, map[string]func() error{
			"location": func() error { found = true; return into(&location, r.Str)() },
			"checksum": optional(r, into(&w.Checksum, r.Str)),
			"priority": optional(r, oneOf(r, &priority, "no_sync", "snapshot", "replica")),
			"api_key":  absent(r, "snapshots are fetched from nowhere, so there is no key for it"),
		})
		if err == nil && !found {
			err = r.Fail("the location is missing")
		}
		return err
	})
	return location, w, err
}
