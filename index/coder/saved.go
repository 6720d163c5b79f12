package coder

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/vecino-db/vecino/compat"
)

// A graph that github.com/coder/hnsw saved (Graph.Export, SavedGraph.Save),
// read from its source (encode.go, version 1). Whole numbers are zigzag varints,
// floats little-endian:
//
//	varint   version (1)
//	varint   M
//	8 bytes  Ml, float64
//	varint   EfSearch
//	string   name of the distance: varint length, bytes
//	varint   layers, the lowest first; it has all nodes, the others repeat some
//	for each layer:
//	  varint   nodes
//	  for each node: key, varint dimension, dimension float32,
//	                 varint neighbours, and the key of each
//
// What a key is the file does not say: it is the type parameter of the graph. A
// string is written like the distance's name, an int as varint, other numbers
// in their size, little-endian.

// KeyKind is the type of the keys of a saved graph.
type KeyKind string

// The kinds of keys.
const (
	KeysString  KeyKind = "string"
	KeysInt     KeyKind = "int"
	KeysInt64   KeyKind = "int64"
	KeysUint64  KeyKind = "uint64"
	KeysInt32   KeyKind = "int32"
	KeysUint32  KeyKind = "uint32"
	KeysInt16   KeyKind = "int16"
	KeysUint16  KeyKind = "uint16"
	KeysInt8    KeyKind = "int8"
	KeysUint8   KeyKind = "uint8"
	KeysFloat64 KeyKind = "float64"
	KeysFloat32 KeyKind = "float32"
)

// KeyKinds are all of them, in the order in which DetectKeys tries them.
// Signed and unsigned integers, and floats, of a size can't be told apart; the
// integers that are signed come first.
func KeyKinds() []KeyKind {
	return []KeyKind{KeysString, KeysInt, KeysInt64, KeysInt32, KeysInt16, KeysInt8, KeysUint64, KeysUint32, KeysUint16, KeysUint8, KeysFloat64, KeysFloat32}
}

// ErrSaved is the error of a file that is no graph which github.com/coder/hnsw
// saved, or whose keys are of another kind.
var ErrSaved = errors.New("no saved graph of github.com/coder/hnsw")

// maxKeyBytes bounds a key that is a string.
const maxKeyBytes = 64 << 10

// Saved is what a saved graph says of itself.
type Saved struct {
	M        int
	EfSearch int
	Distance string // "cosine", "euclidean", or a name of the program's own
	Layers   int
	Nodes    int // of the lowest layer
	Dim      int
}

// SavedNode is one vector of a saved graph. The vector is valid until the next
// one is read.
type SavedNode struct {
	Key    string // as text, whatever its kind
	Vector []float32
}

// ReadSaved hands out the nodes of a saved graph's lowest layer, where all are.
// Nothing that is read is believed: what is damaged, or has keys of another
// kind, is ErrSaved, and memory does not grow with what is claimed. Links are
// read and left: a graph is built anew from the vectors. An error of put ends
// the reading and is returned as it is.
func ReadSaved(r io.Reader, keys KeyKind, put func(SavedNode) error) (Saved, error) {
	s := savedReader{r: bufio.NewReaderSize(r, 1<<20), keys: keys, put: put}
	saved, err := s.read()
	if err != nil && !errors.Is(err, s.failed) {
		err = fmt.Errorf("%w: %w", ErrSaved, err)
	}
	return saved, err
}

// DetectKeys finds the kind of keys with which all of a file can be read.
func DetectKeys(r io.ReadSeeker) (KeyKind, Saved, error) {
	var first error
	for _, keys := range KeyKinds() {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return "", Saved{}, err
		}
		saved, err := ReadSaved(r, keys, func(SavedNode) error { return nil })
		if err == nil {
			return keys, saved, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", Saved{}, first
}

// savedReader is a file on its way.
type savedReader struct {
	r      *bufio.Reader
	keys   KeyKind
	put    func(SavedNode) error
	failed error // of put
	dim    int
	vector []float32
	bytes  []byte
}

func (s *savedReader) read() (saved Saved, err error) {
	s.failed = io.ErrNoProgress // none of put's, as yet
	version, err := s.number("version", 1, 1)
	if err != nil {
		return saved, fmt.Errorf("version %d: %w", version, err)
	}
	if saved.M, err = s.number("M", 0, math.MaxInt32); err != nil {
		return saved, err
	}
	if _, err = s.take(8); err != nil { // Ml
		return saved, err
	}
	if saved.EfSearch, err = s.number("EfSearch", 0, math.MaxInt32); err != nil {
		return saved, err
	}
	if saved.Distance, err = s.text(); err != nil {
		return saved, err
	}
	if saved.Layers, err = s.number("layers", 1, 1<<16); err != nil {
		return saved, err
	}
	for layer := range saved.Layers {
		nodes, err := s.number("nodes", 0, math.MaxInt32)
		if err != nil {
			return saved, err
		}
		for i := range nodes {
			if err := s.node(layer == 0); err != nil {
				if !errors.Is(err, s.failed) {
					err = fmt.Errorf("layer %d, node %d: %w", layer, i, err)
				}
				return saved, err
			}
		}
		if layer == 0 {
			saved.Nodes, saved.Dim = nodes, s.dim
		}
	}
	if _, err := s.r.ReadByte(); !errors.Is(err, io.EOF) {
		return saved, errors.New("it goes on behind its end")
	}
	if saved.Nodes == 0 {
		return saved, errors.New("it has no vectors")
	}
	return saved, nil
}

// node reads a node and hands it out when it is wanted.
func (s *savedReader) node(wanted bool) error {
	key, err := s.key()
	if err != nil {
		return err
	}
	if err := s.readVector(); err != nil {
		return err
	}
	neighbours, err := s.number("neighbours", 0, math.MaxInt32)
	if err != nil {
		return err
	}
	for range neighbours {
		if _, err := s.key(); err != nil {
			return err
		}
	}
	if !wanted {
		return nil
	}
	if err := s.put(SavedNode{Key: key, Vector: s.vector}); err != nil {
		s.failed = err
		return err
	}
	return nil
}

// readVector reads a vector, as long as the first one.
func (s *savedReader) readVector() error {
	dim, err := s.number("dimension", 1, compat.MaxDimension)
	if err != nil {
		return err
	}
	if s.dim == 0 {
		s.dim = dim
	}
	if dim != s.dim {
		return fmt.Errorf("a vector of %d components, others have %d", dim, s.dim)
	}
	b, err := s.take(4 * dim)
	if err != nil {
		return err
	}
	s.vector = s.vector[:0]
	for i := 0; i < len(b); i += 4 {
		s.vector = append(s.vector, math.Float32frombits(binary.LittleEndian.Uint32(b[i:])))
	}
	return nil
}

// key reads a key and gives it as text.
func (s *savedReader) key() (string, error) {
	switch s.keys {
	case KeysString:
		return s.text()
	case KeysInt:
		v, err := binary.ReadVarint(s.r)
		return strconv.FormatInt(v, 10), short(err)
	}
	size := map[KeyKind]int{
		KeysInt64: 8, KeysUint64: 8, KeysFloat64: 8, KeysInt32: 4, KeysUint32: 4, KeysFloat32: 4, KeysInt16: 2, KeysUint16: 2, KeysInt8: 1, KeysUint8: 1,
	}[s.keys]
	if size == 0 {
		return "", fmt.Errorf("no kind of keys is called %q; there are %v", s.keys, KeyKinds())
	}
	b, err := s.take(size)
	if err != nil {
		return "", err
	}
	var u uint64
	for i := range b {
		u |= uint64(b[i]) << (8 * i)
	}
	switch s.keys {
	case KeysFloat64:
		return strconv.FormatFloat(math.Float64frombits(u), 'g', -1, 64), nil
	case KeysFloat32:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(u))), 'g', -1, 32), nil
	case KeysUint64, KeysUint32, KeysUint16, KeysUint8:
		return strconv.FormatUint(u, 10), nil
	}
	shift := 64 - 8*size
	return strconv.FormatInt(int64(u<<shift)>>shift, 10), nil
}

// text reads a string.
func (s *savedReader) text() (string, error) {
	n, err := s.number("the length of a string", 0, maxKeyBytes)
	if err != nil {
		return "", err
	}
	b, err := s.take(n)
	if err == nil && !utf8.Valid(b) {
		err = errors.New("a string that is not UTF-8")
	}
	return string(b), err
}

// number reads a whole number that must lie between two.
func (s *savedReader) number(what string, least, most int) (int, error) {
	v, err := binary.ReadVarint(s.r)
	if err != nil {
		return 0, short(err)
	}
	if v < int64(least) || v > int64(most) {
		return int(v), fmt.Errorf("%s: %d is not in %d..%d", what, v, least, most)
	}
	return int(v), nil
}

// take reads n bytes, which are valid until the next call. n is bounded by the
// callers: by the longest key and the largest dimension.
func (s *savedReader) take(n int) ([]byte, error) {
	if cap(s.bytes) < n {
		s.bytes = make([]byte, n)
	}
	s.bytes = s.bytes[:n]
	_, err := io.ReadFull(s.r, s.bytes)
	return s.bytes, short(err)
}

// short says in words that a file ends.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends early")
	}
	return err
}
