package wire

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func TestParseMACAgainstNet(t *testing.T) {
	for _, s := range []string{"02:00:5e:10:00:01", "02-00-5E-10-00-01", "ff:FF:ff:ff:ff:ff"} {
		got, err := ParseMAC(s)
		want, _ := net.ParseMAC(s)
		if err != nil || got != MAC(want) || got.String() != want.String() {
			t.Errorf("ParseMAC(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	if got, err := ParseMAC("2:0:5e:10:0:1"); err != nil || got != (MAC{2, 0, 0x5e, 0x10, 0, 1}) {
		t.Errorf("single digits: %v, %v", got, err)
	}
	for _, s := range []string{"", ":", "02:00:5e:10:00", "02:00:5e:10:00:01:", "02:00:5e:10:00:01:02",
		"02:00-5e:10:00:01", "02005e100001", "002:0:5e:10:0:1", "0g:00:5e:10:00:01", "02:00:5e:10:00:0x"} {
		if got, err := ParseMAC(s); !errors.Is(err, ErrMAC) || !got.IsZero() {
			t.Errorf("ParseMAC(%q) = %v, %v, want ErrMAC", s, got, err)
		}
	}
}

func FuzzParseMAC(f *testing.F) {
	f.Add("02:00:5e:10:00:01")
	f.Add("2-0-5e-1-0-1")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMAC(s)
		if err != nil {
			return
		}
		var again MAC
		text, _ := m.MarshalText()
		if err := again.UnmarshalText(text); err != nil || again != m {
			t.Fatalf("%q -> %v -> %v, %v", s, m, again, err)
		}
	})
}

func TestMACKinds(t *testing.T) {
	if m := BroadcastMAC(); !m.IsBroadcast() || !m.IsMulticast() || m.IsZero() {
		t.Error("broadcast is not what it should be")
	}
	if m := (MAC{2}); m.IsBroadcast() || m.IsMulticast() || !m.IsLocal() {
		t.Error("a local station is not what it should be")
	}
}

func TestMulticastMAC(t *testing.T) {
	for ip, want := range map[string]string{
		"224.0.0.1":         "01:00:5e:00:00:01",
		"239.255.1.2":       "01:00:5e:7f:01:02", // the low 23 bits only: RFC 1112 §6.4
		"ff02::1:ff28:9c5a": "33:33:ff:28:9c:5a", // RFC 2464 §7
	} {
		if got := MulticastMAC(netip.MustParseAddr(ip)).String(); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

func TestEthernetAndVLANAgainstGopacket(t *testing.T) {
	b := make([]byte, EthernetLen+VLANLen+2)
	src, dst := MAC{2, 1, 2, 3, 4, 5}, MAC{6, 7, 8, 9, 10, 11}
	PutEthernet(b, dst, src, EtherTypeVLAN)
	PutVLAN(b[EthernetLen:], 0x1abc, 5, true, 0x88b5) // bits above the 12th are ignored
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	e := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if MAC(e.SrcMAC) != src || MAC(e.DstMAC) != dst || e.EthernetType != layers.EthernetTypeDot1Q {
		t.Errorf("gopacket reads %+v", e)
	}
	v := p.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q)
	if v.VLANIdentifier != 0xabc || v.Priority != 5 || !v.DropEligible || v.Type != 0x88b5 {
		t.Errorf("gopacket reads %+v", v)
	}
	h, _ := ParseEthernet(b)
	h.SetDst(src)
	h.SetSrc(dst)
	if h.Dst() != src || h.Src() != dst || h.EtherType() != EtherTypeVLAN {
		t.Errorf("after swapping: % x", b)
	}
	tag, ok := ParseVLAN(h.Payload())
	if !ok || tag.ID() != 0xabc || tag.Priority() != 5 || !tag.DropEligible() || tag.EtherType() != 0x88b5 || len(tag.Payload()) != 2 {
		t.Errorf("tag %v %v %v %#x", tag.ID(), tag.Priority(), tag.DropEligible(), tag.EtherType())
	}
}

func FuzzEthernet(f *testing.F) {
	f.Add([]byte("destinsourcety payload"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseEthernet(b)
		if ok != (len(b) >= EthernetLen) {
			t.Fatalf("ok = %v for %d bytes", ok, len(b))
		}
		if !ok {
			return
		}
		var again [EthernetLen]byte
		PutEthernet(again[:], h.Dst(), h.Src(), h.EtherType())
		if string(again[:]) != string(b[:EthernetLen]) {
			t.Fatalf("% x became % x", b[:EthernetLen], again)
		}
		if v, ok := ParseVLAN(h.Payload()); ok {
			var tag [VLANLen]byte
			PutVLAN(tag[:], v.ID(), v.Priority(), v.DropEligible(), v.EtherType())
			if string(tag[:]) != string(h.Payload()[:VLANLen]) {
				t.Fatalf("tag % x became % x", h.Payload()[:VLANLen], tag)
			}
		}
	})
}

func TestARPAgainstGopacket(t *testing.T) {
	mac, ip := MAC{2, 0, 0, 0, 0, 1}, [4]byte{192, 0, 2, 1}
	b := make([]byte, ARPLen)
	PutARP(b, ARPRequestFor([4]byte{192, 0, 2, 9}, mac, ip))
	a := gopacket.NewPacket(b, layers.LayerTypeARP, gopacket.Default).Layer(layers.LayerTypeARP).(*layers.ARP)
	if a.Operation != layers.ARPRequest || MAC(a.SourceHwAddress) != mac || [4]byte(a.SourceProtAddress) != ip ||
		[4]byte(a.DstProtAddress) != [4]byte{192, 0, 2, 9} || a.Protocol != layers.EthernetTypeIPv4 {
		t.Errorf("gopacket reads %+v", a)
	}

	// RFC 826: the answer swaps the roles and fills in what was asked.
	h, ok := ParseARP(b)
	if !ok {
		t.Fatal("own request is not ok")
	}
	want := ARPFields{ARPReply, MAC{9}, [4]byte{192, 0, 2, 9}, mac, ip}
	if got := h.Reply(MAC{9}); got != want {
		t.Errorf("reply %+v, want %+v", got, want)
	}
}

func TestARPProbeAndAnnouncement(t *testing.T) {
	mac, ip := MAC{2}, [4]byte{192, 0, 2, 1}
	for name, c := range map[string]struct {
		f               ARPFields
		probe, announce bool
	}{
		"request":      {ARPRequestFor([4]byte{192, 0, 2, 9}, mac, ip), false, false},
		"probe":        {ARPProbeFor(ip, mac), true, false},
		"announcement": {ARPAnnouncementOf(ip, mac), false, true},
		"reply":        {ARPFields{Op: ARPReply, SenderIP: ip, TargetIP: [4]byte{1}}, false, false},
		"nobody":       {ARPFields{Op: ARPReply}, false, false},
	} {
		b := make([]byte, ARPLen)
		PutARP(b, c.f)
		h, ok := ParseARP(b)
		if !ok || h.IsProbe() != c.probe || h.IsAnnouncement() != c.announce {
			t.Errorf("%s: ok %v, probe %v, announcement %v", name, ok, h.IsProbe(), h.IsAnnouncement())
		}
	}
}

func TestARPOfOtherSpacesIsNotOK(t *testing.T) {
	b := make([]byte, ARPLen)
	for i := range 6 { // hardware space, protocol space, their lengths
		PutARP(b, ARPFields{Op: ARPRequest})
		b[i] ^= 1
		if _, ok := ParseARP(b); ok {
			t.Errorf("byte %d changed, yet ok", i)
		}
	}
}

func FuzzARP(f *testing.F) {
	b := make([]byte, ARPLen)
	PutARP(b, ARPRequestFor([4]byte{192, 0, 2, 9}, MAC{2}, [4]byte{192, 0, 2, 1}))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseARP(b)
		if !ok {
			return
		}
		_, _, _, _ = h.SenderIP(), h.TargetIP(), h.IsProbe(), h.IsAnnouncement()
		var again [ARPLen]byte
		PutARP(again[:], h.Fields())
		if string(again[:]) != string(b[:ARPLen]) {
			t.Fatalf("% x became % x", b[:ARPLen], again)
		}
	})
}
