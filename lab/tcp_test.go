package lab_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/transport"
)

var (
	subnet = netip.MustParsePrefix("10.0.0.0/24")
	server = netip.MustParseAddrPort("10.0.0.2:80")
)

// A transfer is one cell of the matrix.
type transfer struct {
	wire   lab.Wire
	buffer int // of both sockets; 0: autotuning
	bytes  int
}

// silent is a Waker for a program that looks after every event anyway.
type silent struct{}

func (silent) Wake(transport.Ready) {}

// run carries tr.bytes from one kernel to the other, checks every byte, and returns
// how long it took. Both kernels, both programs and the link run on one goroutine in
// virtual time, so that the result is the same every time.
func (tr transfer) run(t *testing.T) (took time.Duration) {
	t.Helper()
	clk := clock.NewVirtual()
	a, z := lab.Kernel(t, clk, "-ip6", "tcp"), lab.Kernel(t, clk, "-ip6", "tcp")
	lab.Connect(t, a, z, tr.wire, subnet)
	r := &receiver{l: listen(t, z, tr.buffer), sum: sha256.New()}
	s := &sender{kernel: a, data: pattern(tr.bytes), buffer: tr.buffer}
	begin := clk.Now()
	for !r.done {
		for s.step(t) || r.step(t) {
		}
		next, ok := clk.Next()
		if !ok {
			t.Fatal("the transfer stands still, and no timer is set")
		}
		clk.AdvanceTo(next)
	}
	took = clk.Now().Sub(begin)
	if want := sha256.Sum256(s.data); !bytes.Equal(r.sum.Sum(nil), want[:]) {
		t.Error("the bytes that arrived are not those that were sent")
	}
	r.l.Close()
	clk.Advance(10 * time.Minute) // TIME-WAIT and late packets
	return took
}

func listen(t *testing.T, k *knit.Kernel, buffer int) transport.StreamListener {
	t.Helper()
	p, err := k.Transport.Stream(transport.TCP)
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Listen(transport.StreamOptions{RecvBuffer: buffer}, server, silent{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A sender writes data and closes. It dials again as a user would: at 20 % loss
// seven SYNs can be lost.
type sender struct {
	kernel *knit.Kernel
	buffer int
	data   []byte
	at     int
	s      transport.Stream
	closed bool
}

func (s *sender) step(t *testing.T) (progress bool) {
	t.Helper()
	switch {
	case s.closed:
		return false
	case s.s == nil:
		p, err := s.kernel.Transport.Stream(transport.TCP)
		if err != nil {
			t.Fatal(err)
		}
		if s.s, err = p.Connect(transport.StreamOptions{SendBuffer: s.buffer}, netip.AddrPort{}, server, silent{}); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if err := s.s.Connected(); err == transport.ErrWouldBlock {
		return false
	} else if err != nil {
		s.s.Close()
		s.s = nil
		return true
	}
	n, err := s.s.Send(s.data[s.at:])
	s.at += n
	switch {
	case s.at == len(s.data):
		s.closed = true
		s.s.Close()
		return true
	case err != nil && err != transport.ErrWouldBlock:
		t.Fatalf("send: %v", err)
	}
	return n > 0
}

// A receiver sums what comes until the end.
type receiver struct {
	l    transport.StreamListener
	s    transport.Stream
	sum  hash.Hash
	buf  [64 << 10]byte
	done bool
}

func (r *receiver) step(t *testing.T) (progress bool) {
	t.Helper()
	if r.s == nil {
		s, err := r.l.Accept()
		if err != nil {
			return false
		}
		r.s = s
		return true
	}
	n, err := r.s.Recv(r.buf[:])
	r.sum.Write(r.buf[:n])
	switch {
	case err == io.EOF:
		r.done = true
		r.s.Close()
		return false
	case err != nil && err != transport.ErrWouldBlock:
		t.Fatalf("receive: %v", err)
	}
	return n > 0
}

// pattern returns n bytes in which every position is recognisable.
func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%08x", i)
	}
	return b.Bytes()[:n]
}
