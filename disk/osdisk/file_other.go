//go:build !linux

package osdisk

import "os"

// readCached does the read at once: most likely it is cached.
func (o *op) readCached() bool {
	o.work()
	return true
}

func writeAll(f *os.File, bufs [][]byte, pos int64) error {
	for _, b := range bufs {
		n, err := f.WriteAt(b, pos)
		if err != nil {
			return err
		}
		pos += int64(n)
	}
	return nil
}

// syncData makes the file durable; on macOS also through the device's cache.
func syncData(f *os.File) error { return f.Sync() }
