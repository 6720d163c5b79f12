//go:build noasm || !(amd64 || arm64)

package gemm

import "github.com/vecino-db/vecino/kernels/cpu"

func panelWidth(cpu.Tier) int { return genericWidth }
func tileRows(cpu.Tier) int   { return genericRows }

func tiles(_ cpu.Tier, dst []float32, ldc int, a []float32, lda, rows int, panel []float32, depth int, d addend) {
	tileGeneric(dst, ldc, a, lda, rows, panel, depth, d)
}
