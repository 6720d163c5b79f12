//go:build linux || darwin

package hub

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func freeSpace(directory *os.File) (bytes uint64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(directory.Fd()), &s); err != nil || s.Bsize <= 0 {
		return 0, false
	}
	block := uint64(s.Bsize)
	if s.Bavail > (1<<63)/block {
		return 1 << 63, true
	}
	return s.Bavail * block, true
}

// tryLock takes an exclusive lock of an open file, which ends with the file.
func tryLock(f *os.File) bool {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
