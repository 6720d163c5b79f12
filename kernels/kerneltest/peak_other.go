//go:build noasm || !amd64

package kerneltest

import "github.com/vecino-db/vecino/kernels/cpu"

// Peak is measured on amd64 only.
func Peak(cpu.Tier, int, bool) int { return 0 }
