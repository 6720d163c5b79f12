package hub

import (
	"io"
	"os"
)

// system is what a pull asks of the operating system beyond files; tests put
// others in place.
type system struct {
	// free is the number of bytes that may still be written beside the open
	// directory; ok is false where that can't be known.
	free func(directory *os.File) (bytes uint64, ok bool)
	// writer stands between a download and its file.
	writer func(file *os.File) io.Writer
}

func realSystem() system {
	return system{free: freeSpace, writer: func(f *os.File) io.Writer { return f }}
}

// syncDirectory makes renames in a directory durable, where the system can.
func syncDirectory(root *os.Root) {
	if d, err := root.Open("."); err == nil {
		// Some systems can't sync a directory, and need not.
		_ = d.Sync()
		d.Close()
	}
}
