package conntrack

import (
	"fmt"
	"testing"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// TestOneVersionHeld: rules for one IP version have the other's packets not tracked.
func TestOneVersionHeld(t *testing.T) {
	r := newRig(t)
	r.release()
	hold := func(v network.Version) func() {
		var versions [2]bool
		versions[v] = true
		return r.Hold(versions)
	}
	first, second := hold(network.V4), hold(network.V4)
	r.want(udp(clientSix, serverSix, 1), netfilter.Invalid)
	r.want(udp(clientA, serverA, 1), netfilter.New)
	r.wantCount(1)
	six := hold(network.V6)
	r.want(udp(clientSix, serverSix, 1), netfilter.New)
	first()
	first() // once is enough
	r.want(udp(clientA, serverA, 1), netfilter.New)
	second()
	r.want(udp("10.0.0.3:1", serverA, 1), netfilter.Invalid)
	r.want(udp(clientSix, serverSix, 1), netfilter.New)
	six()
	r.wantCount(2)
	for v := range r.net.Hooks {
		if h := &r.net.Hooks[v]; !h.Prerouting.Empty() || !h.Postrouting.Empty() {
			t.Errorf("version %d: hooks are left", v)
		}
	}
}

// TestPausedTracking: what passed while nobody tracked is not held against a connection.
func TestPausedTracking(t *testing.T) {
	k := newTalk(t)
	c := k.open()
	k.release()
	again := k.Hold([2]bool{true, true})
	defer again()
	k.client(netfilter.Established, seg{flags: tcpACK, seq: 1001 + 10_000_000, ack: 2001 + 20_000_000, n: 10})
	if k.server(netfilter.EstablishedReply, seg{flags: tcpACK, seq: 2001 + 20_000_000, ack: 1011 + 10_000_000, n: 10}) != c {
		t.Error("it is another connection")
	}
	k.server(netfilter.EstablishedReply, seg{flags: tcpFIN | tcpACK, seq: 2011 + 20_000_000, ack: 1011 + 10_000_000})
	k.state("FIN_WAIT")
}

// TestAgainstLinuxPause: the same, judged by Linux.
func TestAgainstLinuxPause(t *testing.T) {
	j, r := newJudge(t), newRig(t)
	for i, far := range []uint32{0, 10, 10_000_000, 1 << 31} {
		x := &trial{t: t, r: r, j: j, name: fmt.Sprint("paused for ", far)}
		a, b := fmt.Sprint("10.9.0.1:", 1000+i), "10.9.0.2:80"
		x.send(tcp(a, b, seg{flags: tcpSYN, seq: 1000}), "SYN")
		x.send(tcp(b, a, seg{flags: tcpSYN | tcpACK, seq: 2000, ack: 1001}), "SYN-ACK")
		x.send(tcp(a, b, seg{flags: tcpACK, seq: 1001, ack: 2001}), "ACK")
		j.run("nft flush ruleset", "")
		j.run("nft -f -", judgeRules)
		r.release()
		r.release = r.Hold([2]bool{true, true})
		x.send(tcp(a, b, seg{flags: tcpACK, seq: 1001 + far, ack: 2001 + far, n: 10}), "data")
		x.send(tcp(b, a, seg{flags: tcpACK, seq: 2001 + far, ack: 1011 + far, n: 10}), "answer")
		x.send(tcp(a, b, seg{flags: tcpFIN | tcpACK, seq: 1011 + far, ack: 2011 + far}), "FIN")
		x.send(tcp(b, a, seg{flags: tcpACK, seq: 2011 + far, ack: 1012 + far}), "ACK")
		x.send(tcp(b, a, seg{flags: tcpFIN | tcpACK, seq: 2011 + far, ack: 1012 + far}), "FIN")
		x.send(tcp(a, b, seg{flags: tcpACK, seq: 1012 + far, ack: 2012 + far}), "ACK")
		x.send(tcp(a, b, seg{flags: tcpSYN, seq: 77}), "SYN")
	}
}
