//go:build unix

package embed

import (
	"os"
	"runtime"
	"syscall"
)

// door is a pipe by which a goroutine that computes makes Go look at the network.
// With all processors busy nothing else does for 10 ms: a goroutine that gives
// way is put behind others that are ready, and Go asks the network only where
// none is. So it waits for a byte of its own, which comes from there; what else
// has come in is made ready with it.
type door struct {
	reader  syscall.RawConn
	from    *os.File // kept, because its finalizer closes it
	to      *os.File
	blocked bool // the pipe does not do that here
}

func newDoor() *door {
	d := &door{}
	var err error
	if d.from, d.to, err = os.Pipe(); err == nil {
		d.reader, err = d.from.SyscallConn()
	}
	d.blocked = err != nil
	return d
}

// letIn lets others go first, those among them that the network makes ready.
func (d *door) letIn() {
	if !d.blocked {
		var b [1]byte
		sent := false
		err := d.reader.Read(func(fd uintptr) (done bool) {
			if !sent {
				sent = true
				_, err := d.to.Write(b[:])
				return err != nil
			}
			for {
				if _, err := syscall.Read(int(fd), b[:]); err != syscall.EINTR {
					return err != syscall.EAGAIN
				}
			}
		})
		d.blocked = err != nil
	}
	runtime.Gosched()
}
