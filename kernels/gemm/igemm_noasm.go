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

func dequantize(_ cpu.Tier, dst []float32, sums, correction []int32, scales []float32, scale float32) {
	dequantizeGeneric(dst, sums, correction, scales, scale)
}

func integerTiles(b *PackedInt8, s *Scratch, i, rows int, panel []int8, sums []int32, ldc int) {
	integerTilesGeneric(s.words[i*b.padded:], b.padded, rows, panel, sums, ldc)
}
