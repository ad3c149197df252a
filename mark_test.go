package knit_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// twoWays returns two kernels with two links, of which the table main
// takes the first and table 100 the second to 10.9.0.2 and fd09::2, addresses of z.
func twoWays(t *testing.T) (k, z *knit.Kernel, first, second *link.Device) {
	leak.Check(t)
	modules := []string{"ip4", "ip6", "udp", "tcp", "icmp4", "icmp6"}
	k, z = lab.Kernel(t, nil, modules...), lab.Kernel(t, nil, modules...)
	for _, x := range []*knit.Kernel{k, z} {
		if err := x.Sysctl.Set("net.ipv6.conf.default.dad_transmits", "0"); err != nil {
			t.Fatal(err)
		}
	}
	devices := [2]*link.Device{}
	for i, net := range []string{"0", "1"} {
		dev, far, err := k.Join(z, link.PipeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		devices[i] = dev
		address(t, k, dev, "10.0."+net+".1/24", "fd0"+net+"::1/64")
		address(t, z, far, "10.0."+net+".2/24", "fd0"+net+"::2/64")
		if i == 0 {
			address(t, z, far, "10.9.0.2/32", "fd09::2/128")
		}
		for to, via := range map[string]string{"10.9.0.0/24": "10.0." + net + ".2", "fd09::/64": "fd0" + net + "::2"} {
			hop := route.NextHop{Index: dev.Index(), Gateway: netip.MustParseAddr(via)}
			r := route.Route{Dst: netip.MustParsePrefix(to), Table: uint32(i * 100), NextHops: []route.NextHop{hop}}
			if err := k.Network.AddRoute(r, route.Create); err != nil {
				t.Fatal(err)
			}
		}
	}
	return k, z, devices[0], devices[1]
}

// ways notes by which devices a kernel sends TCP and UDP: what its timers send beside, such
// as reports of groups, is not the test's.
type ways struct {
	sync.Mutex
	out map[[2]uint16][]int32 // by source and destination port
}

func watchWays(t *testing.T, k *knit.Kernel) *ways {
	w := &ways{out: map[[2]uint16][]int32{}}
	for v := range k.Network.Hooks {
		t.Cleanup(k.Network.Hooks[v].Postrouting.Add(hook.Entry{Owner: "test", Batch: w.note}))
	}
	return w
}

func (w *ways) note(q *packet.Queue) {
	w.Lock()
	defer w.Unlock()
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		b := pkt.Head()
		proto, at := b[6], wire.IPv6Len
		if b[0]>>4 == 4 {
			proto, at = b[9], wire.IPv4Len
		}
		if proto == wire.ProtoTCP || proto == wire.ProtoUDP {
			ports := [2]uint16{binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint16(b[at+2:])}
			w.out[ports] = append(w.out[ports], pkt.Out)
		}
	}
}

// take returns the devices, and forgets them.
func (w *ways) take(from, to uint16) []int32 {
	w.Lock()
	defer w.Unlock()
	ports := [2]uint16{from, to}
	out := w.out[ports]
	delete(w.out, ports)
	return out
}

func address(t *testing.T, k *knit.Kernel, dev *link.Device, prefixes ...string) {
	t.Helper()
	for _, p := range prefixes {
		if err := k.AddAddr(dev.Name(), netip.MustParsePrefix(p)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSocketsChooseRoutes: rules of routing see the mark, the user and the ports of
// sockets, of TCP and UDP alike, as Linux's ip-rule(8) has it: fwmark, uidrange, sport and
// dport.
func TestSocketsChooseRoutes(t *testing.T) {
	for name, c := range map[string]struct {
		rule         route.Rule
		options      transport.StreamOptions
		sport, dport uint16
	}{
		"fwmark":   {rule: route.Rule{Mark: 7, Mask: 0xff}, options: transport.StreamOptions{Mark: 0x107}},
		"uidrange": {rule: route.Rule{UIDs: route.Span{Set: true, First: 1000, Last: 1005}}, options: transport.StreamOptions{UID: 1005}},
		"sport":    {rule: route.Rule{SrcPorts: route.Span{Set: true, First: 4000, Last: 4000}}, sport: 4000},
		"dport":    {rule: route.Rule{DstPorts: route.Span{Set: true, First: 5001, Last: 5001}}, dport: 5001},
	} {
		t.Run(name, func(t *testing.T) {
			k, z, first, second := twoWays(t)
			sent := watchWays(t, k)
			c.rule.Table = 100
			for v := range network.Version(2) {
				if err := k.Network.AddRule(v, c.rule, false); err != nil {
					t.Fatal(err)
				}
			}
			for to, any := range map[string]netip.Addr{"10.9.0.2": netip.IPv4Unspecified(), "fd09::2": netip.IPv6Unspecified()} {
				for _, proto := range []string{"udp", "tcp"} {
					for _, matching := range []bool{false, true} {
						d := socket.Dialer{Sockets: k.Sockets}
						port := uint16(5000)
						if matching {
							d.Options = c.options
							port = max(port, c.dport)
							d.Local = netip.AddrPortFrom(any, c.sport)
						}
						address := netip.AddrPortFrom(netip.MustParseAddr(to), port).String()
						close := func() {}
						if proto == "tcp" {
							ln, err := z.Listen("tcp", address)
							if err != nil {
								t.Fatal(err)
							}
							close = func() { ln.Close() }
						}
						conn, err := d.DialContext(context.Background(), proto, address)
						if err != nil {
							t.Fatal(err)
						}
						conn.Write([]byte("x"))
						conn.Close()
						close()
						want := first.Index()
						if matching {
							want = second.Index()
						}
						out := sent.take(netip.MustParseAddrPort(conn.LocalAddr().String()).Port(), port)
						if len(out) == 0 || slices.ContainsFunc(out, func(i int32) bool { return i != want }) {
							t.Errorf("%s to %s, matching %v: left by %v, want %d", proto, address, matching, out, want)
						}
					}
				}
			}
		})
	}
}

// TestUDPPortsOfOneSocket: one socket's datagrams to two ports of a host go two ways, the
// remembered path notwithstanding.
func TestUDPPortsOfOneSocket(t *testing.T) {
	k, _, first, second := twoWays(t)
	rule := route.Rule{Table: 100, Proto: 17, DstPorts: route.Span{Set: true, First: 5001, Last: 5001}}
	if err := k.Network.AddRule(network.V4, rule, false); err != nil {
		t.Fatal(err)
	}
	c := listenUDP(t, k, "udp4", "0.0.0.0:0")
	sent := watchWays(t, k)
	from := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for i, port := range []uint16{5000, 5001, 5000, 5001} {
		dev := []*link.Device{first, second}[i%2]
		if _, err := c.WriteToAddrPort([]byte("x"), netip.AddrPortFrom(netip.MustParseAddr("10.9.0.2"), port)); err != nil {
			t.Fatal(err)
		}
		if out := sent.take(from, port); !slices.Equal(out, []int32{dev.Index()}) {
			t.Errorf("the datagram to port %d left by %v, want %d", port, out, dev.Index())
		}
	}
	if err := c.SetOption(transport.Mark, 3); err != nil {
		t.Fatal(err)
	}
	rule = route.Rule{Table: 100, Mark: 3, Mask: 3}
	if err := k.Network.AddRule(network.V4, rule, false); err != nil {
		t.Fatal(err)
	}
	_, err := c.WriteToAddrPort([]byte("x"), netip.MustParseAddrPort("10.9.0.2:5000"))
	if out := sent.take(from, 5000); err != nil || !slices.Equal(out, []int32{second.Index()}) {
		t.Errorf("with a mark that was set later it left by %v, %v", out, err)
	}
}

// marks notes the marks of what a kernel sends to one host, by IP version.
func marks(t *testing.T, k *knit.Kernel) (last *[2]atomic.Uint32) {
	last = new([2]atomic.Uint32)
	for v := range k.Network.Hooks {
		t.Cleanup(k.Network.Hooks[v].Output.Add(hook.Entry{Owner: "test", Batch: func(q *packet.Queue) {
			for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
				if group := [2]bool{pkt.Head()[16] >= 224, pkt.Head()[24] == 0xff}; !group[v] {
					last[v].Store(pkt.Mark)
				}
			}
		}}))
		t.Cleanup(k.Network.Hooks[v].Prerouting.Add(hook.Entry{Owner: "test", Batch: func(q *packet.Queue) {
			for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
				pkt.Mark = 42
			}
		}}))
	}
	return last
}

// TestMarksOfAnswers: Linux's ip-sysctl says of fwmark_reflect "Controls the fwmark of
// kernel-generated IPv4 reply packets that are not associated with a socket for example, TCP
// RSTs or ICMP echo replies", and of tcp_fwmark_accept that it sets the mark of accepted
// connections whose listener has none.
func TestMarksOfAnswers(t *testing.T) {
	k, z, _, _ := twoWays(t)
	last := marks(t, z)
	for v, to := range []string{"10.9.0.2", "fd09::2"} {
		at := func(port uint16) string { return netip.AddrPortFrom(netip.MustParseAddr(to), port).String() }
		echo := []byte{[]byte{8, 128}[v], 0, 0, 0, 0, 0, 0, 1}
		ping, err := k.Dial([]string{"ping4", "ping6"}[v], to)
		if err != nil {
			t.Fatal(err)
		}
		defer ping.Close()
		for _, on := range []uint32{0, 42} {
			set := map[uint32]string{0: "0", 42: "1"}[on]
			for _, name := range []string{"net.ipv4.fwmark_reflect", "net.ipv6.fwmark_reflect", "net.ipv4.tcp_fwmark_accept"} {
				if err := z.Sysctl.Set(name, set); err != nil {
					t.Fatal(err)
				}
			}
			expect := func(what string, want uint32) {
				t.Helper()
				if got := last[v].Swap(0xdead); got != want {
					t.Errorf("%s, %s with the settings at %s: mark %d, want %d", to, what, set, got, want)
				}
			}
			if _, err := k.Dial("tcp", at(81)); err == nil {
				t.Error("connected to nobody")
			}
			expect("a reset", on)
			if _, err := ping.Write(echo); err != nil {
				t.Fatal(err)
			}
			expect("an echo reply", on)
			u, err := k.Dial("udp", at(81))
			if err != nil {
				t.Fatal(err)
			}
			u.Write([]byte("x"))
			u.Close()
			expect("a port unreachable", on)
			for _, own := range []uint32{0, 7} {
				ln, err := z.Sockets.ListenStream("tcp", at(80), transport.StreamOptions{ReuseAddr: true, Mark: own})
				if err != nil {
					t.Fatal(err)
				}
				c, err := k.Dial("tcp", at(80))
				if err != nil {
					t.Fatal(err)
				}
				a, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				want := max(own, on)
				if own != 0 {
					want = own
				}
				a.Write([]byte("x"))
				expect("data of an accepted connection", want)
				if got, err := a.(*socket.Conn).Option(transport.Mark); got != int64(want) || err != nil {
					t.Errorf("the accepted connection says it has mark %d, %v", got, err)
				}
				for _, x := range []net.Conn{c, a} {
					x.Close()
				}
				ln.Close()
			}
		}
	}
}
