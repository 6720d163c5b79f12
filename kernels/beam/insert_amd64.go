//go:build !noasm

package beam

import "github.com/vecino-db/vecino/kernels/cpu"

// mostAVX2 is the length of beams from which on moving all places behind an item,
// four at a time, takes longer than a search for its place and one move
// (BenchmarkInsert: two to three times as fast at 16 and 40 places, level at 200).
const mostAVX2 = 128

func insert(items []uint64, limit int, keys, ids []uint32) (first int) {
	switch cpu.Active() {
	case cpu.AVX512VNNI, cpu.AVX512:
		return insertAVX512(&items[0], len(items), limit, &keys[0], &ids[0], len(keys))
	case cpu.AVX2:
		if len(items) > mostAVX2 {
			return insertGeneric(items, limit, keys, ids)
		}
		return insertAVX2(&items[0], len(items), limit, &keys[0], &ids[0], len(keys))
	default:
		return insertGeneric(items, limit, keys, ids)
	}
}
