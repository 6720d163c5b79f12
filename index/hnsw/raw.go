package hnsw

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/vecino-db/vecino/index/internal/arena"
)

// Checkpoints are little-endian, and so are nearly all machines: numbers are
// copied as bytes, and turned around on the others.

// word is a number of four bytes.
type word interface {
	arena.Number
	~uint32 | ~float32
}

// raw is the memory of words.
func raw[T word](words []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 4*len(words))
}

// bigEndian reports how this machine stores numbers.
func bigEndian() bool { return binary.NativeEndian.Uint16([]byte{0, 1}) == 1 }

// appendWords writes words to b, little-endian.
func appendWords[T word](b []byte, words []T) []byte {
	at := len(b)
	b = append(b, raw(words)...)
	if bigEndian() {
		turn(b[at:])
	}
	return b
}

// loadWords sets words from b, which is as long.
func loadWords[T word](words []T, b []byte) {
	own := raw(words)
	copy(own, b)
	if bigEndian() {
		turn(own)
	}
}

// turn reverses the bytes of each word.
func turn(b []byte) {
	for ; len(b) >= 4; b = b[4:] {
		binary.NativeEndian.PutUint32(b, bits.ReverseBytes32(binary.NativeEndian.Uint32(b)))
	}
}
