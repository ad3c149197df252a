//go:build unix

package uplink

import (
	"io"
	"net"
	"os"
	"syscall"
)

// A readiness waits for a socket of the host to become readable before it takes a
// buffer.
type readiness struct {
	raw       syscall.RawConn
	datagrams bool
	try       func(fd uintptr) bool

	buffers *buffers
	buf     *[]byte
	n       int
	err     error
}

// init prepares to read from c if it is a socket of the host.
func (r *readiness) init(c net.Conn) {
	switch c := c.(type) {
	case *net.TCPConn:
		r.raw, _ = c.SyscallConn()
	case *net.UDPConn:
		r.raw, _ = c.SyscallConn()
		r.datagrams = true
	}
	r.try = r.tryRead
}

func (r *readiness) usable() bool { return r.raw != nil }

// tryRead reads once. It returns false to wait until there is something.
func (r *readiness) tryRead(fd uintptr) bool {
	r.buf = r.buffers.get()
	for {
		r.n, r.err = syscall.Read(int(fd), *r.buf)
		if r.err != syscall.EINTR {
			break
		}
	}
	if r.err == nil && (r.n > 0 || r.datagrams) {
		return true
	}
	r.buffers.put(r.buf)
	r.buf = nil
	return r.err != syscall.EAGAIN
}

func (r *readiness) read(b *buffers) (buf *[]byte, n int, err error) {
	r.buffers = b
	if err := r.raw.Read(r.try); err != nil {
		return nil, 0, err
	}
	switch buf = r.buf; {
	case buf != nil:
		r.buf = nil
		return buf, r.n, nil
	case r.err != nil:
		return nil, 0, os.NewSyscallError("read", r.err)
	}
	return nil, 0, io.EOF
}
