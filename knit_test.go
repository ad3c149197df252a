package knit_test

import (
	"context"
	"io"
	"net/netip"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
)

// pair returns two kernels joined by a pipe, 10.0.0.1 and 10.0.0.2, with modules
// loaded.
func pair(t testing.TB, cfg link.PipeConfig, modules ...string) (a, z *knit.Kernel) {
	t.Helper()
	ks := [2]*knit.Kernel{}
	for i := range ks {
		clk := clock.NewReal() // the kernel's own would disarm what is left
		t.Cleanup(clk.Close)
		leak.Zero(t, "timers", func() int64 { return int64(clk.Pending()) })
		k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: clk})
		if err != nil {
			t.Fatal(err)
		}
		ks[i] = k
		leak.Zero(t, "packets", k.Pool.Live)
		leak.Zero(t, "buffers", k.Pool.LiveBufs)
		leak.Zero(t, "oopses", k.Log.Oopses)
		for _, m := range append([]string{"ip4"}, modules...) {
			if err := k.Modprobe(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	x, y, err := ks[0].Join(ks[1], cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range []*link.Device{x, y} {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
		if err := ks[i].Network.AddAddr(d, network.Addr{Prefix: netip.PrefixFrom(a, 24)}); err != nil {
			t.Fatal(err)
		}
		if err := d.SetUp(true); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range ks {
		t.Cleanup(func() {
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return ks[0], ks[1]
}

func TestBytesCrossAPipe(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	ln, err := z.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(c, c)
		c.Close()
	}()
	c, err := a.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	c.(interface{ CloseWrite() error }).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil || string(b) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
	c.Close()
}
