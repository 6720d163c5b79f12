//go:build unix

package kerneltest

import (
	"syscall"
	"testing"
	"unsafe"
)

// Guarded returns a slice of n elements that ends exactly where memory that
// faults begins, and starts exactly behind such memory when atStart is set. A
// kernel that touches one byte too many ends the test with a fault.
func Guarded[T any](tb testing.TB, n int, atStart bool) []T {
	tb.Helper()
	page := syscall.Getpagesize()
	var zero T
	size := n * int(unsafe.Sizeof(zero))
	body := (size + page - 1) / page * page
	if body == 0 {
		body = page
	}
	m, err := syscall.Mmap(-1, 0, body+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		tb.Skipf("no memory map to guard with: %v", err)
	}
	tb.Cleanup(func() { _ = syscall.Munmap(m) })
	for _, guard := range [][]byte{m[:page], m[page+body:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			tb.Fatal(err)
		}
	}
	at := page + body - size
	if atStart {
		at = page
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(m[at:]))), n)
}
