package metric

import (
	"fmt"
	"io"
	"net"
	"testing"
)

// chunk is how many bytes are given to one Write and asked of one Read.
const chunk = 64 << 10

// segmentBytes is the payload of a TCP segment with timestamps at MTU 1500. With
// larger packets too, allocations are reported per this many bytes, so that the
// figures compare.
const segmentBytes = 1448

// Stream is the rate of one TCP connection in one direction, counted where the
// bytes are read.
func Stream() Metric {
	return Metric{
		Name: "Stream", Title: "TCP stream, one connection", Unit: megabytes, Higher: true,
		Packets: float64(chunk) / segmentBytes,
		Bench:   benchStream,
	}
}

func benchStream(b *testing.B, env Env) error {
	n, err := env.System.Net(env.Options)
	if err != nil {
		return err
	}
	defer n.Close()
	a, z, err := connect(n)
	if err != nil {
		return err
	}
	defer pour(a).stop()
	defer a.Close()
	defer z.Close()

	buf := make([]byte, chunk)
	const warm = 256 // chunks: windows open and pools fill
	for range warm {
		if _, err := io.ReadFull(z, buf); err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
	m, read := start(), 0
	for b.Loop() {
		k, err := io.ReadFull(z, buf)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		read += k
	}
	const mega = 1e6
	b.ReportMetric(float64(read)/mega/m.stop(b), megabytes)
	return nil
}

// A pourer writes to a connection until that is closed.
type pourer struct{ done chan struct{} }

func pour(c net.Conn) pourer {
	p := pourer{make(chan struct{})}
	go func() {
		defer close(p.done)
		buf := make([]byte, chunk)
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	return p
}

// stop waits for the end of the pourer, whose connection must be closed.
func (p pourer) stop() { <-p.done }
