//go:build !noasm

package cpu

import "github.com/klauspost/cpuid/v2"

// detect returns the tiers above Generic, ascending. cpuid reports AVX and
// AVX-512 features only when the operating system saves their registers
// (XGETBV), so no separate question is needed. A tier demands every extension
// that its kernels use.
func detect() []Tier {
	var tiers []Tier
	c := &cpuid.CPU
	if !c.Supports(cpuid.AVX, cpuid.AVX2, cpuid.FMA3) {
		return nil
	}
	tiers = append(tiers, AVX2)
	if !c.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL) {
		return tiers
	}
	tiers = append(tiers, AVX512)
	if c.Supports(cpuid.AVX512VNNI) {
		tiers = append(tiers, AVX512VNNI)
	}
	return tiers
}
