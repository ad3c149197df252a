package arp

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

const ourProbe = "ff who-has 10.0.0.1 tell 0.0.0.0 (1)"

// probing is a host whose device is up and probes what it is given.
func probing(t *testing.T) *host {
	t.Helper()
	h := newHost(t)
	h.check(h.ctl.Set("net.ipv4.conf.eth0.arp_probes", "3"))
	h.check(h.dev.SetUp(true))
	return h
}

// sending lets d pass in steps of a millisecond and returns when frames like the
// one given were sent, counted from the start.
func (h *host) sending(frame string, d time.Duration) (at []time.Duration) {
	for n := range d / time.Millisecond {
		h.clock.Advance(time.Millisecond)
		for _, f := range h.sent {
			if f == frame {
				at = append(at, (n+1)*time.Millisecond)
			}
		}
		h.sent = nil
	}
	return at
}

func (h *host) flags(ip netip.Addr) network.AddrFlags {
	for _, a := range h.net.Addrs(h.dev.Index()) {
		if a.IP() == ip {
			return a.Flags
		}
	}
	h.t.Fatalf("%v is not there", ip)
	return 0
}

// usable reports whether anything here takes the address for one of this host's.
func (h *host) usable() bool {
	return h.net.IsLocal(ourIP) || h.net.Main.Lookup(peerIP) != nil || h.flags(ourIP)&network.Tentative == 0
}

// TestProbes: the times are those of RFC 5227 §1.1 and §2.1.1, and the address is
// this host's only when nobody has claimed it.
func TestProbes(t *testing.T) {
	for range 20 { // the times are random
		h := probing(t)
		h.addAddr(h.dev, "10.0.0.1/24")
		if h.usable() || h.flags(ourIP)&network.Tentative == 0 {
			t.Fatal("the address is used before it was probed")
		}
		at := h.sending(ourProbe, 5*time.Second+2) // 1 s and twice 2 s at most
		if len(at) != 3 {
			t.Fatalf("probes at %v, want 3", at)
		}
		if at[0] > time.Second+time.Millisecond {
			t.Errorf("the first probe waited %v, want PROBE_WAIT at most", at[0])
		}
		for i := range 2 {
			if gap := at[i+1] - at[i]; gap < time.Second-time.Millisecond || gap > 2*time.Second+time.Millisecond {
				t.Errorf("probes %v apart, want PROBE_MIN to PROBE_MAX", gap)
			}
		}
		left := at[2] + 2*time.Second - 5*time.Second - 2*time.Millisecond
		if left > 0 {
			if h.clock.Advance(left - 2*time.Millisecond); h.usable() {
				t.Error("it is used before ANNOUNCE_WAIT")
			}
			h.want()
			h.clock.Advance(4 * time.Millisecond)
		}
		if !h.net.IsLocal(ourIP) || h.net.Main.Lookup(peerIP) == nil || h.flags(ourIP)&network.Tentative != 0 {
			t.Error("it is not used after ANNOUNCE_WAIT")
		}
	}
}

// TestProbeAnnounces: what was probed with success is announced, once it is used.
func TestProbeAnnounces(t *testing.T) {
	h := probing(t)
	h.addAddr(h.dev, "10.0.0.1/24")
	if at := h.sending("ff who-has 10.0.0.1 tell 10.0.0.1 (1)", 20*time.Second); len(at) != 2 || at[1]-at[0] != 2*time.Second || at[0] < 4*time.Second-time.Millisecond {
		t.Errorf("announced at %v, want twice, 2 s apart, after 4 s at least", at)
	}
}

// TestProbeConflict: who claims the address, or probes it too, keeps it from being
// used, and the user is told.
func TestProbeConflict(t *testing.T) {
	for name, f := range map[string]wire.ARPFields{
		"a reply":         {Op: wire.ARPReply, SenderMAC: peerMAC, SenderIP: ourIP.As4(), TargetMAC: ourMAC},
		"a request":       wire.ARPRequestFor(peerIP.As4(), peerMAC, ourIP.As4()),
		"an announcement": wire.ARPAnnouncementOf(ourIP.As4(), peerMAC),
		"a probe":         wire.ARPProbeFor(ourIP.As4(), peerMAC),
	} {
		h := probing(t)
		h.addAddr(h.dev, "10.0.0.1/24")
		var told []network.AddrFlags
		h.net.Watch(func(e network.Event) { told = append(told, e.Addr.Flags) })
		h.sending(ourProbe, 2*time.Second)
		h.receive(wire.BroadcastMAC(), f)
		if h.flags(ourIP)&(network.Tentative|network.DADFailed) != network.DADFailed || len(told) != 1 || told[0]&network.DADFailed == 0 {
			t.Errorf("%s: flags %#x, events %#x", name, h.flags(ourIP), told)
		}
		if at := h.sending(ourProbe, 20*time.Second); len(at) != 0 {
			t.Errorf("%s: probed on at %v", name, at)
		}
		if h.net.IsLocal(ourIP) || h.net.Main.Lookup(peerIP) != nil {
			t.Errorf("%s: the address is used", name)
		}
		if log, _ := h.read(); !strings.Contains(log, "10.0.0.1 is used by 02:00:00:00:00:02, not by eth0") {
			t.Errorf("%s: the log says %q", name, log)
		}
	}
}

// TestProbeNoConflict: our own probe come back, questions about the address and
// claims to others mean nothing.
func TestProbeNoConflict(t *testing.T) {
	h := probing(t)
	h.addAddr(h.dev, "10.0.0.1/24")
	h.sending(ourProbe, 2*time.Second)
	h.receive(wire.BroadcastMAC(), wire.ARPProbeFor(ourIP.As4(), ourMAC))
	h.receive(wire.BroadcastMAC(), wire.ARPRequestFor(ourIP.As4(), peerMAC, peerIP.As4()))
	h.receive(wire.BroadcastMAC(), wire.ARPAnnouncementOf(peerIP.As4(), peerMAC))
	h.receive(wire.BroadcastMAC(), wire.ARPProbeFor(peerIP.As4(), peerMAC))
	if h.want(); h.flags(ourIP)&network.Tentative == 0 {
		t.Error("it is not tentative any more")
	}
	h.clock.Advance(10 * time.Second)
	if !h.net.IsLocal(ourIP) {
		t.Error("it is not used")
	}
}

// TestProbeOff: by default addresses are used at once, and those with nodad always.
func TestProbeOff(t *testing.T) {
	h := newHost(t)
	h.check(h.dev.SetUp(true))
	if h.addAddr(h.dev, "10.0.0.1/24"); !h.net.IsLocal(ourIP) {
		t.Error("by default the address is not used at once")
	}
	h.check(h.ctl.Set("net.ipv4.conf.all.arp_probes", "3"))
	nodad := netip.MustParsePrefix("10.0.1.1/24")
	h.check(h.net.AddAddr(h.dev, network.Addr{Prefix: nodad, Flags: network.NoDAD}))
	if !h.net.IsLocal(nodad.Addr()) {
		t.Error("with nodad it is not used at once")
	}
}

// TestProbeUp: a device that goes up probes anew, also what has failed.
func TestProbeUp(t *testing.T) {
	h := probing(t)
	h.addAddr(h.dev, "10.0.0.1/24")
	h.sending(ourProbe, 2*time.Second)
	h.receive(wire.BroadcastMAC(), wire.ARPAnnouncementOf(ourIP.As4(), peerMAC))
	h.check(h.dev.SetUp(false))
	h.clock.Advance(time.Hour)
	for range 2 { // after failure, and after success
		h.sent = nil
		h.check(h.dev.SetUp(true))
		if at := h.sending(ourProbe, 10*time.Second); len(at) != 3 || !h.net.IsLocal(ourIP) {
			t.Errorf("probed at %v, used %v, want 3 times and true", at, h.net.IsLocal(ourIP))
		}
		h.check(h.dev.SetUp(false))
	}
	h.check(h.dev.SetUp(true))
	h.check(h.dev.SetUp(false)) // while it is being probed
	h.sent = nil
	if at := h.sending(ourProbe, 10*time.Second); len(at) != 0 {
		t.Errorf("probed at %v on a device that is down", at)
	}
}

// TestProbeRateLimit: after MAX_CONFLICTS there is one attempt per
// RATE_LIMIT_INTERVAL.
func TestProbeRateLimit(t *testing.T) {
	h := probing(t)
	p := netip.MustParsePrefix("10.0.0.1/24")
	for n := range 12 {
		h.check(h.net.AddAddr(h.dev, network.Addr{Prefix: p}))
		h.sent = nil
		first := time.Duration(0)
		for ; !slices.Contains(h.sent, ourProbe) && first < 2*time.Minute; first += 10 * time.Millisecond {
			h.clock.Advance(10 * time.Millisecond)
		}
		if slow := first > 50*time.Second; slow != (n >= 10) || first > 62*time.Second {
			t.Errorf("after %d conflicts the first probe comes after %v", n, first)
		}
		h.receive(wire.BroadcastMAC(), wire.ARPAnnouncementOf(ourIP.As4(), peerMAC))
		h.check(h.net.DelAddr(h.dev, p))
	}
}

// TestProbeUnload: what was being probed is usable when nobody probes any more.
func TestProbeUnload(t *testing.T) {
	h := probing(t)
	h.addAddr(h.dev, "10.0.0.1/24")
	h.check(h.mods.Unload(context.Background(), "arp"))
	if !h.net.IsLocal(ourIP) || h.flags(ourIP)&network.Tentative != 0 {
		t.Error("the address is tentative for ever")
	}
}

// TestTentativeNeighbour: an address next to one that turns out to be taken has its
// subnet.
func TestTentativeNeighbour(t *testing.T) {
	h := probing(t)
	h.addAddr(h.dev, "10.0.0.1/24")
	h.addAddr(h.dev, "10.0.0.3/24")
	h.sending(ourProbe, 2*time.Second)
	h.receive(wire.BroadcastMAC(), wire.ARPAnnouncementOf(ourIP.As4(), peerMAC))
	h.clock.Advance(10 * time.Second)
	if r := h.net.Main.Lookup(peerIP); r == nil || r.Src != netip.MustParseAddr("10.0.0.3") {
		t.Errorf("the subnet's route is %+v, want one from 10.0.0.3", r)
	}
}
