//go:build noasm || !amd64

package gemm

import "github.com/vecino-db/vecino/kernels/cpu"

// These run in plain Go on arm64 too.

func integerLayout(_ cpu.Tier, k int) (width, group int)      { return 1, k }
func integerRows(cpu.Tier) int                                { return genericRows }
func unsignedRows(cpu.Tier) bool                              { return false }
func absMax(_ cpu.Tier, v []float32) uint32                   { return absMaxGeneric(v) }
func quantizeBytes(dst []uint8, v []float32, inverse float32) { quantizeBytesGeneric(dst, v, inverse) }

func quantizeWords(_ cpu.Tier, dst []int16, v []float32, inverse float32) {
	quantizeWordsGeneric(dst, v, inverse)
}

func integerTiles(b *PackedInt8, s *Scratch, i, rows, j int, dst []float32, ldc int, d addend) {
	integerTilesGeneric(b, s, i, rows, j, dst, ldc, d)
}
