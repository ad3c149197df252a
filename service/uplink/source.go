package uplink

import (
	"net"
	"sync"
)

// bufferSize holds the largest datagram, and enough of a stream that system calls
// are few.
const bufferSize = 128 << 10

// buffers is a pool of buffers. The zero buffers is ready to use.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() *[]byte {
	if b, _ := p.pool.Get().(*[]byte); b != nil {
		return b
	}
	b := make([]byte, bufferSize)
	return &b
}

func (p *buffers) put(b *[]byte) { p.pool.Put(b) }

// A source reads from the host. It holds a buffer only while there are bytes, so
// that thousands of idle flows cost no memory, where the system lets one wait
// without a buffer. It is for one goroutine.
type source struct {
	conn    net.Conn
	buffers *buffers
	ready   readiness
}

func newSource(c net.Conn, b *buffers) *source {
	s := &source{conn: c, buffers: b}
	s.ready.init(c)
	return s
}

// read returns a buffer, to be put back, and the bytes in it. At the end of a
// stream it is io.EOF.
func (s *source) read() (buf *[]byte, n int, err error) {
	if s.ready.usable() {
		return s.ready.read(s.buffers)
	}
	buf = s.buffers.get()
	n, err = s.conn.Read(*buf)
	if n > 0 {
		return buf, n, nil // an error comes again
	}
	if err == nil {
		return buf, 0, nil
	}
	s.buffers.put(buf)
	return nil, 0, err
}
