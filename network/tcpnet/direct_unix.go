//go:build unix

package tcpnet

import (
	"net"
	"syscall"
)

// direct writes to a socket without ever waiting. The socket's own Write would wait, and mind the writer's
// deadline.
type direct struct {
	raw   syscall.RawConn // nil: the socket is closed
	p     []byte
	n     int
	tryFn func(fd uintptr)
}

func (d *direct) init(sock *net.TCPConn) {
	d.tryFn = d.try
	d.raw, _ = sock.SyscallConn()
}

// write returns how many bytes the socket took; 0 also if it is broken, which the writer will find out.
func (d *direct) write(p []byte) int {
	d.p, d.n = p, 0
	if d.raw == nil || d.raw.Control(d.tryFn) != nil {
		return 0
	}
	d.p = nil
	return d.n
}

func (d *direct) try(fd uintptr) {
	n, err := syscall.Write(int(fd), d.p)
	if err == nil {
		d.n = n
	}
}
