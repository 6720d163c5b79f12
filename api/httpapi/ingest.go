package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
)

const (
	// mediaLines is the media type of lines of JSON.
	mediaLines = "application/x-ndjson"
	// maxLine bounds a line of a stream, in bytes.
	maxLine = 4 << 20
	// ingestLines and ingestBytes of a stream are stored together.
	ingestLines = 256
	ingestBytes = 1 << 20
	// ingestIdle is how long a stream may stand still.
	ingestIdle = 2 * time.Minute
	// ingestTell is the time between two lines of progress.
	ingestTell = time.Second
)

// ingest stores a stream of points and answers in one. Once the answer has
// begun, what fails is its last line.
func (s *Server) ingest(ctx context.Context, c *call) (answer, error) {
	media, _, err := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if err != nil || media != mediaLines && media != "application/jsonl" && media != "application/ndjson" {
		return answer{}, &requestError{
			status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			detail: "the body must be lines of JSON, and the request must say so", remedy: "send Content-Type: " + mediaLines,
		}
	}
	control := http.NewResponseController(c.writer)
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return answer{}, err
	}
	in := &ingestStream{s: s, c: c, control: control}
	if err := in.alive(); err != nil {
		return answer{}, err
	}
	body := io.Reader(c.request.Body)
	if encoding := strings.ToLower(strings.TrimSpace(c.request.Header.Get("Content-Encoding"))); encoding != "" && encoding != "identity" {
		plain, end, err := decompress(body, encoding)
		if err != nil {
			return answer{}, bodyError(err, encoding, s.maxBody)
		}
		defer end()
		body = plain
	}
	in.lines = bufio.NewReaderSize(body, 64<<10)
	if in.run, err = s.service.BeginIngest(ctx, c.collection, c.request.Header.Get("Idempotency-Key")); err != nil {
		return answer{}, err
	}
	h := c.writer.Header()
	h.Set("Content-Type", mediaLines)
	// Where a stream ends before its client has sent everything, the connection
	// can't take another request, and by then it's too late to say so.
	h.Set("Connection", "close")
	h.Set(headerFingerprint, c.collection.Fingerprint().String())
	h.Set("ETag", c.collection.ETag())
	c.writer.WriteHeader(http.StatusOK)
	err = in.tell("begin", map[string]any{"job": in.run.Job()})
	if err == nil {
		err = in.all()
	}
	if err == nil && c.request.URL.Query().Get("wait") != "false" {
		err = c.collection.Settle(in.run.Context())
	}
	in.run.Finish(err)
	in.last(err)
	if err != nil {
		// A client that is cut off while it sends may not read why.
		_, _ = io.CopyN(io.Discard, c.request.Body, ingestRest)
	}
	return answer{streamed: true}, nil
}

// ingestRest bytes are read behind the end of a stream that was refused.
const ingestRest = 16 << 20

// ingestStream is one stream under way.
type ingestStream struct {
	s       *Server
	c       *call
	control *http.ResponseController
	run     *api.Ingest
	lines   *bufio.Reader
	told    time.Time

	number  int // of the last line that was read
	points  []api.Point
	bytes   int
	refused int // lines since the last batch that brought no point
}

// alive gives the connection time for another batch.
func (in *ingestStream) alive() error {
	deadline := time.Now().Add(ingestIdle)
	for _, err := range []error{in.control.SetReadDeadline(deadline), in.control.SetWriteDeadline(deadline)} {
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
	}
	return nil
}

// tell writes one line of the answer.
func (in *ingestStream) tell(kind string, members any) error {
	data, err := json.Marshal(members)
	if err != nil {
		return err
	}
	head, _ := json.Marshal(map[string]string{"type": kind})
	line := append(head[:len(head)-1], ',')
	line = append(append(line, data[1:]...), '\n')
	if _, err := in.c.writer.Write(line); err != nil {
		return err
	}
	return in.control.Flush()
}

// last writes the end of the answer.
func (in *ingestStream) last(err error) {
	p := in.run.Progress()
	if err == nil {
		_ = in.tell("done", p)
		return
	}
	problem := problemOf(err)
	if problem.Code == "internal" {
		in.s.logger.Error("an ingest failed", "collection", in.c.collection.Name(), "error", err)
	}
	_ = in.tell("failed", struct {
		api.Progress
		Code   string `json:"code"`
		Detail string `json:"detail"`
		Remedy string `json:"remedy,omitempty"`
	}{p, problem.Code, problem.Detail, problem.Remedy})
}

// all reads to the end.
func (in *ingestStream) all() error {
	for {
		line, long, err := in.line()
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return streamError(err)
		}
		if err := in.run.Context().Err(); err != nil {
			return context.Cause(in.run.Context())
		}
		if len(line) > 0 || !end {
			in.number++
			if err := in.take(line, long); err != nil {
				return err
			}
		}
		if end || len(in.points)+in.refused >= ingestLines || in.bytes >= ingestBytes {
			if err := in.store(); err != nil {
				return err
			}
		}
		if end {
			return in.run.End(in.number)
		}
	}
}

// streamError says why a stream broke off.
func streamError(err error) error {
	return malformed("bad_body", "", "the stream ended before it was complete: %v", err)
}

// line reads one, without its end. Of a long one there is only the beginning.
func (in *ingestStream) line() (line []byte, long bool, err error) {
	for {
		piece, err := in.lines.ReadSlice('\n')
		if !long {
			line = append(line, piece...)
		}
		if len(line) > maxLine {
			line, long = line[:maxLine], true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte{'\n'}), long, err
		}
	}
}

// take reads the point of a line.
func (in *ingestStream) take(line []byte, long bool) error {
	done, err := in.run.Read(in.number, line)
	if err != nil || done {
		return err
	}
	in.bytes += len(line)
	blank := len(bytes.TrimSpace(line)) == 0
	if blank {
		in.bytes++ // so that blank lines alone come to an end
		return nil
	}
	var u upsert
	switch {
	case long:
		err = malformed("line_too_long", "", "the line has more than %s", byteCount(maxLine))
	default:
		err = strictjson.Decode(line, u.point)
	}
	for _, m := range u.models {
		if err == nil {
			err = in.c.collection.CheckModel(m.model, m.pointer)
		}
	}
	switch {
	case err != nil:
	case u.points[0].Vector != nil:
		u.points[0].Space, err = vouched(in.c, "/vector")
	default:
		err = in.c.collection.TakesTexts()
	}
	if err != nil {
		in.refused++
		p := problemOf(err)
		reason := p.Detail
		if len(p.Errors) > 0 && p.Errors[0].Pointer != "" {
			reason = p.Errors[0].Pointer + ": " + p.Errors[0].Reason
		}
		return in.tell("refused", api.Refused{Line: in.number, Code: p.Code, Reason: reason})
	}
	u.points[0].Pointer = "/" + strconv.Itoa(in.number)
	in.points = append(in.points, u.points[0])
	return nil
}

// store stores what was read.
func (in *ingestStream) store() error {
	before := in.run.Progress()
	if in.number <= before.Lines {
		return nil
	}
	if err := in.alive(); err != nil {
		return err
	}
	refused, err := in.run.Add(in.points, in.number, in.refused)
	for _, r := range refused {
		if err := in.tell("refused", r); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	in.points, in.bytes, in.refused = in.points[:0], 0, 0
	now := in.run.Progress()
	in.s.metrics.points.WithLabelValues("written").Add(float64(now.Written - before.Written))
	if time.Since(in.told) >= ingestTell {
		in.told = time.Now()
		return in.tell("progress", now)
	}
	return in.alive()
}
