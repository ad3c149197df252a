package knit_test

import (
	"io"
	"net"
	"testing"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/socket"
)

// connected returns both ends of a connection.
func connected(b testing.TB, cfg link.PipeConfig) (x, y net.Conn) {
	k, z := pair(b, cfg, "tcp")
	ln, err := z.Listen("tcp", ":80")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	done := make(chan net.Conn)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			b.Error(err)
		}
		done <- c
	}()
	if x, err = k.Dial("tcp", "10.0.0.2:80"); err != nil {
		b.Fatal(err)
	}
	y = <-done
	b.Cleanup(func() { x.Close(); y.Close() })
	return x, y
}

func BenchmarkStream(b *testing.B) {
	for name, f := range map[string]link.Features{"mtu1500": link.TxCsum | link.GRO, "offload": link.Default} {
		b.Run(name, func(b *testing.B) {
			x, y := connected(b, link.PipeConfig{Features: f})
			go io.Copy(io.Discard, struct{ io.Reader }{y})
			buf := make([]byte, 128<<10)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	x, y := connected(b, link.PipeConfig{})
	go func() {
		var p [1]byte
		for {
			if _, err := io.ReadFull(y, p[:]); err != nil {
				return
			}
			y.Write(p[:])
		}
	}()
	var p [1]byte
	b.ReportAllocs()
	for b.Loop() {
		x.Write(p[:])
		if _, err := io.ReadFull(x, p[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConnect(b *testing.B) {
	k, z := pair(b, link.PipeConfig{}, "tcp")
	ln, err := z.Listen("tcp", ":80")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			var p [1]byte
			io.ReadFull(c, p[:])
			c.Write(p[:])
			c.Close()
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		c, err := k.Dial("tcp", "10.0.0.2:80")
		if err != nil {
			b.Fatal(err)
		}
		var p [1]byte
		c.Write(p[:])
		if _, err := io.ReadFull(c, p[:]); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func BenchmarkDatagram(b *testing.B) {
	k, z := pair(b, link.PipeConfig{}, "udp")
	in, err := z.ListenPacket("udp", "10.0.0.2:53")
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	out, err := k.Dial("udp", "10.0.0.2:53")
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	r := in.(*socket.PacketConn)
	var msg, buf [64]byte
	b.ReportAllocs()
	for b.Loop() {
		if _, err := out.Write(msg[:]); err != nil {
			b.Fatal(err)
		}
		if n, _, err := r.ReadFromAddrPort(buf[:]); n != 64 || err != nil {
			b.Fatal(n, err)
		}
	}
}
