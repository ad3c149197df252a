package knit_test

import (
	"testing"
	"testing/synctest"

	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/wire"
)

// TestUrgentMark: RFC 6093: urgent data is in line; a Read stops at its last octet, so
// that who looks for the mark finds it, and goes on behind it.
func TestUrgentMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := lab.Kernel(t, nil, "tcp")
		s := meet(t, k)
		ln, err := k.Listen("tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		x := honest(t, s)
		a, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := a.(*socket.Conn)
		defer c.Close()
		send := func(data string, urgent uint16) {
			x.data, x.Flags, x.Urgent = data, wire.TCPAck, urgent
			if urgent != 0 {
				x.Flags |= wire.TCPUrg
			}
			s.send(x)
			x.Seq += uint32(len(data))
		}
		read := func(want string, at bool) {
			t.Helper()
			before, err := c.AtMark()
			if err != nil || before != at {
				t.Errorf("in front of %q: at the mark: %v, %v; want %v", want, before, err, at)
			}
			b := make([]byte, 100)
			n, err := c.Read(b)
			if err != nil || string(b[:n]) != want {
				t.Errorf("read %q, %v; want %q", b[:n], err, want)
			}
		}
		send("plain", 0)
		read("plain", false)
		send("abcd!efg", 5) // as send("abcd!", MSG_OOB) and send("efg")
		read("abcd", false)
		read("!efg", true)
		send("", 3) // announced before it comes
		send("hi", 0)
		read("hi", false)
		send("?", 0)
		read("?", true)
		send("end", 0)
		read("end", false)
	})
}
