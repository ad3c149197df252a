//go:build linux

package nft_test

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
)

// divert makes packets with mark 1 packets for this host, whatever their destination is.
func (j *judge) divert() error {
	for _, line := range []string{
		"ip rule add fwmark 1 lookup 100", "ip route add local default dev lo table 100",
		"ip -6 rule add fwmark 1 lookup 100", "ip -6 route add local default dev lo table 100",
	} {
		w := strings.Fields(line)
		if out, err := exec.Command(w[0], w[1:]...).CombinedOutput(); err != nil && !strings.Contains(string(out), "File exists") {
			return fmt.Errorf("%s: %s", line, out)
		}
	}
	return nil
}

func (s *knitSide) divert() error {
	lo, err := s.k.Link.Lookup("lo")
	if err != nil {
		return err
	}
	for v, all := range []string{"0.0.0.0/0", "::/0"} {
		s.k.Network.AddRule(network.Version(v), route.Rule{Mark: 1, Mask: 0xffffffff, Table: 100}, false)
		r := route.Route{Dst: netip.MustParsePrefix(all), Type: route.Local, Table: 100, NextHops: []route.NextHop{{Index: lo.Index()}}}
		if err := s.k.Network.AddRoute(r, route.Create); err != nil {
			return err
		}
	}
	return nil
}

// proxyRules assign what goes elsewhere to sockets of this host.
const proxyRules = `
table inet s {
	chain pre {
		type filter hook prerouting priority mangle;
		tcp dport 80 socket transparent 1 meta mark set 1 counter accept comment "of a transparent socket"
		tcp dport 80 tproxy to :5000 meta mark set 1 counter accept comment "proxied"
		tcp dport 81 tproxy ip to 10.0.0.1:5001 meta mark set 1 counter comment "proxied by address"
		tcp dport 81 tproxy ip6 to [fd00::1]:5001 meta mark set 1 counter comment "proxied by address 6"
		tcp dport 82 tproxy to :5002 meta mark set 1 counter comment "to one that is not transparent"
		tcp dport 83 tproxy to :5003 meta mark set 1 counter comment "to nobody"
		udp dport 53 tproxy to :5053 meta mark set 1 counter comment "datagrams"
		icmp type echo-request counter comment "echo"
	}
	chain in {
		type filter hook input priority filter;
		tcp dport 80-83 counter comment "came in"
		udp dport 53 counter comment "datagrams came in"
		socket transparent 1 counter comment "in: transparent"
		meta skuid 1000 counter comment "in: user"
	}
	chain out {
		type filter hook output priority filter;
		tcp sport 80-83 counter comment "went out"
		udp sport 53 counter comment "datagrams went out"
		tcp sport 80-83 tcp flags rst counter comment "reset"
	}
}`

// TestTProxyJudged: tproxy gives packets for others to transparent sockets as on Linux, and
// the sockets speak for who was called.
func TestTProxyJudged(t *testing.T) {
	compareWitnesses(t, "proxied by address", (*witness).proxy)
}

func (w *witness) proxy() {
	if err := w.s.divert(); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.s.nft("flush ruleset\n" + proxyRules); err != nil {
		w.t.Fatal(err)
	}
	w.counted()
	me, any, far := "10.0.0.1", "0.0.0.0", "192.0.2.1"
	if w.v6 {
		me, any, far = "fd00::1", "::", "2001:db8::1"
	}
	o := transport.StreamOptions{Transparent: true, UID: 1000}
	l := w.listen(any, 5000, o)
	w.proxied("first", l, o, 3100, 80)
	w.proxied("by address", w.listen(me, 5001, o), o, 3101, 81)
	w.listen(any, 5002, transport.StreamOptions{})
	for port := 80; port < 84; port++ {
		w.step(fmt.Sprintf("SYN to %d", port), func() error { return w.in(fmt.Sprintf("PEER FAR tcp %d %d S seq 7", 3200+port, port)) })
	}
	w.proxyDatagrams(any, far)
}

// proxied opens a connection to somebody else that ends here.
func (w *witness) proxied(name string, l net.Listener, o transport.StreamOptions, from, port int) {
	c, ack := w.connect(name, l, o, "FAR", from, port)
	w.held = append(w.held, fmt.Sprintf("%v < %v", c.LocalAddr(), c.RemoteAddr()))
	w.steps = append(w.steps, name+": addresses")
	w.step(name+": data out", func() error { _, err := c.Write([]byte("hello")); return err })
	w.step(name+": acknowledged", func() error {
		return w.in(fmt.Sprintf("PEER FAR tcp %d %d A seq 1001 ack %d win 60000", from, port, ack+5))
	})
	w.step(name+": closed", c.Close)
	w.step(name+": FIN", func() error {
		return w.in(fmt.Sprintf("PEER FAR tcp %d %d FA seq 1001 ack %d win 60000", from, port, ack+6))
	})
	w.step(name+": again", func() error { // on the one in TIME-WAIT
		return w.in(fmt.Sprintf("PEER FAR tcp %d %d S seq 900001 win 60000", from, port))
	})
	h := w.answer()
	w.steps, w.held = append(w.steps, name+": answer to again"), append(w.held, fmt.Sprintf("flags %#x, ack %d", h.Flags(), h.Ack()))
}

// proxyDatagrams lets a datagram for somebody else be answered in his name.
func (w *witness) proxyDatagrams(any, far string) {
	at := func(a string, port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), port) }
	o := transport.DatagramOptions{Transparent: true, UID: 1000}
	p, err := w.s.listenPacket("udp"+w.suffix(), at(any, 5053).String(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	w.step("datagram", func() error { return w.in("PEER FAR udp 4100 53 data 5") })
	w.step("read", func() error {
		_, from, err := p.ReadFrom(make([]byte, 100))
		if err != nil {
			return err
		}
		answer, err := w.s.listenPacket("udp"+w.suffix(), at(far, 53).String(), o)
		if err != nil {
			return err
		}
		w.t.Cleanup(func() { answer.Close() })
		_, err = answer.WriteTo([]byte("answer"), from)
		return err
	})
	if out := w.s.sent(); len(out) == 0 {
		w.t.Errorf("%T: no answer went out", w.s)
	}
	w.step("another", func() error { return w.in("PEER FAR udp 4101 53 data 5") }) // for the one that answered
}
