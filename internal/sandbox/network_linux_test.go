package sandbox

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/knitnet/knit/internal/tunfd"
)

func TestAddressesAndRoutes(t *testing.T) {
	need(t, "ip")
	forEach(t, func(t *testing.T, u user, c Config) {
		c.MTU = 9000
		out, r := script(t, u, c, "ip -o addr; ip route; ip -6 route; ip -o link")
		name := map[Kind]string{TUN: "tun0", TAP: "eth0", Packet: "eth0"}[c.Require]
		if r.Kind != c.Require || r.Name != name || r.VnetHdrLen != 10 || r.Queues != 1 {
			t.Errorf("device %+v, want %s of kind %s with a header of 10 bytes", r, name, c.Require)
		}
		wantLines(t, out,
			"inet 127.0.0.1/8",
			name+"    inet 10.0.2.15/24",
			name+"    inet6 fd00:2::15/64",
			name+"    inet6 fe80::15/64",
			"default via 10.0.2.2 dev "+name,
			"default via fd00:2::2 dev "+name,
			"mtu 9000",
		)
		if strings.Contains(out, "tentative") {
			t.Errorf("an address waits for duplicate address detection:\n%s", out)
		}
		if strings.Contains(out, farEnd) {
			t.Errorf("the far end of the veth pair is in sight:\n%s", out)
		}
	})
}

// TestCarrier: when the command starts, the device is up for those who look at it,
// too: Linux notes the carrier of a veth pair later, in a work queue.
func TestCarrier(t *testing.T) {
	need(t, "ip")
	forEach(t, func(t *testing.T, u user, c Config) {
		for range 5 {
			if out, _ := script(t, u, c, "ip -o link show up"); strings.Contains(out, "NO-CARRIER") || strings.Contains(out, "state DOWN") {
				t.Fatalf("no carrier:\n%s", out)
			}
		}
	})
}

func TestPing(t *testing.T) {
	need(t, "ping")
	forEach(t, func(t *testing.T, u user, c Config) {
		for _, keep := range []bool{false, true} {
			c.KeepUID = keep
			out, _ := script(t, u, c, "ping -c1 -W10 10.0.2.2; ping -c1 -W10 fd00:2::2; ping -c1 -W10 127.0.0.1")
			if got := strings.Count(out, " 0% packet loss"); got != 3 {
				t.Errorf("KeepUID %v: %d of 3 pings answered:\n%s", keep, got, out)
			}
		}
	})
}

// TestOffload defends the reason for the virtio-net header: where the kernel
// can, what it has not segmented arrives in one piece, and may go back so.
func TestOffload(t *testing.T) {
	forEach(t, func(t *testing.T, u user, c Config) {
		c.Command = []string{self}
		p, status, r := run(t, u, task{Config: c, Inside: "burst"})
		if status != 0 {
			t.Fatalf("status %d: %s\n%s", status, r.Err, &p.stderr)
		}
		if uso := r.Offload&tunfd.OffloadUSO4 != 0; uso != (r.Oversized > 0) {
			t.Errorf("%d packets larger than the MTU arrived, with offloads %#x", r.Oversized, r.Offload)
		}
	})
}

func TestQueues(t *testing.T) {
	need(t, "ping")
	forEach(t, func(t *testing.T, u user, c Config) {
		if c.Require == Packet {
			return // it has one queue
		}
		c.Queues = 3
		_, r := script(t, u, c, "ping -c1 -W10 10.0.2.2")
		if r.Queues != 3 {
			t.Errorf("%d queues, want 3", r.Queues)
		}
	})
}

func TestFallsBackToPacketSocket(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		for _, tap := range []bool{false, true} {
			c := island()
			c.TAP, c.TUNPath = tap, "/nowhere/tun"
			_, r := script(t, u, c, "true")
			if r.Kind != Packet || len(r.Notes) != 1 {
				t.Fatalf("device %+v, want a packet socket and a note", r)
			}
			wantLines(t, r.Notes[0], "/nowhere/tun: no such file", "modprobe tun")
		}
	}
}

func TestRequiredKindMissing(t *testing.T) {
	needNamespaces(t)
	_, err := Start(Config{Require: TUN, TUNPath: "/nowhere/tun"})
	if err == nil {
		t.Fatal("a TUN without a clone device")
	}
	// Its own hint, not one about namespaces.
	wantLines(t, err.Error(), "no TUN: /nowhere/tun: no such file", "modprobe tun")
	if strings.Contains(err.Error(), "forbids") {
		t.Error(err)
	}
}

func TestGatewayOutsideThePrefix(t *testing.T) {
	need(t, "ip")
	forEach(t, func(t *testing.T, u user, c Config) {
		c.Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("fd00:3::1/128")}
		out, _ := script(t, u, c, "ip route; ip -6 route")
		wantLines(t, out, "default via 10.0.2.2", "default via fd00:2::2", "onlink")
	})
}
