package knit_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/socket"
)

// TestWriteBuffersShareSegments: small buffers written together leave in one segment,
// though Nagle's algorithm is off.
func TestWriteBuffersShareSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := lab.Kernel(t, nil, "tcp")
		s := meet(t, k)
		ln, err := k.Listen("tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		peer := honest(t, s)
		x, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := x.(*socket.Conn)
		defer c.Close()
		v := net.Buffers{[]byte("head "), nil, []byte("body "), []byte(strings.Repeat("x", 1440)), []byte("0123456789tail")}
		want := string(bytes.Join(v, nil))
		n, err := c.WriteBuffers(&v)
		if n != int64(len(want)) || err != nil || len(v) != 0 {
			t.Errorf("wrote %d of %d bytes, %v, %d buffers are left", n, len(want), err, len(v))
		}
		got := s.received()
		if len(got) != 2 || len(got[0].data) != 1460 || got[0].data+got[1].data != want {
			t.Errorf("%d segments: %+v", len(got), got)
		}
		peer.Ack += uint32(n)
		s.send(peer)
		for _, b := range []string{"two", "writes"} {
			c.Write([]byte(b))
		}
		if got := s.received(); len(got) != 2 {
			t.Errorf("two Writes left in %d segments", len(got))
		}
	})
}

// TestWriteBuffersLarge: more than the send buffer holds arrives whole, and as it was.
func TestWriteBuffersLarge(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	c, s := open(t, a, z)
	c.SetWriteBuffer(10000)
	var v net.Buffers
	sum := sha256.New()
	for i := range 2000 {
		b := bytes.Repeat([]byte{byte(i)}, i)
		sum.Write(b)
		v = append(v, b)
	}
	go func() {
		if _, err := c.ReadFrom(&v); err != nil {
			t.Error(err)
		}
		c.CloseWrite()
	}()
	got := sha256.New()
	if n, err := io.Copy(got, s); n != 1999*2000/2 || err != nil || !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
}

// TestWriteBuffersFails: what was not written is left, as with net.Buffers.WriteTo.
func TestWriteBuffersFails(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	c, s := open(t, a, z)
	c.SetWriteBuffer(10000)
	s.SetReadBuffer(10000) // and nobody reads
	v := net.Buffers{make([]byte, 5000), make([]byte, 1<<20)}
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	n, err := c.WriteBuffers(&v)
	left := 0
	for _, b := range v {
		left += len(b)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n+int64(left) != 5000+(1<<20) {
		t.Errorf("wrote %d, %d are left, %v", n, left, err)
	}
	c.SetWriteDeadline(time.Time{})
	c.CloseWrite()
	v = net.Buffers{[]byte("x")}
	if n, err := c.WriteBuffers(&v); n != 0 || !errors.Is(err, syscall.EPIPE) || len(v) != 1 {
		t.Errorf("after CloseWrite: %d, %v, %d buffers are left", n, err, len(v))
	}
}

// TestCopyBetweenConns: io.Copy and io.CopyN pass bytes from one connection to another
// and take no more than they are told.
func TestCopyBetweenConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		in, s1 := open(t, a, z)
		s2, out := openAt(t, z, a, "10.0.0.1:0")
		go func() { in.Write(pattern(300 << 10)); in.CloseWrite() }()
		go func() {
			limited := &io.LimitedReader{R: s1, N: 100 << 10}
			if n, err := s2.ReadFrom(limited); n != 100<<10 || limited.N != 0 || err != nil {
				t.Errorf("passed %d, %d to go, %v", n, limited.N, err)
			}
			if n, err := s2.ReadFrom(limited); n != 0 || err != nil {
				t.Errorf("passed %d more, %v", n, err)
			}
			if n, err := s2.ReadFrom(s1); n != 200<<10 || err != nil {
				t.Errorf("passed %d, %v", n, err)
			}
			s2.CloseWrite()
		}()
		if b, err := io.ReadAll(out); !bytes.Equal(b, pattern(300<<10)) || err != nil {
			t.Errorf("%d bytes came through, %v", len(b), err)
		}
	})
}
