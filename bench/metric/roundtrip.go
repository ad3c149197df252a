package metric

import (
	"fmt"
	"net"
	"testing"
)

const micro = 1e6 // microseconds in a second

// RoundTrip is the time for one byte to go to the other end of a TCP connection
// and come back, with a goroutine at each end.
func RoundTrip() Metric {
	return Metric{
		Name: "RoundTrip", Title: "TCP, one byte there and back", Unit: microseconds, Packets: 2,
		Bench: benchRoundTrip,
	}
}

func benchRoundTrip(b *testing.B, env Env) error {
	n, err := env.System.Net(env.Options)
	if err != nil {
		return err
	}
	defer n.Close()
	a, z, err := connect(n)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { echo(z); close(done) }()
	defer func() { a.Close(); z.Close(); <-done }()

	one := make([]byte, 1)
	const warm = 1000
	for range warm {
		if err := exchange(a, one); err != nil {
			return err
		}
	}
	m, trips := start(), 0
	for b.Loop() {
		if err := exchange(a, one); err != nil {
			return err
		}
		trips++
	}
	b.ReportMetric(m.stop(b)*micro/float64(trips), microseconds)
	return nil
}

// exchange sends a byte and waits for one.
func exchange(c net.Conn, one []byte) error {
	if _, err := c.Write(one); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if _, err := c.Read(one); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// echo sends back byte by byte what it receives, until the connection ends.
func echo(c net.Conn) {
	one := make([]byte, 1)
	for {
		if _, err := c.Read(one); err != nil {
			return
		}
		if _, err := c.Write(one); err != nil {
			return
		}
	}
}
