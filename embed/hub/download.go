package hub

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/vecino-db/vecino/embed/remote/retry"
)

// errIdle is the cause of a request that was given up because nothing came.
var errIdle = errors.New("nothing came for too long")

// What stands beside a file while it is downloaded.
const (
	partSuffix = ".part" // its bytes so far
	etagSuffix = ".etag" // the strong entity tag that they came with
)

const (
	copyBytes = 256 << 10
	maxPieces = 1000 // connections that one file may take
)

// download is one file on its way into the staging directory. It belongs to
// one goroutine.
type download struct {
	c        *Client
	staging  *os.Root
	source   *url.URL
	want     remoteFile
	advance  func(n int64) // told of bytes gained, or lost when n < 0
	received *int64        // counts bytes that came over the network

	part    *os.File
	have    int64     // bytes of part
	sum     hash.Hash // over them
	etag    string    // that they came with; "" for none
	most    int64     // that have was when a connection broke off
	pieces  int       // connections that broke off
	resumed bool      // part has bytes of an earlier run
}

// run downloads the file, or what is missing of it, and returns its SHA-256
// once it lies whole and checked under its name.
func (d *download) run(ctx context.Context) (string, error) {
	if sum, ok, err := d.already(ctx); ok || err != nil {
		return sum, err
	}
	if dir := path.Dir(d.want.Path); dir != "." {
		if err := d.staging.MkdirAll(dir, 0o755); err != nil {
			return "", d.local(err)
		}
	}
	for {
		sum, err := d.whole(ctx)
		if !errors.Is(err, ErrHash) || !d.resumed {
			return sum, err
		}
		// The part of an earlier run may be what is wrong: once more from the
		// start.
	}
}

// already reports whether an earlier run has finished the file. Without a
// SHA-256 from the hub that can't be known.
func (d *download) already(ctx context.Context) (sum string, ok bool, err error) {
	f := File{Path: d.want.Path, Size: d.want.Size, SHA256: d.want.SHA256}
	if f.SHA256 != "" {
		err := verifyFile(ctx, d.staging, f)
		if err == nil {
			d.advance(f.Size)
			return f.SHA256, true, nil
		}
		if ctx.Err() != nil {
			return "", false, ctx.Err()
		}
	}
	if err := d.staging.RemoveAll(f.Path); err != nil {
		return "", false, err
	}
	return "", false, nil
}

// whole gets the file once, checks it, and gives it its name.
func (d *download) whole(ctx context.Context) (sum string, err error) {
	if err := d.open(ctx); err != nil {
		return "", err
	}
	defer func() { d.part.Close() }()
	if d.have < d.want.Size {
		err := d.c.options.Retry.Do(ctx, d.c.options.Clock, func() error { return d.request(ctx) })
		if err != nil {
			return "", err
		}
	}
	sum = hexSum(d.sum)
	if d.want.SHA256 != "" && sum != d.want.SHA256 {
		d.part.Close()
		d.advance(-d.have)
		return "", errors.Join(
			fmt.Errorf("%w: %q has the SHA-256 %s, and the hub lists %s: pull again; if it happens again, choose another revision or hub", ErrHash, d.want.Path, sum, d.want.SHA256),
			d.staging.Remove(d.want.Path+partSuffix))
	}
	if err := errors.Join(d.part.Sync(), d.part.Close()); err != nil {
		return "", d.local(err)
	}
	if err := d.staging.Rename(d.want.Path+partSuffix, d.want.Path); err != nil {
		return "", err
	}
	if err := d.staging.Remove(d.want.Path + etagSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return sum, nil
}

// open opens the part and reads what an earlier run left of it. Bytes that
// neither a SHA-256 nor an entity tag would prove are thrown away.
func (d *download) open(ctx context.Context) error {
	var err error
	if d.part, err = d.staging.OpenFile(d.want.Path+partSuffix, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return d.local(err)
	}
	d.have, d.etag, d.resumed, d.sum = 0, "", false, sha256.New()
	if tag, err := d.staging.ReadFile(d.want.Path + etagSuffix); err == nil && len(tag) < 1024 {
		d.etag = strongTag(string(tag))
	}
	info, err := d.part.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		d.etag = ""
		return nil
	}
	if info.Size() > d.want.Size || d.etag == "" && d.want.SHA256 == "" {
		return d.restart()
	}
	if err := hashFile(ctx, d.sum, d.part, info.Size()); err != nil {
		d.part.Close()
		return err
	}
	d.have, d.resumed = info.Size(), true
	d.advance(d.have)
	return nil
}

// restart forgets the part.
func (d *download) restart() error {
	d.advance(-d.have)
	d.have, d.etag, d.resumed = 0, "", false
	d.sum.Reset()
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return d.part.Truncate(0)
}

// request asks for the bytes that are missing and appends what comes. An error
// is marked for retry where more may come.
func (d *download) request(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(d.c.options.IdleTimeout, func() { cancel(errIdle) })
	defer idle.Stop()

	header := http.Header{}
	if d.have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
		if d.etag != "" {
			header.Set("If-Range", d.etag)
		}
	}
	response, err := d.c.fetch(ctx, d.source, header)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := d.begin(response); err != nil {
		return err
	}
	err = d.copy(response.Body, func() { idle.Reset(d.c.options.IdleTimeout) })
	var broken *bodyError
	switch {
	case err == nil && d.have == d.want.Size:
		return nil
	case err != nil && !errors.As(err, &broken):
		return err
	case context.Cause(ctx) != nil && !errors.Is(context.Cause(ctx), errIdle):
		return ctx.Err()
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	err = fmt.Errorf("%w: %q broke off at %d of %d bytes (%w): check the network and pull again; what has been downloaded is kept", ErrUnavailable, d.want.Path, d.have, d.want.Size, err)
	// Attempts that get further than any before are free, but not without end:
	// a hub may not give a file byte by byte.
	if d.pieces++; d.have > d.most && d.pieces < maxPieces {
		d.most = d.have
		return retry.Progress(err)
	}
	return retry.Again(err)
}

// begin reads the headers of an answer: it goes on where the part ends, or it
// starts anew.
func (d *download) begin(response *http.Response) error {
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fmt.Errorf("%w: %q came in the encoding %.40q, which was not asked for: check HF_ENDPOINT", ErrAnswer, d.want.Path, encoding)
	}
	tag := strongTag(response.Header.Get("ETag"))
	if response.StatusCode == http.StatusPartialContent {
		start, total, ok := parseContentRange(response.Header.Get("Content-Range"))
		switch {
		case d.have == 0 || !ok || start != d.have || total >= 0 && total != d.want.Size:
			return fmt.Errorf("%w: %q came with the range %.80q where byte %d of %d was to come: try again later, or choose another hub", ErrAnswer, d.want.Path, response.Header.Get("Content-Range"), d.have, d.want.Size)
		case d.etag != "" && tag != "" && tag != d.etag:
			if err := d.restart(); err != nil {
				return d.local(err)
			}
			return retry.Again(fmt.Errorf("%w: %q changed while it came: pull again", ErrAnswer, d.want.Path))
		}
		return nil
	}
	if d.have > 0 {
		if err := d.restart(); err != nil {
			return d.local(err)
		}
	}
	if n := response.ContentLength; n >= 0 && n != d.want.Size {
		return fmt.Errorf("%w: %q has %d bytes, and the hub lists %d: pull again; if it happens again, choose another hub", ErrHash, d.want.Path, n, d.want.Size)
	}
	if d.etag = tag; tag != "" {
		if err := d.staging.WriteFile(d.want.Path+etagSuffix, []byte(tag), 0o644); err != nil {
			return d.local(err)
		}
	}
	return nil
}

// bodyError is an error of the connection, not of the disk.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// copy appends the body to the part, never beyond the listed size.
func (d *download) copy(body io.Reader, alive func()) error {
	to := d.c.system.writer(d.part)
	buffer := make([]byte, copyBytes)
	for {
		n, err := body.Read(buffer)
		if int64(n) > d.want.Size-d.have {
			return fmt.Errorf("%w: %q goes on after the %d bytes that the hub lists: pull again; if it happens again, choose another hub", ErrHash, d.want.Path, d.want.Size)
		}
		if n > 0 {
			alive()
			written, werr := to.Write(buffer[:n])
			d.sum.Write(buffer[:written])
			d.have += int64(written)
			*d.received += int64(written)
			d.advance(int64(written))
			if werr != nil {
				return d.local(werr)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &bodyError{err}
		}
	}
}

// local is the error of a file of ours.
func (d *download) local(err error) error {
	if isNoSpace(err) {
		return noSpace(d.want.Size-d.have, err)
	}
	return fmt.Errorf("%q: %w", d.want.Path, err)
}

// strongTag is the entity tag if it is a strong one that can stand in a
// header, and "" otherwise (RFC 9110, 8.8.3).
func strongTag(tag string) string {
	if len(tag) < 3 || len(tag) > 512 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return ""
	}
	for i := range len(tag) {
		if tag[i] <= ' ' || tag[i] > '~' {
			return ""
		}
	}
	return tag
}

// parseContentRange reads "bytes START-END/TOTAL"; total is -1 for "*".
func parseContentRange(text string) (start, total int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes ")
	if !ok {
		return 0, 0, false
	}
	bounds, of, ok := strings.Cut(text, "/")
	if !ok {
		return 0, 0, false
	}
	first, last, ok := strings.Cut(bounds, "-")
	if !ok {
		return 0, 0, false
	}
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	total = -1
	if of != "*" {
		var err error
		if total, err = strconv.ParseInt(of, 10, 64); err != nil || total < 0 {
			return 0, 0, false
		}
	}
	return start, total, err1 == nil && err2 == nil && start >= 0 && end >= start
}
