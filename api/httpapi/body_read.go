package httpapi

import (
	"bytes"
	"errors"
	"io"
	"math"
)

// How much memory a body gets before it has shown what it holds.
const (
	// firstPiece is what is allocated on the word of a Content-Length.
	firstPiece = 1 << 20
	// trusted is how many times what has arrived may be allocated for what is
	// announced to come.
	trusted = 8
	// largestPiece bounds the pieces of a body of unannounced length.
	largestPiece = 4 << 20
	// inflatedAtOnce is kept of a compressed body before its size is known.
	inflatedAtOnce = 1 << 20
)

// readAll reads to the end. Beyond limit it reads at least a byte and stops.
// announced is the length that is expected, or negative. Memory never grows by
// copying all there is: an announced length is allocated in two or three steps,
// and an unannounced one collected in pieces that are joined once.
func readAll(r io.Reader, announced, limit int64) ([]byte, error) {
	r = io.LimitReader(r, limit+1)
	if announced < 0 {
		return readPieces(r)
	}
	announced = min(announced, limit) + 1 // one more, to meet the end without growing
	data := make([]byte, 0, max(512, min(announced, firstPiece)))
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
			data = append(make([]byte, 0, min(max(announced, int64(len(data))+firstPiece), trusted*int64(len(data)))), data...)
		}
	}
}

// readPieces is readAll for an unknown length.
func readPieces(r io.Reader) ([]byte, error) {
	var pieces [][]byte
	total, size := 0, 4<<10
	for {
		piece := make([]byte, size)
		n, err := io.ReadFull(r, piece)
		pieces, total = append(pieces, piece[:n]), total+n
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n < size {
			break
		}
		if err != nil {
			return nil, err
		}
		size = min(2*size, largestPiece)
	}
	if len(pieces) == 1 {
		return pieces[0], nil
	}
	data := make([]byte, 0, total)
	for i, piece := range pieces {
		data = append(data, piece...)
		pieces[i] = nil
	}
	return data, nil
}

// inflate reads a compressed body of at most limit bytes, as sent and as it is
// then. A large one is decompressed twice, the first time to learn its size: so
// what turns out to be too large was never held.
func inflate(r io.Reader, encoding string, announced, limit int64) ([]byte, error) {
	sent, err := readAll(r, announced, limit)
	if err != nil {
		return nil, err
	}
	plain, end, err := decompress(bytes.NewReader(sent), encoding)
	if err != nil {
		return nil, err
	}
	defer end()
	head, err := readPieces(io.LimitReader(plain, min(limit+1, inflatedAtOnce)))
	if err != nil || len(head) < inflatedAtOnce {
		return head, err
	}

	more, err := io.Copy(io.Discard, io.LimitReader(plain, limit-inflatedAtOnce+1))
	if err != nil {
		return nil, err
	}
	size := inflatedAtOnce + more
	if size > limit || size > math.MaxInt {
		return nil, bodyTooLarge(limit)
	}
	if err := plain.Reset(bytes.NewReader(sent)); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	_, err = io.ReadFull(plain, data)
	return data, err
}
