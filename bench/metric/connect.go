package metric

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/knitnet/knit/bench/system"
)

// Connect is the time to open a TCP connection, send a byte and have it back, and
// close: one after the other, the acceptor closing first and the connector when
// it has seen the end of the stream, so that TIME-WAIT stays with the acceptor
// and the connector's ports come free.
func Connect() Metric {
	return Metric{
		Name: "Connect", Title: "TCP connect, one byte there and back, close", Unit: microseconds,
		Packets: 9, // SYN, SYN-ACK, ACK, two of data, FIN and ACK twice
		Bench:   benchConnect,
	}
}

func benchConnect(b *testing.B, env Env) error {
	n, err := env.System.Net(env.Options)
	if err != nil {
		return err
	}
	defer n.Close()
	l, err := n.Z.Listen(port)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	done := make(chan struct{})
	go func() { answer(l); close(done) }()
	defer func() { l.Close(); <-done }()

	one := make([]byte, 1)
	const warm = 100
	for range warm {
		if err := call(n, one); err != nil {
			return err
		}
	}
	m, calls := start(), 0
	for b.Loop() {
		if err := call(n, one); err != nil {
			return err
		}
		calls++
	}
	b.ReportMetric(m.stop(b)*micro/float64(calls), microseconds)
	return nil
}

// call makes one connection from A to Z.
func call(n *system.Net, one []byte) error {
	c, err := n.A.Dial("tcp", target(n))
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer c.Close()
	if err := exchange(c, one); err != nil {
		return err
	}
	if _, err := c.Read(one); err != io.EOF {
		return fmt.Errorf("read at the end of the stream: %v", err)
	}
	return nil
}

// answer serves one connection after the other until the listener is closed.
func answer(l net.Listener) {
	one := make([]byte, 1)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if _, err := c.Read(one); err == nil {
			c.Write(one)
		}
		c.Close()
	}
}
