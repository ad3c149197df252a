package flowtable_test

import (
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

const (
	syn = wire.TCPSyn
	ack = wire.TCPAck
	fin = wire.TCPFin
	rst = wire.TCPRst
)

// gateway is the ruleset of a small gateway. The counter counts what takes the slow
// way.
const gateway = `table inet gw {
	flowtable f { hook ingress priority 0; devices = { lan, wan }; counter; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		counter
		ct state invalid drop
		ct state established flow add @f
		ct state { established, related } accept
		iifname "lan" accept
		ct status dnat accept
	}
}
table inet nat {
	chain out { type nat hook postrouting priority 100; oifname { "wan", "wan2" } masquerade; }
	chain in { type nat hook prerouting priority -100; iifname "wan" ip daddr 192.0.2.1 tcp dport 8080 dnat ip to 10.0.0.2:80; }
}
`

const (
	client   = "10.0.0.2:5000"
	server   = "192.0.2.9:80"
	outside  = "192.0.2.1:5000" // client, translated
	client6  = "[fd00::2]:5000"
	server6  = "[2001:db8::9]:80"
	outside6 = "[2001:db8::1]:5000"
)

// handshake opens a TCP connection through the router.
func (r *rig) handshake(client, server, outside string) {
	r.t.Helper()
	r.pass("lan", tcp(client, server, syn, 100, 0, 0))
	r.pass("wan", tcp(server, outside, syn|ack, 500, 101, 0))
	r.pass("lan", tcp(client, server, ack, 101, 501, 0))
}

// slow returns how many packets the rules have seen.
func (r *rig) slow() string {
	_, rest, _ := strings.Cut(r.nft("list chain inet gw forward"), "counter ")
	n, _, _ := strings.Cut(rest, "\n")
	return n
}

// TestSkipsTheRules: packets of an established connection take the fast path both
// ways, are translated, and no rule sees them.
func TestSkipsTheRules(t *testing.T) {
	for _, a := range [][3]string{{client, server, outside}, {client6, server6, outside6}} {
		r := newRig(t, gateway)
		r.handshake(a[0], a[1], a[2])
		before := r.slow()
		for i := range uint32(5) {
			got := r.pass("lan", tcp(a[0], a[1], ack, 101+i*10, 501+i*10, 10))
			want := segment(a[2], a[1], ack, 101+i*10, 501+i*10, 10)
			want.ttl = 63
			same(t, got, want.bytes())
			got = r.pass("wan", tcp(a[1], a[2], ack, 501+i*10, 111+i*10, 10))
			want = segment(a[1], a[0], ack, 501+i*10, 111+i*10, 10)
			want.ttl = 63
			same(t, got, want.bytes())
		}
		r.wantFast(true)
		if after := r.slow(); after != before {
			t.Errorf("the rules counted %s before and %s after", before, after)
		}
		line := r.read("net/nf_conntrack")
		if !strings.Contains(line, "[OFFLOAD]") || strings.Contains(line, "ESTABLISHED") {
			t.Errorf("/proc/net/nf_conntrack says %s", line)
		}
	}
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if string(got) != string(want) {
		t.Errorf("sent\n%x, want\n%x", got, want)
	}
}

// TestEndsWithTheConnection: FIN, RST and SYN take the slow way, and tracking has the
// connection again.
func TestEndsWithTheConnection(t *testing.T) {
	for _, flags := range []uint16{fin | ack, rst, syn} {
		r := newRig(t, gateway)
		r.handshake(client, server, outside)
		r.wantFast(true)
		r.pass("lan", tcp(client, server, flags, 101, 501, 0))
		r.wantFast(false)
	}
}

// TestFalseReset: after a while in the flowtable nobody here knows the sequence
// numbers, so that a reset which anybody can have sent must not end the connection.
func TestFalseReset(t *testing.T) {
	r := newRig(t, gateway)
	r.handshake(client, server, outside)
	for i := range uint32(100) {
		r.pass("lan", tcp(client, server, ack, 101+i*1000, 501, 1000))
	}
	r.pass("wan", tcp(server, outside, rst, 77777, 0, 0))
	r.wantFast(false)
	r.pass("lan", tcp(client, server, ack, 101+100*1000, 501, 1000))
	r.wantFast(true)
}

// TestClose: a connection that was in the flowtable closes like any other.
func TestClose(t *testing.T) {
	r := newRig(t, gateway)
	r.handshake(client, server, outside)
	for i := range uint32(100) {
		r.pass("wan", tcp(server, outside, ack, 501+i*1000, 101, 1000))
	}
	r.pass("lan", tcp(client, server, fin|ack, 101, 100501, 0))
	r.pass("wan", tcp(server, outside, ack, 100501, 102, 0))
	r.pass("wan", tcp(server, outside, fin|ack, 100501, 102, 0))
	r.pass("lan", tcp(client, server, ack, 102, 100502, 0))
	if line := r.read("net/nf_conntrack"); !strings.Contains(line, "TIME_WAIT") {
		t.Errorf("/proc/net/nf_conntrack says %s", line)
	}
}

// TestIdle: a flow without packets goes back to connection tracking after 30 seconds,
// as if that had seen all its packets. While there are packets it stays.
func TestIdle(t *testing.T) {
	r := newRig(t, gateway)
	r.pass("lan", udp(client, server, 5))
	r.pass("wan", udp(server, outside, 5))
	r.pass("lan", udp(client, server, 5))
	r.wantFast(true)
	for range 10 {
		r.advance(25 * time.Second)
		r.pass("lan", udp(client, server, 5))
		r.wantFast(true)
	}
	r.advance(36 * time.Second)
	r.wantFast(false)
	if c := r.conn(); !c.Is(netfilter.Assured) {
		t.Error("an exchange of minutes is not assured")
	}
	r.advance(83 * time.Second) // 119 after the last packet
	r.conn()
	r.advance(2 * time.Second)
	if n := r.track.Count(); n != 0 {
		r.advance(20 * time.Second) // until the collector comes
		if n := r.track.Count(); n != 0 {
			t.Errorf("%d connections after two minutes without a packet", n)
		}
	}
}

// TestTimeoutIsASetting: net.netfilter.nf_flowtable_udp_timeout.
func TestTimeoutIsASetting(t *testing.T) {
	r := newRig(t, gateway)
	r.set("net.netfilter.nf_flowtable_udp_timeout", "5")
	r.pass("lan", udp(client, server, 5))
	r.pass("wan", udp(server, outside, 5))
	r.pass("lan", udp(client, server, 5))
	r.wantFast(true)
	r.advance(12 * time.Second)
	r.wantFast(false)
}

// TestDeleted: a connection that is deleted ends in the flowtable, too, and its next
// packet is judged by the rules.
func TestDeleted(t *testing.T) {
	r := newRig(t, gateway)
	r.handshake(client, server, outside)
	r.wantFast(true)
	r.track.Delete(r.conn())
	r.nft("add rule inet gw forward tcp dport 80 drop; insert rule inet gw forward tcp dport 80 drop")
	if out := r.receive("lan", frame{data: tcp(client, server, ack, 101, 501, 10)}); len(out) != 0 {
		t.Error("a packet of a deleted connection passes rules that drop it")
	}
}

// TestTableGoes: deleting the flowtable, its table or all rules gives the connections
// back; a flowtable that rules use stays.
func TestTableGoes(t *testing.T) {
	for _, cmd := range []string{"delete table inet gw", "flush ruleset", "flush chain inet gw forward; delete flowtable inet gw f"} {
		r := newRig(t, gateway)
		r.handshake(client, server, outside)
		r.wantFast(true)
		if _, err := r.tryNFT("delete flowtable inet gw f"); err == nil {
			t.Error("a flowtable that a rule uses was deleted")
		}
		r.wantFast(true)
		r.nft(cmd)
		r.wantFast(false)
		if !r.Link.Ingress.Empty() {
			t.Errorf("%s: there are Ingress hooks still", cmd)
		}
	}
}

// TestReplaced: replacing the rules around a flowtable leaves its flows alone; a
// failed transaction changes nothing.
func TestReplaced(t *testing.T) {
	r := newRig(t, gateway)
	r.handshake(client, server, outside)
	r.nft("add rule inet gw forward tcp dport 9 drop")
	r.wantFast(true)
	for _, wrong := range []string{
		"delete table inet gw; add rule inet nope c accept",
		"add flowtable inet gw g { hook ingress priority 0; devices = { nosuch }; }",
		"add flowtable inet gw f { hook ingress priority 0; devices = { lan, nosuch }; }",
		"add rule inet gw forward flow add @nosuch",
	} {
		if _, err := r.tryNFT(wrong); err == nil || !strings.Contains(err.Error(), "No such file or directory") {
			t.Errorf("%s: %v, want No such file or directory", wrong, err)
		}
		r.wantFast(true)
	}
	r.nft("add flowtable inet gw f { hook ingress priority 0; devices = { wan2 }; }")
	r.wantFast(true)
}

// TestUnload: a flowtable holds the module; without one it goes.
func TestUnload(t *testing.T) {
	r := newRig(t, gateway)
	r.handshake(client, server, outside)
	if err := r.Modules.Remove(ctx, "nf_flow_table", module.RemoveOptions{}); err == nil {
		t.Error("unloaded under a flowtable")
	}
	r.nft("flush ruleset")
	if err := r.Modules.Remove(ctx, "nf_flow_table", module.RemoveOptions{}); err != nil {
		t.Error(err)
	}
	r.wantFast(false)
}

// TestCounts: with the flag counter what skips the rules is accounted for.
func TestCounts(t *testing.T) {
	r := newRig(t, gateway)
	r.set("net.netfilter.nf_conntrack_acct", "1")
	r.handshake(client, server, outside)
	for range 7 {
		r.pass("lan", tcp(client, server, ack, 101, 501, 10))
	}
	if a := r.conn().Acct; a == nil || a[0].Packets.Load() != 9 || a[0].Bytes.Load() != 2*40+7*50 || a[1].Packets.Load() != 1 {
		t.Errorf("counted %v", a)
	}
}

// TestMovesOn: a masqueraded connection ends when its packets would leave by another
// device than that whose address it has; the flowtable must not send them there.
func TestMovesOn(t *testing.T) {
	r := newRig(t, gateway)
	r.handshake(client, server, outside)
	r.wantFast(true)
	r.reroute(true)
	r.pass("wan", tcp(server, outside, ack, 501, 101, 10))
	if out := r.receive("lan", frame{data: tcp(client, server, ack, 101, 511, 10)}); len(out) != 0 {
		t.Errorf("sent by %s: %x", out[0].dev, out[0].data)
	}
}
