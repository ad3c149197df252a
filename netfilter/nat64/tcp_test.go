package nat64

import (
	"testing"

	"github.com/knitnet/knit/wire"
)

// TestTCPStates: the state machine of RFC 6146 §3.5.2.2, event by event.
func TestTCPStates(t *testing.T) {
	const syn, fin, rst, ack = wire.TCPSyn, wire.TCPFin | wire.TCPAck, wire.TCPRst, wire.TCPAck
	for _, x := range []struct {
		from  tcpState
		side  side
		flags uint8
		want  tcpState
		life  life
	}{
		{closed, from6, syn, v6Init, transLife}, {closed, from4, syn, v4Init, transLife},
		// V4 INIT
		{v4Init, from6, syn, established, estLife}, {v4Init, from4, syn, v4Init, keepLife}, {v4Init, from6, ack, v4Init, keepLife},
		{v4Init, from6, rst, v4Init, keepLife},
		// V6 INIT
		{v6Init, from4, syn, established, estLife}, {v6Init, from4, syn | ack, established, estLife},
		{v6Init, from6, syn, v6Init, transLife}, {v6Init, from4, ack, v6Init, keepLife}, {v6Init, from4, rst, v6Init, keepLife},
		{v6Init, from4, syn | rst, v6Init, keepLife},
		// ESTABLISHED
		{established, from4, fin, v4Fin, estLife}, {established, from6, fin, v6Fin, estLife},
		{established, from4, rst, trans, transLife}, {established, from6, rst, trans, transLife}, {established, from4, rst | fin, trans, transLife},
		{established, from6, ack, established, estLife}, {established, from4, syn, established, estLife},
		// V4 FIN RCV, V6 FIN RCV
		{v4Fin, from6, fin, bothFin, transLife}, {v4Fin, from4, fin, v4Fin, estLife}, {v4Fin, from6, ack, v4Fin, estLife},
		{v6Fin, from4, fin, bothFin, transLife}, {v6Fin, from6, fin, v6Fin, estLife}, {v6Fin, from4, ack, v6Fin, estLife},
		// V4 FIN + V6 FIN RCV
		{bothFin, from4, ack, bothFin, keepLife}, {bothFin, from6, syn, bothFin, keepLife},
		// TRANS
		{trans, from4, rst, trans, keepLife}, {trans, from6, rst, trans, keepLife},
		{trans, from4, ack, established, estLife}, {trans, from6, syn, established, estLife},
	} {
		if got, l := x.from.next(x.side, x.flags); got != x.want || l != x.life {
			t.Errorf("%v, from side %d with flags %#x: %v and %d, want %v and %d", x.from, x.side, x.flags, got, l, x.want, x.life)
		}
	}
}

// TestFreePort: the search among the bits finds what a search port by port would find.
func TestFreePort(t *testing.T) {
	var p ports
	for n := range 1 << 16 { // every port but a few is in use
		if n%4099 != 7 && n%977 != 3 {
			p.set(uint16(n))
		}
	}
	for _, r := range []struct{ lo, hi uint16 }{{1, 65535}, {0, 65535}, {1024, 2000}, {7, 7}, {64, 127}, {65535, 65535}, {4000, 4200}, {8, 970}} {
		for _, parity := range []uint64{anyParity, evenParity, oddParity} {
			want := map[uint16]bool{}
			for n := int(r.lo); n <= int(r.hi); n++ {
				if p[n/64]>>(n%64)&1 == 0 && parity>>(n%64)&1 == 1 {
					want[uint16(n)] = true
				}
			}
			for range 50 {
				if got, ok := p.free(r.lo, r.hi, parity); ok != (len(want) > 0) || ok && !want[got] {
					t.Fatalf("%d to %d, parity %x: %d, %v; free are %v", r.lo, r.hi, parity, got, ok, want)
				}
			}
		}
	}
	p.clear(12)
	if n, ok := p.free(12, 12, evenParity); n != 12 || !ok {
		t.Errorf("%d, %v", n, ok)
	}
}

// TestPortsAreRandom: RFC 6056: the next port cannot be told from the last ones.
func TestPortsAreRandom(t *testing.T) {
	var p ports
	seen, neighbours := map[uint16]bool{}, 0
	last := uint16(0)
	for range 1000 {
		n, ok := p.free(1024, 65535, anyParity)
		if !ok || seen[n] {
			t.Fatalf("%d, %v", n, ok)
		}
		p.set(n)
		seen[n] = true
		if n == last+1 {
			neighbours++
		}
		last = n
	}
	if neighbours > 20 {
		t.Errorf("%d of 1000 ports followed their predecessor", neighbours)
	}
}
