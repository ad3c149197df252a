package nat64_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// rules loads a ruleset.
func (r *rig) rules(text string) {
	r.t.Helper()
	r.try(r.k.Modprobe(ctx, "nf_tables"))
	rs, ok := module.Find[netfilter.Ruleset](r.k.Modules, netfilter.RulesetSymbol)
	if !ok {
		r.t.Fatal("no ruleset")
	}
	r.try(rs.Run(ctx, &netfilter.NFTRequest{Text: text, Name: "test"}, io.Discard))
}

// TestRules: a stateful filter that lets the inside begin and nobody else lets both
// halves of a translated connection pass, in both versions, and its fragments and
// errors; strangers stay out although their packets are translated.
func TestRules(t *testing.T) {
	for _, pool4 := range []string{pool, "masquerade"} {
		r := newRig(t, "pool4="+pool4)
		r.rules(`table inet filter {
			chain forward {
				type filter hook forward priority filter; policy drop;
				ct state established,related accept
				iifname "in0" oifname "nat64" meta nfproto ipv6 meta mark set 7 accept
				iifname "nat64" oifname "out0" meta nfproto ipv4 meta mark 7 accept
			}
		}`)
		out := r.out(tcp(client, 4000, embed(server), 80, wire.TCPSyn))
		s, _ := ends(out)
		at := s.Addr().String()
		r.in(tcp(server, 80, at, s.Port(), wire.TCPSyn|wire.TCPAck))
		r.out(tcp(client, 4000, embed(server), 80, wire.TCPAck))
		u, _ := ends(r.out(udp(client, 4001, embed(server), 53, "")))
		r.dropped(r.outside, udp(peer, 53, at, u.Port(), ""))
		m := make([]byte, wire.ICMPLen)
		wire.PutICMP4(m, wire.ICMP4Unreachable, wire.ICMP4HostUnreachable, 0)
		r.in(ip(peer, at, wire.ProtoICMP, 2, append(m, out...)))
		for _, p := range r.fragments6(udp(client, 4001, embed(server), 53, strings.Repeat("x", 2000)), 1280, 77) {
			r.inside.put(p)
		}
		if sent := r.outside.take(); len(sent) != 2 {
			t.Errorf("%s: %d fragments came out, want 2: %v", pool4, len(sent), r.k.Pool.Drops.List())
		}
		for _, p := range r.fragments4(udp(server, 53, at, u.Port(), strings.Repeat("x", 2000)), 1200, false, 78) {
			r.outside.put(p)
		}
		if sent := r.inside.take(); len(sent) != 2 {
			t.Errorf("%s: %d fragments came in, want 2: %v", pool4, len(sent), r.k.Pool.Drops.List())
		}
	}
}

// TestBesideNAT44: NAT64 and masquerading of IPv4 share an address: the answers to
// each find their way.
func TestBesideNAT44(t *testing.T) {
	r := newRig(t, "pool4=masquerade", "ports=5000-5001")
	lan := r.attach("lan0", "10.0.0.1/24")
	r.rules(`table ip nat { chain post { type nat hook postrouting priority srcnat; oifname "out0" ip saddr 10.0.0.0/24 masquerade } }`)
	for port := uint16(5000); port < 5004; port++ { // those of the pool among them
		six, _ := ends(r.out(udp(client, port%2+4000, embed(server), 53, "")))
		four, _ := ends(r.translated(lan, r.outside, udp("10.0.0.2", port, server, 53, "")))
		if six == four {
			t.Fatalf("both are %v to the same server", six)
		}
		r.in(udp(server, 53, own4, six.Port(), ""))
		if _, dst := ends(r.translated(r.outside, lan, udp(server, 53, own4, four.Port(), ""))); dst.Port() != port {
			t.Errorf("the answer to 10.0.0.2:%d went to %v", port, dst)
		}
	}
}

// TestFromHere: programs on the translator itself reach IPv4 by the prefix.
func TestFromHere(t *testing.T) {
	bothPools(t, func(t *testing.T, w *world) {
		w.serve("8.8.8.8:80")
		conn, err := w.router.Dial("tcp", "[64:ff9b::8.8.8.8]:80")
		w.try(err)
		defer conn.Close()
		io.WriteString(conn, "hello")
		b := make([]byte, 5)
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// TestHammer: the module comes and goes while several clients talk through it; nothing
// is left behind and nobody hangs.
func TestHammer(t *testing.T) {
	w := newWorld(t)
	pc, err := w.server.ListenPacket("udp", "8.8.8.8:53")
	w.try(err)
	var all sync.WaitGroup
	all.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			pc.WriteTo(b[:n], from)
		}
	})
	ctx, stop := context.WithCancel(ctx)
	for i := range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				conn, err := w.client.Dial("udp", "[64:ff9b::808:808]:53")
				if err != nil {
					t.Error(err)
					return
				}
				conn.SetDeadline(time.Now().Add(time.Millisecond))
				io.WriteString(conn, strings.Repeat("x", 1+i*500))
				conn.Read(make([]byte, 2048))
				conn.Close()
			}
		})
	}
	for range 50 {
		w.try(w.router.Rmmod(context.Background(), "nat64"))
		w.try(w.router.Modprobe(context.Background(), "nat64"))
	}
	stop()
	pc.Close()
	all.Wait()
}

// TestNoAllocation: a packet of a session costs no memory on its way through, whatever
// the pool.
func TestNoAllocation(t *testing.T) {
	for _, pool4 := range []string{pool, "masquerade"} {
		r := newRig(t, "pool4="+pool4)
		s, _ := ends(r.out(tcp(client, 4000, embed(server), 80, wire.TCPSyn)))
		r.in(tcp(server, 80, s.Addr().String(), s.Port(), wire.TCPSyn|wire.TCPAck))
		there := tcp(client, 4000, embed(server), 80, wire.TCPAck)
		back := tcp(server, 80, s.Addr().String(), s.Port(), wire.TCPAck)
		r.inside.quiet, r.outside.quiet = true, true
		var q packet.Queue
		for name, x := range map[string]struct {
			at *port
			b  []byte
		}{"out": {r.inside, there}, "in": {r.outside, back}} {
			if n := testing.AllocsPerRun(500, func() { x.at.putIn(&q, x.b) }); n != 0 {
				t.Errorf("%s, %s: %v allocations per packet", pool4, name, n)
			}
		}
	}
}

// TestShow: the tables tell what there is, in columns.
func TestShow(t *testing.T) {
	r := newRig(t)
	s, _ := ends(r.out(tcp(client, 4000, embed(server), 80, wire.TCPSyn)))
	r.out(udp(client, 4001, embed(server), 53, ""))
	r.advance(10 * time.Second)
	bib, err := r.k.Proc.Read("net/nat64/bib")
	r.try(err)
	if want := fmt.Sprintf("tcp   %-47s %-21v 1\n", "[2001:db8:6::2]:4000", s); !strings.Contains(string(bib), want) {
		t.Errorf("want %q in\n%s", want, bib)
	}
	sessions, err := r.k.Proc.Read("net/nat64/sessions")
	r.try(err)
	want := fmt.Sprintf("tcp   %-47s %-21v %-21v %7d %s\n", "[2001:db8:6::2]:4000", s, server+":80", 230, "V6_INIT")
	if !strings.Contains(string(sessions), want) {
		t.Errorf("want %q in\n%s", want, sessions)
	}
	if n := bytes.Count(sessions, []byte("\n")); n != 3 {
		t.Errorf("%d lines:\n%s", n, sessions)
	}
	g, _ := r.k.Network.Stats.Lookup("Nat64")
	got := map[string]uint64{}
	for _, f := range g.Fields {
		got[f.Name] = f.Load()
	}
	if got["To4"] != 2 || got["Sessions"] != 2 || got["Bindings"] != 2 || got["SessionsMade"] != 2 || got["Dropped"] != 0 {
		t.Errorf("counters %v", got)
	}
}

// benchmark is how fast packets of one session are translated, forwarding included.
func benchmark(b *testing.B, way func(r *rig, at string, port uint16) (*port, []byte)) {
	r := newRig(b)
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	at, pkt := way(r, s.Addr().String(), s.Port())
	r.inside.quiet, r.outside.quiet = true, true
	var q packet.Queue
	b.ReportAllocs()
	for b.Loop() {
		at.putIn(&q, pkt)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

func BenchmarkOut(b *testing.B) {
	benchmark(b, func(r *rig, _ string, _ uint16) (*port, []byte) {
		return r.inside, udp(client, 4000, embed(server), 53, "12345678")
	})
}

func BenchmarkIn(b *testing.B) {
	benchmark(b, func(r *rig, at string, port uint16) (*port, []byte) {
		return r.outside, udp(server, 53, at, port, "12345678")
	})
}

// TestReversePath: strict rp_filter does not take translated packets for spoofed ones.
func TestReversePath(t *testing.T) {
	for _, pool4 := range []string{pool, "masquerade"} {
		r := newRig(t, "pool4="+pool4)
		r.try(r.k.Sysctl.Set("net.ipv4.conf.all.rp_filter", "1"))
		s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
		r.in(udp(server, 53, s.Addr().String(), s.Port(), ""))
	}
}

// TestForwardingLater: forwarding that is switched on when the device is there holds
// for it, too.
func TestForwardingLater(t *testing.T) {
	r := newRig(t)
	for _, value := range []string{"0", "1"} {
		r.try(r.k.Sysctl.Set("net.ipv4.ip_forward", value))
		r.try(r.k.Sysctl.Set("net.ipv6.conf.all.forwarding", value))
		if value == "0" {
			r.dropped(r.inside, udp(client, 4000, embed(server), 53, ""))
		}
	}
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	r.in(udp(server, 53, pool, s.Port(), ""))
}
