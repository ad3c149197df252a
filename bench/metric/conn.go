package metric

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/knitnet/knit/bench/system"
)

// port is where Z listens in every benchmark.
const port = 7000

// connect joins A to Z by one TCP connection.
func connect(n *system.Net) (a, z net.Conn, err error) {
	l, err := n.Z.Listen(port)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	type accepted struct {
		conn net.Conn
		err  error
	}
	peer := make(chan accepted, 1)
	go func() {
		c, err := l.Accept()
		peer <- accepted{c, err}
	}()
	a, err = n.A.Dial("tcp", target(n))
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	p := <-peer
	if p.err != nil {
		a.Close()
		return nil, nil, fmt.Errorf("accept: %w", p.err)
	}
	return a, p.conn, nil
}

func target(n *system.Net) netip.AddrPort { return netip.AddrPortFrom(n.Z.Addr(), port) }
