package dataset

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vecino-db/vecino/compat"
)

// ReadOptions say how a file of vectors is read.
type ReadOptions struct {
	// Dim is the dimension that vectors must have; 0: the file says. A file
	// without a header (.f32) needs it.
	Dim int
	// Limit is how many vectors are read, from the first; 0: all.
	Limit int
}

// Validate says what can't be meant.
func (o ReadOptions) Validate() error {
	switch {
	case o.Dim < 0 || o.Dim > compat.MaxDimension:
		return fmt.Errorf("dimension %d is not in 1..%d", o.Dim, compat.MaxDimension)
	case o.Limit < 0 || o.Limit > MaxRows:
		return fmt.Errorf("a limit of %d vectors is not in 1..%d", o.Limit, MaxRows)
	}
	return nil
}

// Read reads vectors. A file that is not what its name says wraps ErrFormat.
// Components are as they stand there: whether they are finite is the stamper's
// affair.
func Read(path string, o ReadOptions) (Set, error) {
	var s Set
	err := Each(path, o, func(l int, row []float32) error {
		if s.Data == nil {
			s.Dim, s.Data = len(row), make([]float32, 0, l*len(row))
		}
		s.Data = append(s.Data, row...)
		return nil
	})
	if err != nil {
		return Set{}, err
	}
	return s, nil
}

// Each hands out the vectors of a file one by one, for files that needn't fit
// into memory. rows is how many there are, as far as the file's size vouches
// for it; 0 where that is unknown. The row is valid during the call only. An
// error of put ends the reading and is returned as it is.
func Each(path string, o ReadOptions, put func(rows int, row []float32) error) error {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	f, err := open(path)
	if err != nil {
		return err
	}
	defer f.close()
	l, err := f.layout(o.Dim)
	if err != nil {
		return f.wrong(err)
	}
	var row []float32
	return f.each(l, o.Dim, o.Limit, func(l layout, rows int, bytes []byte) error {
		row = l.floats(row[:0], bytes)
		return put(rows, row)
	})
}

// ReadNeighbours reads the true neighbours of so many queries, of which a file
// may hold more (.ivecs, .npy) or exactly as many (.i32, which has no header).
// Numbers of rows at or beyond size are refused: the file is of another set.
func ReadNeighbours(path string, queries, size int) (Neighbours, error) {
	f, err := open(path)
	if err != nil {
		return Neighbours{}, err
	}
	defer f.close()
	cols := 0
	if format(path) == "i32" {
		if queries < 1 || f.size < 0 || f.size%int64(4*queries) != 0 {
			return Neighbours{}, f.wrong(fmt.Errorf("%d bytes are no rows of int32 for %d queries", f.size, queries))
		}
		if cols = int(min(f.size/int64(4*queries), compat.MaxDimension+1)); cols == 0 {
			return Neighbours{}, f.wrong(errors.New("it is empty"))
		}
	}
	l, err := f.layout(cols)
	if err == nil && !l.kind.integer() {
		err = errors.New("neighbours are whole numbers")
	}
	if err != nil {
		return Neighbours{}, f.wrong(err)
	}
	var n Neighbours
	err = f.each(l, cols, queries, func(l layout, _ int, bytes []byte) error {
		n.K = l.cols
		for i := 0; i < len(bytes); i += widths[l.kind] {
			id := l.whole(bytes[i:])
			if id < 0 || id >= int64(size) {
				return f.wrong(fmt.Errorf("neighbour %d of a set of %d vectors; it belongs to another set", id, size))
			}
			n.IDs = append(n.IDs, uint32(id))
		}
		return nil
	})
	if err == nil && n.Len() < queries {
		err = f.wrong(fmt.Errorf("it has the neighbours of %d queries, not of %d", n.Len(), queries))
	}
	if err != nil {
		return Neighbours{}, err
	}
	return n, nil
}

// file is one that is being read.
type file struct {
	path   string
	closer io.Closer
	r      *bufio.Reader
	size   int64 // bytes behind what was read of it; -1: unknown (compressed)
}

func open(path string) (*file, error) {
	o, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read vectors: %w", err)
	}
	info, err := o.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("read %s: it is no file", path)
	}
	if err != nil {
		o.Close()
		return nil, err
	}
	f := &file{path: path, closer: o, size: info.Size()}
	var r io.Reader = o
	if strings.HasSuffix(strings.ToLower(path), ".gz") {
		z, err := gzip.NewReader(bufio.NewReader(o))
		if err != nil {
			o.Close()
			return nil, f.wrong(err)
		}
		r, f.size = z, -1
	}
	f.r = bufio.NewReaderSize(r, 1<<20)
	return f, nil
}

func (f *file) close() { f.closer.Close() }

// wrong names the file.
func (f *file) wrong(err error) error {
	return fmt.Errorf("read %s: %w: %w", f.path, ErrFormat, err)
}

// layout reads the header.
func (f *file) layout(dim int) (l layout, err error) {
	var header int64
	l = layout{rows: -1, order: binary.LittleEndian}
	switch kind := format(f.path); kind {
	case "f32", "i32":
		if l.kind, l.cols = kindF32, dim; kind == "i32" {
			l.kind = kindI32
		}
		if dim == 0 {
			return l, errors.New("the file does not say its dimension; give it")
		}
	case "fvecs":
		l.kind, l.framed = kindF32, true
	case "bvecs":
		l.kind, l.framed = kindU8, true
	case "ivecs":
		l.kind, l.framed = kindI32, true
	case "npy":
		l, header, err = npyHeader(f.r)
	case "idx":
		l, header, err = idxHeader(f.r, compat.MaxDimension)
	default:
		return l, errors.New("its name ends in none of .f32 .fvecs .bvecs .ivecs .i32 .npy .idx (or the same and .gz)")
	}
	if f.size >= 0 {
		f.size -= header
	}
	return l, err
}

// each hands out rows as they stand in the file, at most limit (0: all).
func (f *file) each(l layout, dim, limit int, put func(l layout, rows int, row []byte) error) error {
	if l.framed && l.cols == 0 {
		first, err := f.r.Peek(4)
		if err != nil {
			return f.wrong(errors.New("it is empty"))
		}
		l.cols = int(min(l.order.Uint32(first), compat.MaxDimension+1))
	}
	switch {
	case l.cols < 1 || l.cols > compat.MaxDimension:
		return f.wrong(fmt.Errorf("its rows have %d components or more; 1 to %d can be", l.cols, compat.MaxDimension))
	case dim != 0 && l.cols != dim:
		return f.wrong(fmt.Errorf("its rows have %d components, not %d", l.cols, dim))
	}
	if f.size >= 0 {
		rows := f.size / int64(l.rowBytes())
		if f.size%int64(l.rowBytes()) != 0 || l.rows >= 0 && int64(l.rows) != rows {
			return f.wrong(fmt.Errorf("%d bytes are not %s of %d bytes", f.size, rowsClaimed(l.rows), l.rowBytes()))
		}
		l.rows = int(min(rows, MaxRows+1))
	}
	if l.rows > MaxRows || l.rows == 0 {
		return f.wrong(fmt.Errorf("%d vectors; 1 to %d can be", l.rows, MaxRows))
	}
	known := 0
	if f.size >= 0 {
		known = l.rows
		if limit > 0 {
			known = min(known, limit)
		}
	}
	return f.rows(l, limit, func(row []byte) error { return put(l, known, row) })
}

func rowsClaimed(rows int) string {
	if rows < 0 {
		return "whole rows"
	}
	return fmt.Sprintf("%d rows", rows)
}

// rows reads one row after the other, to the end or the limit.
func (f *file) rows(l layout, limit int, put func(row []byte) error) error {
	buffer := make([]byte, l.rowBytes())
	n := 0
	for ; limit == 0 || n < limit; n++ {
		if n > MaxRows {
			return f.wrong(fmt.Errorf("it has more than %d vectors", MaxRows))
		}
		_, err := io.ReadFull(f.r, buffer)
		if errors.Is(err, io.EOF) && n > 0 {
			break
		}
		switch {
		case err != nil:
			return f.wrong(fmt.Errorf("row %d: %w", n, err))
		case l.rows >= 0 && n >= l.rows:
			return f.wrong(fmt.Errorf("it goes on behind the %d rows that it claims", l.rows))
		}
		row := buffer
		if l.framed {
			if got := l.order.Uint32(row); got != uint32(l.cols) {
				return f.wrong(fmt.Errorf("row %d has %d components, the first one %d", n, got, l.cols))
			}
			row = row[4:]
		}
		if err := put(row); err != nil {
			return err
		}
	}
	if limit == 0 && l.rows >= 0 && n != l.rows {
		return f.wrong(fmt.Errorf("it ends after %d of the %d rows that it claims", n, l.rows))
	}
	return nil
}
