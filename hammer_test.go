package knit_test

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
)

// counter is a module that counts packets at two hook points.
func counter(seen *atomic.Int64) module.Spec {
	return module.Spec{Name: "counter", Init: func(c *module.Context) error {
		n, err := module.Import[*network.Layer](c, network.Symbol)
		if err != nil {
			return err
		}
		count := func(*packet.Packet) hook.Verdict { seen.Add(1); return hook.Accept }
		for _, p := range []*hook.Point{&n.Hooks[network.V4].Prerouting, &n.Hooks[network.V4].Output} {
			c.Cleanup(p.Add(hook.Entry{Owner: c.Name(), Priority: hook.Filter, Func: count}))
		}
		return nil
	}}
}

// TestModulesComeAndGoUnderTraffic loads and unloads a hook and the congestion
// control of live connections a thousand times while they carry data: no byte and
// no connection is lost, and nothing is left over.
func TestModulesComeAndGoUnderTraffic(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{Features: link.TxCsum | link.GRO}, "tcp", "tcp_cubic", "tcp_reno")
	leak.Zero(t, "sockets", func() int64 { return openSockets(a) + openSockets(z) })
	var seen atomic.Int64
	if err := a.Modules.Add(counter(&seen)); err != nil {
		t.Fatal(err)
	}
	ln, err := z.Listen("tcp", ":5201")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var stop atomic.Bool
	var wg sync.WaitGroup
	const flows = 4
	sums := make(chan [32]byte, 2*flows)
	for i := range flows {
		wg.Go(func() { sums <- receive(t, ln) })
		wg.Go(func() { sums <- send(t, a, uint64(i), &stop) })
	}
	// A thousand times at least, and until the hook has seen the traffic.
	for i := 0; i < 1000 || seen.Load() == 0; i++ {
		for _, m := range []string{"counter", "tcp_reno", "tcp_cubic"} {
			cycle(t, a, m)
		}
	}
	stop.Store(true)
	wg.Wait()
	times := map[[32]byte]int{}
	for range 2 * flows {
		times[<-sums]++
	}
	for sum, n := range times {
		if n != 2 {
			t.Errorf("a flow of sum %x was seen %d times, want once sent and once received", sum[:4], n)
		}
	}
	if seen.Load() == 0 {
		t.Error("the hook never saw a packet")
	}
}

// openSockets counts TCP's sockets, those in TIME-WAIT aside.
func openSockets(k *knit.Kernel) (n int64) {
	for _, s := range k.Transport.Sockets(transport.TCP) {
		if s.State != "TIME-WAIT" {
			n++
		}
	}
	return n
}

// cycle loads a module that is not loaded, or unloads it and loads it again.
func cycle(t *testing.T, k *knit.Kernel, name string) {
	t.Helper()
	ctx := context.Background()
	if err := k.Modprobe(ctx, name); err != nil {
		t.Fatal(err)
	}
	if err := k.Rmmod(ctx, name); err != nil {
		t.Fatal(err)
	}
}

// send writes random bytes until stop and returns their sum.
func send(t *testing.T, k *knit.Kernel, seed uint64, stop *atomic.Bool) [32]byte {
	c, err := k.Dial("tcp", "10.0.0.2:5201")
	if err != nil {
		t.Error(err)
		return [32]byte{}
	}
	defer c.Close()
	r := rand.New(rand.NewPCG(seed, 0))
	h := sha256.New()
	for buf := make([]byte, 40000); !stop.Load(); {
		b := buf[:1+r.IntN(len(buf))]
		for i := range b {
			b[i] = byte(i) ^ byte(len(b))
		}
		h.Write(b)
		if _, err := c.Write(b); err != nil {
			t.Errorf("write: %v", err)
			break
		}
	}
	return [32]byte(h.Sum(nil))
}

func receive(t *testing.T, ln net.Listener) [32]byte {
	c, err := ln.Accept()
	if err != nil {
		t.Error(err)
		return [32]byte{}
	}
	defer c.Close()
	h := sha256.New()
	if _, err := io.Copy(h, c); err != nil {
		t.Errorf("read: %v", err)
	}
	return [32]byte(h.Sum(nil))
}
