//go:build noasm || !amd64

package beam

func insert(items []uint64, limit int, keys, ids []uint32) (first int) {
	return insertGeneric(items, limit, keys, ids)
}
