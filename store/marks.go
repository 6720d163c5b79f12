package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// marks is the high-water file: what was known to be durable when it was
// written, kept outside Pebble. A store that lost the end of its log or an
// edit of its manifest opens without an error of Pebble's own; it then lies
// below its marks and is refused. The file is written when a collection is
// made or dropped, at checkpoints and at Close, so it costs writes nothing.
//
// It has two lines: this struct as JSON, and the SHA-256 of that line in
// hexadecimal.
type marks struct {
	Format      formatNumber                `json:"format"`
	Catalog     uint64                      `json:"catalog"`     // catalogRecord.Changes
	Collections map[collectionNumber]uint64 `json:"collections"` // state.sequence
}

// maxMarksBytes bounds what is read; a collection takes some 30 bytes.
const maxMarksBytes = 64 << 20

func (m marks) encode() ([]byte, error) {
	line, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(line)
	return fmt.Appendf(line, "\n%x\n", sum), nil
}

func decodeMarks(file []byte) (marks, error) {
	line, rest, ok := bytes.Cut(file, []byte("\n"))
	if !ok {
		return marks{}, fmt.Errorf("%w: high-water file of %d bytes", errRecord, len(file))
	}
	sum := sha256.Sum256(line)
	if string(rest) != hex.EncodeToString(sum[:])+"\n" {
		return marks{}, fmt.Errorf("%w: checksum of the high-water file", errRecord)
	}
	var m marks
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return marks{}, fmt.Errorf("%w: high-water file: %w", errRecord, err)
	}
	if m.Format == 0 || m.Format > formatNewest {
		return marks{}, fmt.Errorf("%w: high-water file of format %d; open it with the newer version that wrote it", ErrFormat, m.Format)
	}
	return m, nil
}

// readMarks reads the file of a data directory.
func readMarks(fs vfs.FS, dir string) (marks, error) {
	name := fs.PathJoin(dir, marksFile)
	f, err := fs.Open(name)
	if err != nil {
		return marks{}, fmt.Errorf("read %s: %w", name, err)
	}
	file, err := io.ReadAll(io.LimitReader(f, maxMarksBytes))
	if err = errors.Join(err, f.Close()); err != nil {
		return marks{}, fmt.Errorf("read %s: %w", name, err)
	}
	m, err := decodeMarks(file)
	if errors.Is(err, errRecord) {
		return marks{}, fmt.Errorf("read %s: %w; restore the data directory from a backup, or remove that one file to open the store without its check for lost writes", name, &CorruptionError{Object: marksFile, Detail: err.Error()})
	}
	return m, err
}

// writeMarks replaces the file: a crash leaves the old one or the new one.
func writeMarks(fs vfs.FS, dir string, m marks) error {
	file, err := m.encode()
	if err != nil {
		return err
	}
	name := fs.PathJoin(dir, marksFile)
	if err := replaceFile(fs, dir, name, file); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func replaceFile(fs vfs.FS, dir, name string, content []byte) error {
	temporary := name + ".new"
	f, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(temporary, name); err != nil {
		return err
	}
	return syncDirectory(fs, dir)
}

// notExist reports whether err says that a file is not there.
func notExist(err error) bool {
	return errors.Is(err, fs.ErrNotExist)
}
