package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"time"

	"github.com/vecino-db/vecino/store"
)

// Ingest takes a stream of points, batch by batch, in the order of its lines.
// Points whose text and payload are stored already are left as they are and not
// encoded again. It is a job of the kind "ingest": it can be listed and ended.
//
// With a key it can be resumed: how many lines were done is kept every moment,
// with a digest of them. A stream of the same key and the same beginning, sent
// again from its first line to the same collection, is taken up behind them.
// What was done after the last note is met as unchanged.
//
// Not safe for concurrent use. End must be called when the stream has ended,
// and Finish at last, come what may.
type Ingest struct {
	c      *Collection
	jobs   *jobs
	number uint64
	ctx    context.Context
	cancel context.CancelCauseFunc
	hash   hash.Hash // of the lines, ends included
	resume ingestNote
	noted  time.Time
	note   ingestNote
}

// ingestNote is the result of an ingest's job.
type ingestNote struct {
	Key string `json:"key,omitempty"`
	// Made is when the collection was made: another one of its name, or one that
	// was restored, has none of the lines.
	Made      time.Time `json:"collection_created_at"`
	Lines     int       `json:"lines"` // that were done
	Digest    string    `json:"digest"`
	Written   int       `json:"written"`
	Unchanged int       `json:"unchanged"`
	Refused   int       `json:"refused"`
	Tokens    int       `json:"tokens"`
}

// MaxIngestKey bounds the key of an ingest, in bytes.
const MaxIngestKey = 255

// ingestNoteEvery is the time between two notes of how far an ingest is.
const ingestNoteEvery = 2 * time.Second

// ingestKind is the kind of its jobs.
const ingestKind = "ingest"

// Refused is one line that was not taken.
type Refused struct {
	Line   int    `json:"line"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

// Progress is how far an ingest is.
type Progress struct {
	Lines     int `json:"lines"`
	Resumed   int `json:"resumed"` // lines that were done before and passed over
	Written   int `json:"written"`
	Unchanged int `json:"unchanged"`
	Refused   int `json:"refused"`
	Tokens    int `json:"tokens"`
}

// errClientLeft: the stream broke off.
var errClientLeft = errors.New("the client left before the end of its stream; send it again, with the same Idempotency-Key if it had one")

// errOtherStream: the stream of a key does not begin as it did.
var errOtherStream = errors.New("another stream")

// BeginIngest begins one. One of the same key must not be running.
func (s *Service) BeginIngest(ctx context.Context, c *Collection, key string) (*Ingest, error) {
	if len(key) > MaxIngestKey {
		return nil, invalid("bad_key", "", "an Idempotency-Key of %d bytes; give at most %d", len(key), MaxIngestKey)
	}
	if err := c.refuseWrites(); err != nil {
		return nil, err
	}
	g := &Ingest{c: c, jobs: s.jobs, hash: sha256.New(), noted: time.Now()}
	g.note.Key, g.note.Made = key, c.stored.CreatedAt()
	j := s.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	if key != "" {
		latest := uint64(0)
		for number, job := range j.list {
			var note ingestNote
			if job.Kind != ingestKind || job.Collection != c.Name() || json.Unmarshal(job.Result, &note) != nil || note.Key != key {
				continue
			}
			if _, runs := j.cancel[number]; runs {
				return nil, &Error{Kind: KindConflict, Code: "ingest_running", Detail: fmt.Sprintf("an ingest with this Idempotency-Key is running: job %s", job.ID), Remedy: "wait for its end, or end it by DELETE /jobs/" + job.ID}
			}
			if number > latest && note.Made.Equal(g.note.Made) {
				latest, g.resume = number, note
			}
		}
	}
	number, job, jobCtx, err := j.enterLocked(ingestKind, c.Name())
	if err != nil {
		return nil, err
	}
	g.number = number
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	context.AfterFunc(jobCtx, func() { g.cancel(context.Cause(jobCtx)) })
	job.Result, _ = json.Marshal(g.note)
	j.keep(ctx, number, *job)
	return g, nil
}

// Context ends with the request and with the job.
func (g *Ingest) Context() context.Context { return g.ctx }

// Job is the id of its job.
func (g *Ingest) Job() string { return strconv.FormatUint(g.number, 10) }

// Progress is how far it is.
func (g *Ingest) Progress() Progress {
	n := g.note
	return Progress{Lines: n.Lines, Resumed: min(g.resume.Lines, n.Lines), Written: n.Written, Unchanged: n.Unchanged, Refused: n.Refused, Tokens: n.Tokens}
}

// Read notes that a line came, without its end, and reports whether it was done
// before. An error says that the stream is not the one of its key.
func (g *Ingest) Read(number int, line []byte) (done bool, err error) {
	g.hash.Write(line)
	g.hash.Write([]byte{'\n'})
	if number > g.resume.Lines {
		return false, nil
	}
	if number == g.resume.Lines && hex.EncodeToString(g.hash.Sum(nil)) != g.resume.Digest {
		return false, otherStream("the first %d lines are not those that were sent with this Idempotency-Key before", number)
	}
	g.note.Lines = number
	return true, nil
}

// End notes that the stream had so many lines. An error says that it is not the
// one of its key: it ended before it could be told.
func (g *Ingest) End(lines int) error {
	if lines < g.resume.Lines {
		return otherStream("the stream has %d lines, and of the one that was sent with this Idempotency-Key before %d were done", lines, g.resume.Lines)
	}
	return nil
}

func otherStream(format string, args ...any) error {
	return &Error{
		Kind: KindConflict, Code: "another_stream", Detail: fmt.Sprintf(format, args...),
		Remedy: "send the same stream from its first line, or take another key", Err: errOtherStream,
	}
}

// Add stores the points of lines up to one, in order; their pointers are the
// numbers of their lines. Those that can't be stored are given back with the
// reason. refused says how many lines beside them brought no point.
func (g *Ingest) Add(points []Point, upTo, refused int) ([]Refused, error) {
	points, before, unchanged, err := g.changed(points)
	if err != nil {
		return nil, err
	}
	all := len(points)
	for _, some := range before {
		all += len(some)
	}
	var bad []Refused
	for len(points) > 0 {
		written, err := g.c.Upsert(g.ctx, points)
		if err == nil {
			g.note.Tokens += written.Tokens
			break
		}
		var refusal *Error
		if !errors.As(err, &refusal) {
			return bad, err
		}
		if refusal.Kind == KindOverloaded {
			if err := g.sleep(max(refusal.RetryAfter, 100*time.Millisecond)); err != nil {
				return bad, err
			}
			continue
		}
		rest, some := without(points, refusal, before)
		if len(some) == 0 {
			return bad, err
		}
		bad, points = append(bad, some...), rest
	}
	g.note.Written += all - len(bad)
	g.note.Unchanged += unchanged
	g.note.Refused += refused + len(bad)
	g.note.Lines, g.note.Digest = upTo, hex.EncodeToString(g.hash.Sum(nil))
	g.keep(false)
	return bad, nil
}

func (g *Ingest) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-g.ctx.Done():
		return context.Cause(g.ctx)
	}
}

// changed leaves out what is stored already, and of points with one id all but
// the last: before has the others, in order. Points that bring their vectors are
// all written.
func (g *Ingest) changed(points []Point) (rest []Point, before map[store.ID][]Point, unchanged int, err error) {
	last := make(map[store.ID]int, len(points))
	var ids []store.ID
	for i, p := range points {
		if _, again := last[p.ID]; !again && p.Vector == nil {
			ids = append(ids, p.ID)
		}
		last[p.ID] = i
	}
	stored, err := g.c.Points(g.ctx, ids, false)
	if err != nil {
		return nil, nil, 0, err
	}
	have := make(map[store.ID]store.Stored, len(stored))
	for _, s := range stored {
		have[s.ID] = s
	}
	before = map[store.ID][]Point{}
	for i, p := range points {
		if last[p.ID] != i {
			before[p.ID] = append(before[p.ID], p)
			continue
		}
		s, ok := have[p.ID]
		if ok && p.Vector == nil && s.HasText && s.Text == p.Text && bytes.Equal(s.Payload, p.Payload) {
			unchanged++
			continue
		}
		rest = append(rest, p)
	}
	return rest, before, unchanged, nil
}

// without takes the points out that a refusal names, and puts in the place of
// each the last one before it of the same id, if there is one.
func without(points []Point, refusal *Error, before map[store.ID][]Point) (rest []Point, bad []Refused) {
	reasons := map[string]string{}
	for _, f := range refusal.Fields {
		pointer := f.Pointer
		for i := range pointer {
			if i > 0 && pointer[i] == '/' {
				pointer = pointer[:i]
				break
			}
		}
		if _, ok := reasons[pointer]; !ok {
			reasons[pointer] = f.Reason
		}
	}
	for _, p := range points {
		reason, named := reasons[p.Pointer]
		if !named {
			rest = append(rest, p)
			continue
		}
		line, err := strconv.Atoi(p.Pointer[1:])
		if err != nil {
			return points, nil
		}
		bad = append(bad, Refused{Line: line, Code: refusal.Code, Reason: reason})
		if some := before[p.ID]; len(some) > 0 {
			before[p.ID] = some[:len(some)-1]
			rest = append(rest, some[len(some)-1])
		}
	}
	return rest, bad
}

// keep notes how far it is: in memory, and now and then in the store.
func (g *Ingest) keep(now bool) {
	j := g.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	job := j.list[g.number]
	job.Done = g.note.Lines
	if result, err := json.Marshal(g.note); err == nil {
		job.Result = result
	}
	if now || time.Since(g.noted) >= ingestNoteEvery {
		g.noted = time.Now()
		j.keep(g.ctx, g.number, *job)
	}
}

// Finish ends it: with nil when the whole stream was taken.
func (g *Ingest) Finish(err error) {
	if g.note.Digest == "" { // nothing was done: what a key's ingest before did still counts
		g.note.Lines, g.note.Digest = g.resume.Lines, g.resume.Digest
	}
	if err != nil && errors.Is(context.Cause(g.ctx), context.Canceled) {
		err = errClientLeft
	}
	g.keep(false)
	g.jobs.finish(g.ctx, g.number, g.note, err)
	g.cancel(nil)
}
