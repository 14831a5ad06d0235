//go:build !linux

package tcpnet

import (
	"os"

	"github.com/lockstep/lockstep/disk"
)

const haveSendfile = false

// sendfile falls back to reading and writing.
func (w *frameWriter) sendfile(f *os.File, r disk.Region) error { return w.readAndWrite(f, r) }
