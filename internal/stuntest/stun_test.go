package stuntest

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
)

// TestMessage: the sample answers of RFC 5769 §2.2 and §2.3, without the attributes
// that depend on a password, are read and written as there.
func TestMessage(t *testing.T) {
	id := [12]byte{0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae}
	for want, mapped := range map[string]string{
		"\x01\x01\x00\x0c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
			"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43": "192.0.2.1:32853",
		"\x01\x01\x00\x18\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
			"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9": "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
	} {
		m := Message{Type: BindingResponse, ID: id, Mapped: netip.MustParseAddrPort(mapped)}
		if got := m.Append(nil); string(got) != want {
			t.Errorf("%s: % x, want % x", mapped, got, want)
		}
		if r, ok := Parse([]byte(want)); !ok || r.Mapped != m.Mapped || r.ID != id || r.Classic {
			t.Errorf("%s: read as %+v, %v", mapped, r, ok)
		}
	}
}

// FuzzParse: what is read can be written, and is then read as the same.
func FuzzParse(f *testing.F) {
	full := Message{
		Type: BindingResponse, Mapped: netip.MustParseAddrPort("192.0.2.1:1"), Origin: netip.MustParseAddrPort("192.0.2.2:3478"),
		Other: netip.MustParseAddrPort("[2001:db8::1]:3479"), Change: ChangeIP,
	}
	f.Add(full.Append(nil))
	full.Classic, full.Cookie = true, 7
	f.Add(full.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := Parse(bytes.Clone(b))
		if !ok {
			return
		}
		again, ok := Parse(m.Append(nil))
		if !ok || again != m {
			t.Errorf("% x: %+v, again %+v, %v", b, m, again, ok)
		}
	})
}

// A world is a client behind a gateway, and a server with two addresses.
type world struct{ client, gateway, server *knit.Kernel }

const inside, outside = "10.0.0.1/24 fd00::1/64", "192.0.2.1/24 2001:db8::1/64"

func newWorld(t *testing.T, rules string) *world {
	t.Helper()
	w := &world{kernel(t), kernel(t), kernel(t)}
	way := join(t, w.client, w.gateway, "lan", "10.0.0.2/24 fd00::2/64", inside)
	join(t, w.server, w.gateway, "wan", "192.0.2.2/24 192.0.2.3/24 2001:db8::2/64 2001:db8::3/64", outside)
	for i, all := range []string{"0.0.0.0/0", "::/0"} {
		gw := netip.MustParseAddr([]string{"10.0.0.1", "fd00::1"}[i])
		r := route.Route{Dst: netip.MustParsePrefix(all), NextHops: []route.NextHop{{Gateway: gw, Index: way.Index()}}}
		if err := w.client.Network.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := w.gateway.Sysctl.Set(s, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.gateway.Modprobe(context.Background(), "nf_tables"); err != nil {
		t.Fatal(err)
	}
	nft, _ := module.Find[netfilter.Ruleset](w.gateway.Modules, netfilter.RulesetSymbol)
	var out strings.Builder
	if err := nft.Run(context.Background(), &netfilter.NFTRequest{Text: rules, Name: "rules"}, &out); err != nil {
		t.Fatal(err)
	}
	return w
}

func kernel(t *testing.T) *knit.Kernel {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"udp", "icmp4", "icmp6"} {
		if err := k.Modprobe(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// join returns the host's device.
func join(t *testing.T, host, gateway *knit.Kernel, name, addrs, gateways string) *link.Device {
	t.Helper()
	x, y, err := host.Join(gateway, link.PipeConfig{A: "peer", B: name})
	if err != nil {
		t.Fatal(err)
	}
	for k, list := range map[*knit.Kernel]string{host: addrs, gateway: gateways} {
		dev := x
		if k == gateway {
			dev = y
		}
		for _, p := range strings.Fields(list) {
			if err := k.Network.AddAddr(dev, network.Addr{Prefix: netip.MustParsePrefix(p), Flags: network.NoDAD}); err != nil {
				t.Fatal(err)
			}
		}
		if err := dev.SetUp(true); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func masquerade(flags string) string {
	return "table inet n { chain post { type nat hook postrouting priority srcnat; oifname wan masquerade " + flags + "; }; }"
}

// TestBehaviours asks each kind of gateway what it is, in both IP versions. Linux's
// masquerading keeps ports, so that nobody can tell its mapping from the best.
func TestBehaviours(t *testing.T) {
	for _, x := range []struct {
		flags              string
		mapping, filtering Behaviour
		hairpin            bool
	}{
		{"", EndpointIndependent, AddressPortDependent, false},
		{"random", AddressPortDependent, AddressPortDependent, false},
		{"fully-random", AddressPortDependent, AddressPortDependent, false},
		{"random mapping endpoint-independent", EndpointIndependent, AddressPortDependent, false},
		{"random mapping endpoint-independent filtering address-dependent", EndpointIndependent, AddressDependent, false},
		{"random mapping endpoint-independent filtering endpoint-independent", EndpointIndependent, EndpointIndependent, true},
		{"random mapping address-dependent", AddressDependent, AddressPortDependent, false},
		{"random mapping address-dependent filtering address-dependent", AddressDependent, AddressDependent, false},
		{"random mapping address-dependent filtering endpoint-independent", AddressDependent, EndpointIndependent, true},
	} {
		for _, addrs := range [][2]string{{"192.0.2.2", "192.0.2.3"}, {"2001:db8::2", "2001:db8::3"}} {
			t.Run(fmt.Sprintf("masquerade %s to %s", x.flags, addrs[0]), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, masquerade(x.flags))
					mapping, filtering, hairpin := w.ask(t, addrs)
					if mapping != x.mapping || filtering != x.filtering || hairpin != x.hairpin {
						t.Errorf("mapping %s, filtering %s, hairpinning %v; want %s, %s and %v", mapping, filtering, hairpin, x.mapping, x.filtering, x.hairpin)
					}
				})
			})
		}
	}
}

func (w *world) ask(t *testing.T, addrs [2]string) (mapping, filtering Behaviour, hairpin bool) {
	t.Helper()
	s, err := Serve(w.server.ListenPacket, [2]netip.Addr{netip.MustParseAddr(addrs[0]), netip.MustParseAddr(addrs[1])}, [2]uint16{3478, 3479})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := func() *Client {
		c, err := w.client.ListenPacket("udp", map[bool]string{true: "10.0.0.2:0", false: "[fd00::2]:0"}[s.Addr().Addr().Is4()])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &Client{Conn: c, Server: s.Addr(), Patience: 500 * time.Millisecond, Tries: 3}
	}
	if filtering, err = client().Filtering(); err != nil {
		t.Error(err)
	}
	if mapping, err = client().Mapping(); err != nil {
		t.Error(err)
	}
	from, hairpin, err := client().Hairpins(client().Conn)
	if err != nil {
		t.Error(err)
	}
	if outer := netip.MustParseAddr(map[bool]string{true: "192.0.2.1", false: "2001:db8::1"}[from.Addr().Is4()]); hairpin && from.Addr() != outer {
		t.Errorf("a hairpinned datagram comes from %v, want the outer address %v", from, outer)
	}
	return mapping, filtering, hairpin
}
