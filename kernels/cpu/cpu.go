// Package cpu says which tier of kernels this process runs.
//
// A tier is a set of instructions that a family of kernels is written for. The
// best one that the processor and the operating system support is chosen once,
// when the program starts:
//
//	generic     plain Go, every platform; the reference of all the others
//	neon        arm64, Advanced SIMD (part of every ARMv8-A)
//	avx2        amd64, AVX2 and FMA3, 256-bit registers
//	avx512      amd64, AVX-512 F, BW, DQ and VL, 512-bit registers
//	avx512vnni  amd64, avx512 and VNNI (integer dot products)
//
// The environment variable VECINO_KERNELS names a tier to run instead. A name
// that is unknown, or that this machine can't run, changes nothing: the best
// tier runs, and Err says what was wrong, for the program to report.
//
// With the build tag noasm, or on another architecture, only generic exists.
package cpu

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// EnvKernels is the environment variable that forces a tier by its name.
const EnvKernels = "VECINO_KERNELS"

// Tier is a set of instructions that kernels are written for. The tiers of one
// architecture are ordered: a higher one includes the lower ones.
type Tier uint8

// The tiers, in ascending order within an architecture.
const (
	Generic Tier = iota
	NEON
	AVX2
	AVX512
	AVX512VNNI
	numTiers
)

// String returns the name that VECINO_KERNELS takes.
func (t Tier) String() string {
	switch t {
	case Generic:
		return "generic"
	case NEON:
		return "neon"
	case AVX2:
		return "avx2"
	case AVX512:
		return "avx512"
	case AVX512VNNI:
		return "avx512vnni"
	}
	return fmt.Sprintf("tier(%d)", uint8(t))
}

// TierError says that a tier was asked for that doesn't exist or can't run here.
type TierError struct {
	Name      string // as it was asked for
	Known     bool   // a tier of this name exists
	Supported []Tier // what can run here, ascending
}

// Error names the tiers that may be asked for instead.
func (e *TierError) Error() string {
	names := make([]string, len(e.Supported))
	for i, t := range e.Supported {
		names[i] = t.String()
	}
	what := "is unknown"
	if e.Known {
		what = "can't run on this machine"
	}
	return fmt.Sprintf("kernels: tier %q %s: set %s to one of %s, or leave it unset for the best",
		e.Name, what, EnvKernels, strings.Join(names, ", "))
}

// selection is the outcome of choosing a tier.
type selection struct {
	tier Tier
	err  error
}

// active is read by every kernel call. It changes only in Force.
var active, selectErr = func() (Tier, error) {
	s := choose(os.Getenv(EnvKernels), Supported())
	return s.tier, s.err
}()

// choose picks the tier called name, or the best one where name is empty or
// can't be had. supported is ascending and never empty.
func choose(name string, supported []Tier) selection {
	best := supported[len(supported)-1]
	if name == "" {
		return selection{tier: best}
	}
	for t := range numTiers {
		if !strings.EqualFold(name, t.String()) {
			continue
		}
		if slices.Contains(supported, t) {
			return selection{tier: t}
		}
		return selection{tier: best, err: &TierError{Name: name, Known: true, Supported: supported}}
	}
	return selection{tier: best, err: &TierError{Name: name, Supported: supported}}
}

// Active returns the tier that kernels run now. Safe for concurrent use, except
// beside Force.
func Active() Tier { return active }

// Err returns what was wrong with VECINO_KERNELS, a *TierError, or nil. The best
// tier runs in that case.
func Err() error { return selectErr }

// Supported returns the tiers that can run here, ascending; the first is Generic
// and the last is the best.
func Supported() []Tier { return append([]Tier{Generic}, detect()...) }

// Force makes kernels run tier t until restore is called. It is meant for tests
// and benchmarks: it must not run beside kernels or another Force. A tier that
// can't run here is a *TierError, and nothing changes.
func Force(t Tier) (restore func(), err error) {
	supported := Supported()
	if !slices.Contains(supported, t) {
		return func() {}, &TierError{Name: t.String(), Known: t < numTiers, Supported: supported}
	}
	was := active
	active = t
	return func() { active = was }, nil
}
