//go:build noasm || !(amd64 || arm64)

package f32

func dot(a, b []float32) float32                          { return dotGeneric(a, b) }
func squaredL2(a, b []float32) float32                    { return squaredL2Generic(a, b) }
func dotNorms(a, b []float32) (ab, aa, bb float32)        { return dotNormsGeneric(a, b) }
func scale(v []float32, s float32)                        { scaleGeneric(v, s) }
func dotRows(dst, q, slab []float32, rows []uint32)       { dotRowsGeneric(dst, q, slab, rows) }
func squaredL2Rows(dst, q, slab []float32, rows []uint32) { squaredL2RowsGeneric(dst, q, slab, rows) }
