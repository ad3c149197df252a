package knit_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// syn is a SYN of stranger number n for port 80.
func syn(n int) (x segment) {
	a := [4]byte{10}
	binary.BigEndian.PutUint32(a[:], 10<<24|1<<16+uint32(n))
	x.from, x.to = netip.AddrPortFrom(netip.AddrFrom4(a), 40000), netip.MustParseAddrPort("10.0.0.2:80")
	x.Seq, x.Flags, x.Window = uint32(n), wire.TCPSyn, 64000
	x.options.Present, x.options.MSS = wire.TCPHasMSS, 1460
	return x
}

// TestSYNFlood: RFC 4987: SYNs of strangers that never answer are remembered up to
// the backlog, beyond it answered with cookies that cost no memory; who does answer
// is served all the same, and what is remembered is forgotten.
func TestSYNFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := lab.Kernel(t, nil, "tcp")
		if _, err := k.Listen("tcp", "10.0.0.2:80"); err == nil {
			t.Fatal("listens on an address that is not there yet")
		}
		s := meet(t, k)
		ln, err := k.Listen("tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		s.count = map[uint16]int{}
		const n, backlog = 20000, 1024
		begin := heap()
		for i := range n {
			s.send(syn(i))
		}
		first := heap()
		for i := range n {
			s.send(syn(n + i))
		}
		if half := synReceived(k); half != backlog {
			t.Errorf("%d connections are half open, want %d", half, backlog)
		}
		if got, cookies := s.count[wire.TCPSyn|wire.TCPAck], tcpExt(t, k, "SyncookiesSent"); got != 2*n || cookies != 2*n-backlog {
			t.Errorf("%d SYN-ACKs, %d with cookies, want %d and %d", got, cookies, 2*n, 2*n-backlog)
		}
		if grown := (first - begin) / backlog; grown > 4096 {
			t.Errorf("%d bytes for each half open connection", grown)
		}
		if grown := heap() - first; grown > 64<<10 {
			t.Errorf("%d SYNs beyond the backlog cost %d bytes", n, grown)
		}
		honest(t, s)
		if _, err := ln.Accept(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		if half := synReceived(k); half != 0 {
			t.Errorf("%d connections are half open after two minutes", half)
		}
	})
}

// honest opens a connection as its peer, and returns the last segment it sent.
func honest(t *testing.T, s *stranger) (x segment) {
	t.Helper()
	s.mu.Lock()
	s.count = nil
	s.mu.Unlock()
	x = syn(1 << 20)
	s.send(x)
	got := s.received()
	if len(got) != 1 || got[0].Flags != wire.TCPSyn|wire.TCPAck {
		t.Fatalf("a SYN is answered with %+v", got)
	}
	x.Flags, x.Seq, x.Ack, x.options.Present = wire.TCPAck, x.Seq+1, got[0].Seq+1, 0
	s.send(x)
	if got := s.received(); len(got) != 0 {
		t.Fatalf("the ACK of a handshake is answered with %+v", got)
	}
	return x
}

func synReceived(k *knit.Kernel) (n int) {
	for _, s := range k.Transport.Sockets(transport.TCP) {
		if s.State == "SYN-RECV" {
			n++
		}
	}
	return n
}

// tcpExt returns a counter of the TcpExt group.
func tcpExt(t *testing.T, k *knit.Kernel, name string) uint64 {
	t.Helper()
	g, _ := k.Stats.Lookup("TcpExt")
	for _, f := range g.Fields {
		if f.Name == name {
			return f.Load()
		}
	}
	t.Fatalf("no counter %s", name)
	return 0
}
