//go:build !noasm

package beam

import "github.com/vecino-db/vecino/kernels/cpu"

func insert(items []uint64, limit int, keys, ids []uint32) (first int) {
	switch cpu.Active() {
	case cpu.AVX512VNNI, cpu.AVX512:
		return insertAVX512(&items[0], len(items), limit, &keys[0], &ids[0], len(keys))
	default:
		return insertGeneric(items, limit, keys, ids)
	}
}
