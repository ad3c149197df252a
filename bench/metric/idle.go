package metric

import (
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/knitnet/knit/bench/system"
)

// Idle is the memory that one end of an idle TCP connection holds after a byte
// has gone there and back: on the Go heap, in goroutine stacks and, where the
// stack is a kernel, in that.
func Idle() Metric {
	return Metric{
		Name: "Idle", Title: "memory of an idle connection's end", Unit: bytesPerEnd, Once: true,
		Bench: benchIdle,
	}
}

// Goroutines is the name of the extra metric that says how many goroutines the
// end of an idle connection needs.
const Goroutines = "goroutines"

func benchIdle(b *testing.B, env Env) error {
	conns := env.Conns
	if conns == 0 {
		conns = 1000
	}
	n, err := env.System.Net(env.Options)
	if err != nil {
		return err
	}
	defer n.Close()
	l, err := n.Z.Listen(port)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	ends := make([]net.Conn, 0, 2*conns)
	defer func() {
		for _, c := range ends {
			c.Close()
		}
	}()
	before := measure(n)
	for range conns {
		a, z, err := pairUp(n, l)
		if err != nil {
			return fmt.Errorf("after %d connections: %w", len(ends)/2, err)
		}
		ends = append(ends, a, z)
	}
	for range b.N {
		// The work is done; there is nothing to repeat.
	}
	after := measure(n)
	per := 1 / float64(len(ends))
	b.ReportMetric(float64(after.bytes-before.bytes)*per, bytesPerEnd)
	b.ReportMetric(float64(after.goroutines-before.goroutines)*per, Goroutines)
	return nil
}

// pairUp opens a connection and sends a byte there and back.
func pairUp(n *system.Net, l net.Listener) (a, z net.Conn, err error) {
	dialled := make(chan error, 1)
	go func() {
		var err error
		a, err = n.A.Dial("tcp", target(n))
		dialled <- err
	}()
	z, acceptErr := l.Accept()
	if err := <-dialled; err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	if acceptErr != nil {
		return nil, nil, fmt.Errorf("accept: %w", acceptErr)
	}
	one := make([]byte, 1)
	for _, way := range [][2]net.Conn{{a, z}, {z, a}} {
		if _, err := way[0].Write(one); err != nil {
			return nil, nil, fmt.Errorf("write: %w", err)
		}
		if _, err := way[1].Read(one); err != nil {
			return nil, nil, fmt.Errorf("read: %w", err)
		}
	}
	return a, z, nil
}

type holding struct{ bytes, goroutines int64 }

// measure returns what is held once everything that is free has been freed.
func measure(n *system.Net) holding {
	const settling = 200 * time.Millisecond // delayed acknowledgements, goroutines that end
	time.Sleep(settling)
	for range 3 { // pools and finalizers need more than one cycle
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h := holding{bytes: int64(m.HeapAlloc + m.StackInuse), goroutines: int64(runtime.NumGoroutine())}
	if n.Outside != nil {
		h.bytes += int64(n.Outside())
	}
	return h
}
