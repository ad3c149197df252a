package metric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// Datagram is the time that one UDP datagram of 64 bytes costs, sent by one
// goroutine and received by another that never lets more than a window of them
// be under way, so that none is lost.
func Datagram() Metric {
	return Metric{
		Name: "Datagram", Title: "UDP, datagrams of 64 bytes in one direction", Unit: microseconds, Packets: 1,
		Bench: benchDatagram,
	}
}

const (
	datagramSize = 64
	// credit is how many datagrams the receiver allows at a time, and credits
	// how many times it may do so ahead: 128 datagrams fit every stack's
	// default receive buffer.
	credit  = 32
	credits = 4
)

func benchDatagram(b *testing.B, env Env) error {
	n, err := env.System.Net(env.Options)
	if err != nil {
		return err
	}
	defer n.Close()
	z, err := n.Z.ListenPacket(port)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	a, err := n.A.Dial("udp", target(n))
	if err != nil {
		z.Close()
		return fmt.Errorf("dial: %w", err)
	}
	f := newFlow(a)
	done := make(chan struct{})
	go func() { f.receive(z); close(done) }()
	defer func() { a.Close(); z.Close(); <-done }()

	const warm = 64 * credit
	for range warm {
		if err := f.send(); err != nil {
			return err
		}
	}
	m, sent := start(), 0
	for b.Loop() {
		if err := f.send(); err != nil {
			return err
		}
		sent++
	}
	b.ReportMetric(m.stop(b)*micro/float64(sent), microseconds)
	return nil
}

// A flow is a sender and a receiver of datagrams that keep in step.
type flow struct {
	conn    net.Conn
	data    []byte
	left    int           // datagrams that may be sent without asking
	allowed chan struct{} // one credit each
}

func newFlow(c net.Conn) *flow {
	f := &flow{conn: c, data: make([]byte, datagramSize), allowed: make(chan struct{}, credits)}
	for range credits {
		f.allowed <- struct{}{}
	}
	return f
}

func (f *flow) send() error {
	if f.left == 0 {
		if err := f.wait(); err != nil {
			return err
		}
		f.left = credit
	}
	f.left--
	if _, err := f.conn.Write(f.data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// wait takes a credit. None comes if datagrams were lost.
func (f *flow) wait() error {
	select {
	case <-f.allowed:
		return nil
	default:
	}
	timeout := time.NewTimer(5 * time.Second)
	defer timeout.Stop()
	select {
	case <-f.allowed:
		return nil
	case <-timeout.C:
		return errors.New("datagrams were lost")
	}
}

// The methods by which sockets receive without allocating an address: that of
// *net.UDPConn, and knit's.
type (
	udpAddrPortReader interface {
		ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	}
	addrPortReader interface {
		ReadFromAddrPort(b []byte) (int, netip.AddrPort, error)
	}
)

// reader returns the cheapest way to receive a datagram from p into buf.
func reader(p net.PacketConn, buf []byte) func() error {
	switch r := p.(type) {
	case udpAddrPortReader:
		return func() error { _, _, err := r.ReadFromUDPAddrPort(buf); return err }
	case addrPortReader:
		return func() error { _, _, err := r.ReadFromAddrPort(buf); return err }
	}
	return func() error { _, _, err := p.ReadFrom(buf); return err }
}

// receive gives a credit for each credit's worth of datagrams, until p is closed.
func (f *flow) receive(p net.PacketConn) {
	read := reader(p, make([]byte, 2*datagramSize))
	for got := 1; ; got++ {
		if read() != nil {
			return
		}
		if got%credit == 0 {
			f.allowed <- struct{}{}
		}
	}
}
