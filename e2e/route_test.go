//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
)

// gateway returns a forwarding kernel with two namespaces on it.
func gateway(t *testing.T) (k *knit.Kernel, a, z *host) {
	t.Helper()
	k = startKernel(t, "tcp")
	for _, s := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := k.Sysctl.Set(s, "1"); err != nil {
			t.Fatal(err)
		}
	}
	return k, newHost(t, k, 1, "tap"), newHost(t, k, 2, "tun")
}

// TestTraceroute: the kernel is the first hop and the other namespace the second,
// with every kind of probe.
func TestTraceroute(t *testing.T) {
	k, a, z := gateway(t)
	// One error a second, with a burst of six, is the default, as on Linux. Here are
	// eighteen at once.
	for _, s := range []string{"net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"} {
		if err := k.Sysctl.Set(s, "0"); err != nil {
			t.Fatal(err)
		}
	}
	captureAll(t, a.device, z.device)
	for _, method := range []string{"-n", "-I", "-T"} {
		for _, x := range []struct{ target, first string }{
			{z.v4.String(), a.gw4.String()}, {z.v6.String(), a.gw6.String()},
		} {
			out := a.run("traceroute", "-n", method, "-w", "10", x.target)
			hops := regexp.MustCompile(`(?m)^ *\d+  (\S+)`).FindAllStringSubmatch(out, -1)
			if len(hops) != 2 || hops[0][1] != x.first || hops[1][1] != x.target {
				t.Errorf("traceroute %s %s:\n%s", method, x.target, out)
			}
		}
	}
}

// iperf is what the tests read of iperf3's report.
type iperf struct {
	Error string
	End   struct {
		SumSent struct {
			Bytes int64
		} `json:"sum_sent"`
		SumReceived struct {
			Bytes int64
		} `json:"sum_received"`
		Sum struct {
			Packets int64
		}
	}
}

// notReady is what iperf3 says when the server has not noticed yet that the last client
// is done, or does not listen again yet: between two tests it closes its port, with who
// waits there.
var notReady = regexp.MustCompile(`the server is busy|unable to connect to server: Connection re(fused|set)`)

func (h *host) iperf3(args ...string) (r iperf) {
	h.t.Helper()
	out, err := h.try("iperf3", append(args, "-J", "--connect-timeout", "20000")...)
	for begin := time.Now(); notReady.MatchString(out) && time.Since(begin) < limit; {
		out, err = h.try("iperf3", append(args, "-J", "--connect-timeout", "20000")...)
	}
	if jerr := json.Unmarshal([]byte(out), &r); jerr != nil || err != nil || r.Error != "" {
		h.t.Errorf("iperf3 %s: %v %v %s\n%.2000s", strings.Join(args, " "), err, jerr, r.Error, out)
	}
	return r
}

// TestIperf3: two namespaces exchange TCP and UDP through the kernel, in both
// directions, with one and with eight streams, over both IP versions.
func TestIperf3(t *testing.T) {
	_, a, z := gateway(t)
	refill := captureSome(t, 8<<20, a.device, z.device)
	z.start("Server listening", "iperf3", "-s", "--forceflush")
	for _, target := range []string{z.v4.String(), z.v6.String()} {
		for _, args := range [][]string{{}, {"-R"}, {"-P", "8"}, {"-P", "8", "-R"}, {"--bidir"}} {
			refill()
			r := a.iperf3(append([]string{"-c", target, "-n", "64M"}, args...)...)
			// The server stops counting when the client says that it has sent all.
			if r.End.SumReceived.Bytes < 32<<20 {
				t.Errorf("iperf3 -c %s %v received %d bytes of 64 MB", target, args, r.End.SumReceived.Bytes)
			}
		}
		for _, args := range [][]string{{}, {"-R"}, {"-P", "8"}} {
			refill()
			r := a.iperf3(append([]string{"-u", "-c", target, "-b", "20M", "-t", "1"}, args...)...)
			if r.End.Sum.Packets == 0 {
				t.Errorf("iperf3 -u -c %s %v moved no packet", target, args)
			}
		}
	}
}

// TestModulesUnderIperf3 loads and unloads a hook and a congestion control a
// thousand times at least while iperf3 runs through the kernel: the connection lives.
func TestModulesUnderIperf3(t *testing.T) {
	k, a, z := gateway(t)
	var seen atomic.Int64
	if err := k.Modules.Add(counter(&seen)); err != nil {
		t.Fatal(err)
	}
	z.start("Server listening", "iperf3", "-s", "--forceflush")
	flowing := make(chan struct{})
	var once sync.Once
	undo := a.device.Tap(func(pkt *packet.Packet, _ bool) {
		if pkt.Len() > 1000 {
			once.Do(func() { close(flowing) })
		}
	})
	defer undo()
	done := make(chan iperf, 1)
	go func() { done <- a.iperf3("-c", z.v4.String(), "-t", "6") }()
	<-flowing
	ctx := context.Background()
	for i := 0; i < 1000 || seen.Load() == 0 && len(done) == 0; i++ {
		for _, m := range []string{"counter", "tcp_reno"} {
			if err := k.Modprobe(ctx, m); err != nil {
				t.Fatal(err)
			}
			if err := k.Rmmod(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What was sent at the very end may not have been counted by the receiver.
	if r := <-done; r.End.SumReceived.Bytes == 0 || r.End.SumSent.Bytes-r.End.SumReceived.Bytes > 32<<20 {
		t.Errorf("sent %d bytes, received %d", r.End.SumSent.Bytes, r.End.SumReceived.Bytes)
	}
	if seen.Load() == 0 {
		t.Error("the hook never saw a packet")
	}
}

// counter is a module that counts forwarded packets.
func counter(seen *atomic.Int64) module.Spec {
	return module.Spec{Name: "counter", Init: func(c *module.Context) error {
		n, err := module.Import[*network.Layer](c, network.Symbol)
		if err != nil {
			return err
		}
		c.Cleanup(n.Hooks[network.V4].Forward.Add(hook.Entry{
			Owner: c.Name(), Priority: hook.Filter,
			Func: func(*packet.Packet) hook.Verdict { seen.Add(1); return hook.Accept },
		}))
		return nil
	}}
}
