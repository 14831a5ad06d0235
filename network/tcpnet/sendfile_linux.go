package tcpnet

import (
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lockstep/lockstep/disk"
)

const haveSendfile = true

// sendfile sends a region from the page cache. The offset is ours, not the file's shared position,
// which connections would race for. io.EOF if the file ends before the region.
func (w *frameWriter) sendfile(f *os.File, r disk.Region) error {
	if w.raw == nil {
		raw, err := w.sock.SyscallConn()
		if err != nil {
			return err
		}
		w.raw = raw
	}
	in, pos, left := int(f.Fd()), r.Pos, r.Len
	var failed error
	err := w.raw.Write(func(out uintptr) (finished bool) {
		for left > 0 {
			n, err := unix.Sendfile(int(out), in, &pos, left)
			switch {
			case err == syscall.EAGAIN:
				return false
			case err == syscall.EINTR:
				continue
			case err == nil && n == 0:
				err = io.EOF
			}
			if err != nil {
				failed = err
				return true
			}
			left -= n
		}
		return true
	})
	runtime.KeepAlive(f)
	if failed != nil {
		return failed
	}
	return err
}
