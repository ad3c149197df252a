package knit_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/std"
)

// TestCloseEndsWhatIsPending: Close ends every call that waits for something, and
// frees what the sockets that nobody has closed still hold. Later calls fail with
// net.ErrClosed.
func TestCloseEndsWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := knit.New(knit.Config{Modules: std.Modules()})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := k.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		// Somewhere that does not answer.
		dev, err := k.Link.Create("dummy", "away", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.AddAddr(dev.Name(), netip.MustParsePrefix("10.0.0.1/24")); err != nil {
			t.Fatal(err)
		}
		pc, err := k.ListenPacket("udp", ":53")
		if err != nil {
			t.Fatal(err)
		}
		echo, err := k.ListenPacket("ping4", "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		c, err := k.Dial("tcp", "127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ln.Accept(); err != nil { // nobody reads what c writes
			t.Fatal(err)
		}
		errs := map[string]chan error{}
		pending := func(what string, f func() error) {
			ch := make(chan error, 1)
			errs[what] = ch
			go func() { ch <- f() }()
		}
		pending("accept", func() error { _, err := ln.Accept(); return err })
		pending("read udp", func() error { _, _, err := pc.ReadFrom(make([]byte, 9)); return err })
		pending("read ping", func() error { _, _, err := echo.ReadFrom(make([]byte, 9)); return err })
		pending("read", func() error { _, err := c.Read(make([]byte, 9)); return err })
		pending("dial", func() error { _, err := k.Dial("tcp", "10.0.0.2:80"); return err })
		pending("write", func() error {
			for {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		})
		synctest.Wait()
		for what, ch := range errs {
			if len(ch) != 0 {
				t.Fatalf("%s does not wait: %v", what, <-ch)
			}
		}
		if err := k.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if n, m, timers := k.Pool.Live(), k.Pool.LiveBufs(), k.Clock.Pending(); n != 0 || m != 0 || timers != 0 {
			t.Errorf("%d packets, %d buffers and %d timers are left", n, m, timers)
		}
		want := map[string]error{
			"accept": net.ErrClosed, "read udp": net.ErrClosed, "read ping": net.ErrClosed,
			"read": syscall.ECONNABORTED, "dial": syscall.ECONNABORTED, "write": syscall.ECONNABORTED,
		}
		for what, ch := range errs {
			err := <-ch
			if what == "write" && errors.Is(err, syscall.EPIPE) {
				continue // the reader was told why first; a writer hears the reason only once, as on Linux
			}
			if !errors.Is(err, want[what]) {
				t.Errorf("%s = %v, want %v", what, err, want[what])
			}
		}
		afterClose(t, k, c)
	})
}

// afterClose calls what a program may still call on a closed kernel and its sockets.
func afterClose(t *testing.T, k *knit.Kernel, c net.Conn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 9)); err == io.EOF || err == nil {
		t.Errorf("read of a connection that was cut = %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close of a connection that was cut = %v", err)
	}
	for what, f := range map[string]func() error{
		"dial":          func() error { _, err := k.Dial("tcp", "127.0.0.1:80"); return err },
		"listen":        func() error { _, err := k.Listen("tcp", ":80"); return err },
		"listen packet": func() error { _, err := k.ListenPacket("udp", ":80"); return err },
	} {
		if err := f(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close = %v, want net.ErrClosed", what, err)
		}
	}
	if err := k.Modprobe(context.Background(), "tcp"); !errors.Is(err, module.ErrShutdown) {
		t.Errorf("modprobe after Close = %v", err)
	}
	if err := k.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}
