//go:build !(linux || darwin) || race

package arena

import "unsafe"

// Lazy says that unwritten parts of a Region cost nothing, so that an owner may
// ask for far more than it needs.
const Lazy = false

func reserve(size int) ([]byte, func([]byte), error) {
	// Words, so that every array is aligned.
	words := make([]uint64, (size+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8), nil, nil
}

// AdviseHuge asks for huge pages behind array, which is of a Region. Here it
// does nothing.
func AdviseHuge[T Number](*Region, []T) {}
