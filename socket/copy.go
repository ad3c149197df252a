package socket

import (
	"io"
	"net"

	"github.com/knitnet/knit/transport"
)

// WriteBuffers writes all of v as one Write of their bytes would, without putting
// them together first: small ones share segments. Like net.Buffers.WriteTo, which
// calls Write for each buffer on connections that are not of package net, it
// consumes what it has written.
func (c *Conn) WriteBuffers(v *net.Buffers) (n int64, err error) {
	c.writeTurn.Lock()
	defer c.writeTurn.Unlock()
	for len(*v) > 0 {
		if err := c.wr.check(); err != nil {
			return n, c.opError("write", err)
		}
		m, err := c.s.SendBuffers(*v)
		n += int64(m)
		consume(v, m)
		if err := c.sent(err); err != nil {
			return n, c.opError("write", err)
		}
	}
	return n, nil
}

// consume takes n bytes off the front of v, and the buffers that are empty then.
func consume(v *net.Buffers, n int) {
	for len(*v) > 0 {
		first := (*v)[0]
		if n < len(first) {
			(*v)[0] = first[n:]
			return
		}
		n -= len(first)
		(*v)[0] = nil
		*v = (*v)[1:]
	}
}

// WriteTo implements io.WriterTo: it passes what arrives to w without copying it,
// until the peer's FIN.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	n, err := c.writeTo(w, 0)
	return n, c.opError("writeto", err)
}

// writeTo passes at most limit bytes to w, all if that is 0.
func (c *Conn) writeTo(w io.Writer, limit int64) (total int64, err error) {
	c.readTurn.Lock()
	defer c.readTurn.Unlock()
	var failed error // of w, whose errors may look like ours
	pass := func(b []byte) (n int, err error) {
		if n, err = w.Write(b); err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		failed = err
		return n, err
	}
	for limit <= 0 || total < limit {
		if err := c.rd.check(); err != nil {
			return total, c.opError("read", err)
		}
		n, err := c.s.RecvTo(pass, max(limit-total, 0))
		total += n
		switch {
		case failed != nil:
			return total, failed
		case err == io.EOF:
			return total, nil
		case err == transport.ErrWouldBlock:
			if err := c.rd.wait(); err != nil {
				return total, c.opError("read", err)
			}
		case err != nil:
			return total, c.opError("read", c.rd.failed(err))
		}
	}
	return total, nil
}

// readFromSize is how much ReadFrom takes at once: a full super-segment.
const readFromSize = 64 << 10

// ReadFrom implements io.ReaderFrom. What comes from another *Conn, also through an
// *io.LimitedReader as io.CopyN makes it, is not copied on the way; *net.Buffers are
// written as WriteBuffers does.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	switch r := r.(type) {
	case *net.Buffers:
		n, err = c.WriteBuffers(r)
	case *Conn:
		n, err = r.writeTo(c, 0)
	case *io.LimitedReader:
		from, ok := r.R.(*Conn)
		if !ok {
			n, err = c.readFrom(r)
		} else if r.N > 0 {
			n, err = from.writeTo(c, r.N)
			r.N -= n
		}
	default:
		n, err = c.readFrom(r)
	}
	return n, c.opError("readfrom", err)
}

func (c *Conn) readFrom(r io.Reader) (total int64, err error) {
	buf := make([]byte, readFromSize)
	for {
		n, rerr := r.Read(buf)
		m, werr := c.Write(buf[:n])
		total += int64(m)
		switch {
		case werr != nil:
			return total, werr
		case rerr == io.EOF:
			return total, nil
		case rerr != nil:
			return total, rerr
		}
	}
}
