package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/store"
)

// source is one file of documents; path "-" is the standard input.
type source struct {
	path string
	name string // as the payload of its pieces says; "" for NDJSON, whose documents are their own
	size int64
	read func(stdin io.Reader, each func(d document, bad error) error) error
}

func (s source) stdin() bool { return s.path == "-" }

// findSources finds the files behind the paths of the command line. Of a
// directory it takes the files of known kinds, in order, and nothing hidden.
func findSources(paths []string) ([]source, error) {
	var sources []source
	for _, path := range paths {
		if path == "-" {
			sources = append(sources, source{path: path, read: func(in io.Reader, each func(document, error) error) error { return readLines("-", in, each) }})
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			s, ok := fileSource(path, info.Size())
			if !ok {
				return nil, usageError{fmt.Errorf("%s: only .ndjson, .jsonl, .txt and .md files can be read", path)}
			}
			sources = append(sources, s)
			continue
		}
		err = filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
			if err != nil {
				sources = append(sources, unreadable(at, err))
				return nil
			}
			if strings.HasPrefix(entry.Name(), ".") && at != path {
				if entry.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
				if s, ok := fileSource(at, info.Size()); ok {
					sources = append(sources, s)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(sources) == 0 {
		return nil, errors.New("there is nothing to read: no .ndjson, .jsonl, .txt or .md file")
	}
	return sources, nil
}

// unreadable is a source that is reported when its turn comes.
func unreadable(path string, err error) source {
	return source{path: path, read: func(io.Reader, func(document, error) error) error { return err }}
}

// fileSource is the source of a file, by its name's ending.
func fileSource(path string, size int64) (source, bool) {
	var read func(name string, in io.Reader, each func(document, error) error) error
	label := filepath.ToSlash(filepath.Clean(path))
	name := label
	switch strings.ToLower(filepath.Ext(path)) {
	case ".ndjson", ".jsonl":
		read, name = readLines, ""
	case ".md", ".markdown":
		read = readWhole(markdownSections)
	case ".txt":
		read = readWhole(paragraphs)
	default:
		return source{}, false
	}
	return source{path: path, name: name, size: size, read: func(_ io.Reader, each func(document, error) error) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return read(label, f, each)
	}}, true
}

// maxLine is the longest line of NDJSON; a longer one is skipped as bad.
const maxLine = 32 << 20

// readLines reads NDJSON. Empty lines are skipped, bad ones handed on as such.
func readLines(name string, in io.Reader, each func(document, error) error) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for number := 1; ; number++ {
		line, tooLong, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", name, err)
		}
		ended := err != nil
		d := document{where: fmt.Sprintf("%s:%d", name, number), bytes: len(line) + 1}
		switch {
		case tooLong:
			err = each(d, fmt.Errorf("the line is longer than %d bytes", maxLine))
		case len(bytes.TrimSpace(line)) == 0:
			err = nil
		default:
			bad := d.parse(line)
			err = each(d, bad)
		}
		if err != nil || ended {
			return err
		}
	}
}

// readLine reads up to the next line feed; of a line that is too long it reads
// all and keeps nothing.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			tooLong, line = true, nil
		}
		if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte("\n")), tooLong, err
		}
	}
}

// parse reads {"id": ..., "text": "...", "payload": {...}}.
func (d *document) parse(line []byte) error {
	hasText := false
	err := strictjson.Decode(line, func(r *strictjson.Reader) error {
		return r.Object(func(key string) (err error) {
			switch key {
			case "id":
				var raw json.RawMessage
				if raw, err = r.Raw(); err != nil {
					return err
				}
				var id store.ID
				if err := id.UnmarshalJSON(raw); err != nil {
					return r.Fail("%v", err)
				}
				d.ID = id
			case "text":
				hasText = true
				d.Text, err = r.Str()
			case "payload":
				if r.Kind() != strictjson.Object && r.Kind() != strictjson.Null {
					return r.Fail("a payload is an object")
				}
				var raw json.RawMessage
				raw, err = r.Raw()
				d.Payload = raw
			default:
				return r.Unknown(key)
			}
			return err
		})
	})
	switch {
	case err != nil:
		return err
	case !hasText:
		return errors.New("the line has no text")
	case d.ID == nil:
		d.ID = contentID(line)
	}
	return nil
}

// contentID makes an id of what a line says.
func contentID(line []byte) string {
	sum := sha256.Sum256(bytes.TrimSpace(line))
	return "sha256:" + hex.EncodeToString(sum[:16])
}

// piece is a part of a file that becomes a document.
type piece struct {
	key     string // stable name of the piece within its file
	text    string
	payload map[string]any
	line    int
	bytes   int
}

// maxTextFile is the largest file that is read as a whole.
const maxTextFile = 64 << 20

// readWhole reads a file of running text and cuts it into pieces.
func readWhole(cut func(text string) []piece) func(name string, in io.Reader, each func(document, error) error) error {
	return func(name string, in io.Reader, each func(document, error) error) error {
		data, err := io.ReadAll(io.LimitReader(in, maxTextFile+1))
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		d := document{where: name + ":1", bytes: len(data)}
		if len(data) > maxTextFile {
			return each(d, fmt.Errorf("the file is larger than %d bytes; split it", maxTextFile))
		}
		if !utf8.Valid(data) {
			return each(d, errors.New("the file is no valid UTF-8; convert it first"))
		}
		text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
		for _, p := range cut(text) {
			p.payload["source"] = name
			d := document{ID: pieceID(name, p.key), Text: p.text, Payload: p.payload, where: fmt.Sprintf("%s:%d", name, p.line), bytes: p.bytes}
			if err := each(d, nil); err != nil {
				return err
			}
		}
		return nil
	}
}

// pieceID is readable while it fits, and a digest otherwise.
func pieceID(name, key string) string {
	if id := name + "#" + key; len(id) <= store.MaxIDBytes {
		return id
	}
	sum := sha256.Sum256([]byte(name + "\x00" + key))
	return longPiece + hex.EncodeToString(sum[:])
}

// longPiece begins the id of a piece whose name is too long to be one.
const longPiece = "sha256:"

// isLongPieceID reports whether an id is the digest of a piece's name. Those
// that contentID makes are shorter.
func isLongPieceID(id string) bool {
	return strings.HasPrefix(id, longPiece) && len(id) == len(longPiece)+hex.EncodedLen(sha256.Size)
}
