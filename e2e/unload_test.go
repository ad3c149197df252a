//go:build e2e && linux

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/knitnet/knit/core/packet"
)

// flowing waits until bulk passes a host's device.
func (h *host) flowing() {
	h.t.Helper()
	bulk := make(chan struct{})
	var once sync.Once
	undo := h.device.Tap(func(pkt *packet.Packet, _ bool) {
		if pkt.Len() > 1000 {
			once.Do(func() { close(bulk) })
		}
	})
	<-bulk
	undo()
}

// TestUnloadUnderTraffic: connection tracking, NAT and flowtables cannot be unloaded while rules
// use them, whatever passes. When the rules go they can, in the middle of the traffic
// that they have followed: a connection that was not translated lives on. They can be
// loaded again, and no packet, goroutine or timer is left of any of it.
func TestUnloadUnderTraffic(t *testing.T) {
	n := newHomeNet(t)
	n.b.start("Server listening", "iperf3", "-s", "--forceflush")
	offloaded := fmt.Sprintf(`
		table ip fast {
			flowtable f { hook ingress priority filter; devices = { %q, %q }; }
			chain forward { type filter hook forward priority filter - 1; ct state established flow add @f; }
		}`, n.a.device.Name(), n.b.device.Name())
	n.load(n.rules() + offloaded)
	done := make(chan iperf, 1)
	go func() { done <- n.a.iperf3("-c", n.b.v4.String(), "-t", "6") }()
	n.b.flowing()
	for _, m := range []string{"nf_conntrack", "nf_nat", "nf_flow_table"} {
		if _, stderr, status := n.try("rmmod", m); status != 1 || !strings.Contains(stderr, "in use") {
			t.Errorf("rmmod %s with rules: status %d, %q", m, status, stderr)
		}
		if _, stderr, status := n.try("modprobe", "-r", "--wait", "20", m); status != 1 || !strings.Contains(stderr, "in use") {
			t.Errorf("modprobe -r --wait 20 %s with rules: status %d, %q", m, status, stderr)
		}
	}
	if n.knit("conntrack", "-C") == "0\n" {
		t.Error("conntrack knows no connection")
	}
	for range 20 {
		n.knit("nft", "flush", "ruleset")
		n.knit("modprobe", "-r", "--remove-holders", "nf_conntrack")
		if lsmod := n.knit("lsmod"); strings.Contains(lsmod, "nf_conntrack") || strings.Contains(lsmod, "nf_nat") || strings.Contains(lsmod, "nf_flow_table") {
			t.Fatalf("after the unload there are\n%s", lsmod)
		}
		// conntrack picks the connection up again in its middle.
		n.load(n.rules() + offloaded)
	}
	// What was sent at the very end may not have been counted by the receiver.
	if r := <-done; r.End.SumReceived.Bytes == 0 || r.End.SumSent.Bytes-r.End.SumReceived.Bytes > 32<<20 {
		t.Errorf("iperf3 sent %d bytes, received %d", r.End.SumSent.Bytes, r.End.SumReceived.Bytes)
	}
	if out := n.knit("dmesg"); strings.Contains(out, "reclaimed") || strings.Contains(out, "Oops") {
		t.Errorf("dmesg:\n%s", out)
	}
}
