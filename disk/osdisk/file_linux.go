package osdisk

import (
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// maxVector is how many buffers the kernel takes at once (IOV_MAX).
const maxVector = 1024

// readCached does a read if it can be had without waiting for the device: it reports false when
// pages are missing, and at the end of the file, which looks the same.
func (o *op) readCached() bool {
	o.one[0] = o.p
	n, err := unix.Preadv2(int(o.file.file.Fd()), o.one[:], o.pos, unix.RWF_NOWAIT)
	switch {
	case err == unix.EOPNOTSUPP || err == unix.ENOSYS || err == unix.EINVAL:
		o.work() // this file system cannot tell; most likely it is cached
		return true
	case err != nil || n < len(o.p):
		return false
	}
	o.n = n
	return true
}

// writeAll writes all bufs at pos, without a copy.
func writeAll(f *os.File, bufs [][]byte, pos int64) error {
	if len(bufs) == 1 {
		_, err := f.WriteAt(bufs[0], pos)
		return err
	}
	fd := int(f.Fd())
	for bufs = skip(bufs, 0); len(bufs) > 0; {
		n, err := unix.Pwritev(fd, bufs[:min(len(bufs), maxVector)], pos)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		case n == 0:
			return io.ErrShortWrite
		}
		pos += int64(n)
		bufs = skip(bufs, n)
	}
	return nil
}

// skip returns bufs without their first n bytes and without empty buffers in front. It leaves the
// caller's slice as it is.
func skip(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs = slices.Clone(bufs)
		bufs[0] = bufs[0][n:]
	}
	return bufs
}

// syncData makes the data, and of the metadata the size, durable.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == unix.EINTR {
			continue
		}
		return os.NewSyscallError("fdatasync", err)
	}
}
