package dataset

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
)

// Write writes vectors as .f32, row-major and without a header, the way that
// programs of other libraries read them. An existing file is replaced.
func Write(path string, s Set) error {
	return write(path, len(s.Data), func(i int) uint32 { return math.Float32bits(s.Data[i]) })
}

// WriteNeighbours writes neighbours as .i32, row-major and without a header. An
// existing file is replaced.
func WriteNeighbours(path string, n Neighbours) error {
	return write(path, len(n.IDs), func(i int) uint32 { return n.IDs[i] })
}

// write writes words, little-endian.
func write(path string, n int, word func(i int) uint32) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write vectors: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	var b [4]byte
	for i := range n {
		binary.LittleEndian.PutUint32(b[:], word(i))
		if _, err := w.Write(b[:]); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
