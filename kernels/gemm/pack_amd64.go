//go:build !noasm

package gemm

import "github.com/vecino-db/vecino/kernels/cpu"

// transposed packs as much of eight rows of bt as the tier has a kernel for, as
// columns of a panel, and returns how many of their k elements that is.
func transposed(t cpu.Tier, panel []float32, width int, bt []float32, ldb, k int) int {
	if t < cpu.AVX2 || k < 8 {
		return 0
	}
	blocks := k / 8
	// The furthest elements that the kernel touches.
	_, _ = panel[(8*blocks-1)*width+7], bt[7*ldb+8*blocks-1]
	transposeAVX2(&panel[0], width, &bt[0], ldb, blocks)
	return 8 * blocks
}
