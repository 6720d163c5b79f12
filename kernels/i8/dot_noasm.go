//go:build noasm || !(amd64 || arm64)

package i8

func dot(a, b []int8) int32                              { return dotGeneric(a, b) }
func dotRows(dst []int32, q, slab []int8, rows []uint32) { dotRowsGeneric(dst, q, slab, rows) }
