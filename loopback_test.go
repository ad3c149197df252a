package knit_test

import (
	"io"
	"net"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/std"
)

// TestBulkOverLoopback: the loopback device takes packets of 65,536 bytes, one more
// than IPv4 can have; full segments must fit nevertheless (RFC 791 §3.1).
func TestBulkOverLoopback(t *testing.T) {
	leak.Check(t)
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for _, address := range []string{"127.0.0.1:80", "[::1]:80"} {
		ln, err := k.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			c, err := k.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				ln.Close()
				return
			}
			defer c.Close()
			c.Write(make([]byte, 1<<20))
		}()
		var c net.Conn
		if c, err = ln.Accept(); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, c); n != 1<<20 || err != nil {
			t.Errorf("%s: %d bytes, %v", address, n, err)
		}
		c.Close()
	}
}
