//go:build (linux || darwin) && !race

package arena

import (
	"runtime"
	"syscall"
	"unsafe"
)

// Lazy says that unwritten parts of a Region cost nothing, so that an owner may
// ask for far more than it needs.
const Lazy = true

// hugePages is Linux's MADV_HUGEPAGE.
const hugePages = 14

func reserve(size int) ([]byte, func([]byte), error) {
	if size == 0 {
		return nil, nil, nil
	}
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return nil, nil, err
	}
	// Only the mapping as a whole can be given back, which is never wrong here.
	return mem, func(mem []byte) { _ = syscall.Munmap(mem) }, nil
}

// AdviseHuge asks for huge pages behind array, which is of a Region. It is a
// wish: nothing depends on it. Small arrays should not have it, since a page is
// 2 MiB then.
func AdviseHuge[T Number](r *Region, array []T) {
	if runtime.GOOS != "linux" || len(array) == 0 {
		return
	}
	const page = 1 << 12
	from := int(uintptr(unsafe.Pointer(unsafe.SliceData(array))) - uintptr(unsafe.Pointer(unsafe.SliceData(r.mem))))
	to := from + Size[T](len(array))
	_ = syscall.Madvise(r.mem[from/page*page:min((to+page-1)/page*page, len(r.mem))], hugePages)
}
