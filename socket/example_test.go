package socket_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/transport"
)

// A connection from a chosen port, with a fixed receive buffer.
func ExampleDialer() {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	ln, err := k.Listen("tcp", "127.0.0.1:80")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	d := socket.Dialer{
		Sockets: k.Sockets,
		Local:   netip.MustParseAddrPort("127.0.0.1:5000"),
		Options: transport.StreamOptions{RecvBuffer: 64 << 10},
	}
	conn, err := d.DialContext(context.Background(), "tcp", "127.0.0.1:80")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Println(conn.LocalAddr(), "to", conn.RemoteAddr())
	// Output:
	// 127.0.0.1:5000 to 127.0.0.1:80
}
