package knit_test

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
)

// TestNetConn holds connections over pipes, with and without offload, and over
// Ethernet to the contract of net.Conn.
func TestNetConn(t *testing.T) {
	leak.Check(t)
	for name, cfg := range map[string]link.PipeConfig{
		"pipe": {}, "segments": {Features: link.TxCsum | link.GRO}, "checksums": {Features: link.GRO}, "ethernet": {Ethernet: true},
	} {
		t.Run(name, func(t *testing.T) {
			k, z := pair(t, cfg, "tcp")
			ln, err := z.Listen("tcp", "10.0.0.2:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				accepted := make(chan net.Conn, 1)
				go func() {
					c, err := ln.Accept()
					if err != nil {
						t.Error(err)
					}
					accepted <- c
				}()
				c1, err = k.Dial("tcp", ln.Addr().String())
				if err != nil {
					return nil, nil, nil, err
				}
				c2 = <-accepted
				return c1, c2, func() { c1.Close(); c2.Close() }, nil
			})
		})
	}
}

func TestListenerContract(t *testing.T) {
	leak.Check(t)
	_, z := pair(t, link.PipeConfig{}, "tcp")
	ln, err := z.Listen("tcp", "10.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := ln.Accept(); err == nil {
		t.Error("Accept after Close succeeded")
	}
}
