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
// which connections would race for. io.EOF if the file ends before the region. On a file system that cannot do it
// the region is read and written.
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
	switch {
	case failed == nil:
		return err
	case left == r.Len && isUnsupported(failed):
		return w.readAndWrite(f, r)
	}
	return failed
}

// isUnsupported reports whether sendfile failed because of where the file lies, not of what it is.
func isUnsupported(err error) bool {
	return err == syscall.EINVAL || err == syscall.ENOSYS || err == syscall.ENOTSUP
}
