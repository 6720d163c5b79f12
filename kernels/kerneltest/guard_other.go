//go:build !unix

package kerneltest

import "testing"

// Guarded needs memory protection as Unix systems have it.
func Guarded[T any](tb testing.TB, _ int, _ bool) []T {
	tb.Helper()
	tb.Skip("guard pages are set up on Unix only")
	return nil
}
