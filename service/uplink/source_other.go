//go:build !unix

package uplink

import (
	"io"
	"net"
)

// A readiness can do nothing here: reads wait with a buffer in hand.
type readiness struct{}

func (*readiness) init(net.Conn) {}

func (*readiness) usable() bool { return false }

func (*readiness) read(*buffers) (buf *[]byte, n int, err error) {
	return nil, 0, io.EOF
}
