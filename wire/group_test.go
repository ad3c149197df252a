package wire

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func TestFloatCode(t *testing.T) {
	// RFC 3376 §4.1.1: value = (mant | 0x10) << (exp + 3).
	for code, want := range map[uint32]uint32{0: 0, 127: 127, 0x80: 128, 0x8f: 248, 0x90: 256, 0xff: 31744} {
		if got := floatCode(code, 4); got != want {
			t.Errorf("code %#x = %d, want %d", code, got, want)
		}
	}
	// RFC 3810 §5.1.3: value = (mant | 0x1000) << (exp + 3).
	for code, want := range map[uint32]uint32{32767: 32767, 0x8000: 32768, 0xffff: 8387584} {
		if got := floatCode(code, 12); got != want {
			t.Errorf("code %#x = %d, want %d", code, got, want)
		}
	}
}

func TestToFloatCodeRoundsDown(t *testing.T) {
	for _, bits := range []int{4, 12} {
		last := uint32(1)<<(bits+4) - 1
		for code := range last + 1 {
			v := floatCode(code, bits)
			if got := toFloatCode(v, bits); got != code {
				t.Fatalf("%d: code %#x, want %#x", v, got, code)
			}
			if code > 0 {
				if got := toFloatCode(v-1, bits); got != code-1 {
					t.Fatalf("%d: code %#x, want %#x", v-1, got, code-1)
				}
			}
		}
		if got := toFloatCode(1<<31, bits); got != last {
			t.Errorf("a value beyond all codes: %#x, want %#x", got, last)
		}
	}
}

func TestIGMPQueryVersions(t *testing.T) {
	// RFC 3376 §7.1.
	for name, c := range map[string]struct {
		b        string
		version  int
		response int
		ok       bool
	}{
		"version 1":        {"1100 0000 00000000", 1, 100, true},
		"version 2":        {"1164 0000 e0000001", 2, 100, true},
		"version 2, float": {"11ff 0000 e0000001", 2, 255, true},
		"version 3":        {"11ff 0000 e0000001 0a7d 0000", 3, 31744, true},
		"version 3, 1 src": {"1164 0000 e0000001 0a7d 0001 c0000201", 3, 100, true},
		"11 octets":        {"1164 0000 e0000001 0a7d 00", 0, 0, false},
		"sources missing":  {"1164 0000 e0000001 0a7d 0002 c0000201", 0, 0, false},
		"7 octets":         {"1164 0000 e00000", 0, 0, false},
		"a report":         {"1600 0000 e0000001", 0, 0, false},
	} {
		m, ok := ParseIGMPQuery(unhex(c.b))
		if ok != c.ok {
			t.Errorf("%s: ok %v", name, ok)
		} else if ok && (m.Version() != c.version || m.MaxResponse() != c.response) {
			t.Errorf("%s: version %d, response %d", name, m.Version(), m.MaxResponse())
		}
	}
}

func TestIGMPAgainstGopacket(t *testing.T) {
	b := make([]byte, 256)
	n := PutIGMPQuery(b, IGMPQueryFields{MaxResponse: 300, Group: [4]byte{239, 1, 2, 3}, SuppressRouter: true, Robustness: 2, Interval: 125}, [4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2})
	p := gopacket.NewPacket(b[:n], layers.LayerTypeIGMP, gopacket.Default)
	g, ok := p.Layer(layers.LayerTypeIGMP).(*layers.IGMP)
	if !ok || g.Type != layers.IGMPMembershipQuery || !g.SupressRouterProcessing || g.RobustnessValue != 2 ||
		g.GroupAddress.String() != "239.1.2.3" || len(g.SourceAddresses) != 2 || g.SourceAddresses[1].String() != "192.0.2.2" {
		t.Errorf("gopacket reads %+v", g)
	}
	q, ok := ParseIGMPQuery(b[:n])
	if !ok || q.MaxResponse() != 288 || q.Interval() != 125 || !q.SuppressRouter() || q.Robustness() != 2 || q.NumSources() != 2 ||
		q.Group() != netip.MustParseAddr("239.1.2.3") || q.Source(1) != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("ok %v, response %d, interval %d", ok, q.MaxResponse(), q.Interval())
	}

	n = IGMPLen
	n += PutIGMPv3Record(b[n:], GroupChangeToExclude, [4]byte{239, 0, 0, 1})
	n += PutIGMPv3Record(b[n:], GroupAllowNew, [4]byte{239, 0, 0, 2}, [4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2})
	FinishIGMPv3Report(b[:n], 2)
	p = gopacket.NewPacket(b[:n], layers.LayerTypeIGMP, gopacket.Default)
	g, ok = p.Layer(layers.LayerTypeIGMP).(*layers.IGMP)
	if !ok || g.NumberOfGroupRecords != 2 || g.GroupRecords[0].Type != layers.IGMPToEx || len(g.GroupRecords[1].SourceAddresses) != 2 {
		t.Errorf("gopacket reads %+v", g)
	}
	if m, ok := ParseIGMP(b[:n]); !ok || !m.ChecksumOK() || m.Type() != IGMPv3Report {
		t.Error("own report is damaged")
	}
	w, ok := ParseIGMPv3Report(b[:n])
	if !ok {
		t.Fatal("own report is not ok")
	}
	r, _ := w.Next()
	if r.Type() != GroupChangeToExclude || r.Group() != netip.MustParseAddr("239.0.0.1") || r.NumSources() != 0 {
		t.Errorf("record %d %v %d", r.Type(), r.Group(), r.NumSources())
	}
	r, _ = w.Next()
	if r.Type() != GroupAllowNew || r.NumSources() != 2 || r.Source(1) != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("record %d %v %d", r.Type(), r.Group(), r.NumSources())
	}
	if _, ok := w.Next(); ok {
		t.Error("a third record")
	}
}

func TestIGMPv2(t *testing.T) {
	b := make([]byte, IGMPLen)
	PutIGMP(b, IGMPv2Leave, 0, [4]byte{239, 1, 1, 1})
	m, ok := ParseIGMP(b)
	if !ok || m.Type() != IGMPv2Leave || m.Group() != netip.MustParseAddr("239.1.1.1") || !m.ChecksumOK() {
		t.Errorf("% x", b)
	}
}

func TestAuxiliaryDataIsSkipped(t *testing.T) {
	// RFC 3376 §4.2.10: "MUST ignore the auxiliary data, if present".
	w, ok := ParseIGMPv3Report(unhex("2200 0000 0000 0002 0201 0000 ef000001 deadbeef 0400 0000 ef000002"))
	if !ok {
		t.Fatal("not ok")
	}
	w.Next()
	if r, ok := w.Next(); !ok || r.Group() != netip.MustParseAddr("239.0.0.2") {
		t.Error("the record behind auxiliary data is lost")
	}
	if _, ok := ParseIGMPv3Report(unhex("2200 0000 0000 0002 0200 0000 ef000001")); ok {
		t.Error("a report that lacks a record is ok")
	}
}

func TestMLDAgainstGopacket(t *testing.T) {
	group, src := netip.MustParseAddr("ff02::db8:1"), netip.MustParseAddr("2001:db8::1")
	b := make([]byte, 256)
	n := PutMLDQuery(b, MLDQueryFields{MaxResponse: 40000, Group: group.As16(), SuppressRouter: true, Robustness: 7, Interval: 130}, src.As16())
	p := gopacket.NewPacket(b[:n], layers.LayerTypeICMPv6, gopacket.Default)
	g, ok := p.Layer(layers.LayerTypeMLDv2MulticastListenerQuery).(*layers.MLDv2MulticastListenerQueryMessage)
	if !ok || !g.SuppressRoutersideProcessing || g.QueriersRobustnessVariable != 7 || g.MulticastAddress.String() != group.String() || len(g.SourceAddresses) != 1 {
		t.Errorf("gopacket reads %+v", g)
	}
	q, ok := ParseMLDQuery(b[:n])
	if !ok || q.Version() != 2 || q.MaxResponse() != 40000 || q.Interval() != 128 || !q.SuppressRouter() || q.Robustness() != 7 ||
		q.Group() != group || q.NumSources() != 1 || q.Source(0) != src {
		t.Errorf("ok %v, response %d, interval %d", ok, q.MaxResponse(), q.Interval())
	}

	PutMLDv2Report(b, 2)
	n = MLDv2ReportLen
	n += PutMLDv2Record(b[n:], GroupChangeToExclude, group.As16())
	n += PutMLDv2Record(b[n:], GroupBlockOld, group.As16(), src.As16(), src.As16())
	p = gopacket.NewPacket(b[:n], layers.LayerTypeICMPv6, gopacket.Default)
	r, ok := p.Layer(layers.LayerTypeMLDv2MulticastListenerReport).(*layers.MLDv2MulticastListenerReportMessage)
	if !ok || r.NumberOfMulticastAddressRecords != 2 || r.MulticastAddressRecords[1].N != 2 {
		t.Errorf("gopacket reads %+v", r)
	}
	w, ok := ParseMLDv2Report(b[:n])
	if !ok {
		t.Fatal("own report is not ok")
	}
	rec, _ := w.Next()
	if rec.Type() != GroupChangeToExclude || rec.Group() != group || rec.NumSources() != 0 {
		t.Errorf("record %d %v %d", rec.Type(), rec.Group(), rec.NumSources())
	}
	rec, _ = w.Next()
	if rec.Type() != GroupBlockOld || rec.NumSources() != 2 || rec.Source(1) != src {
		t.Errorf("record %d %v %d", rec.Type(), rec.Group(), rec.NumSources())
	}
}

func TestMLDVersion1(t *testing.T) {
	group := netip.MustParseAddr("ff02::db8:1")
	b := make([]byte, MLDLen+3)
	PutMLD(b, ICMP6MLDQuery, 10000, group.As16())
	q, ok := ParseMLDQuery(b[:MLDLen])
	if !ok || q.Version() != 1 || q.MaxResponse() != 10000 || q.Group() != group || q.NumSources() != 0 || q.Robustness() != 0 || q.Interval() != 0 || q.SuppressRouter() {
		t.Errorf("ok %v, %d %d", ok, q.Version(), q.MaxResponse())
	}
	if _, ok := ParseMLDQuery(b); ok {
		t.Error("27 octets are ok (RFC 3810 §8.1)")
	}
	PutMLD(b, ICMP6MLDDone, 0, group.As16())
	if m, ok := ParseMLD(b); !ok || m.Type() != ICMP6MLDDone || m.Group() != group {
		t.Error("own message is not ok")
	}
}

func FuzzIGMP(f *testing.F) {
	f.Add(unhex("1164 0000 e0000001 0a7d 0001 c0000201"))
	f.Add(unhex("2200 0000 0000 0002 0201 0000 ef000001 deadbeef 0400 0001 ef000002 c0000201"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := ParseIGMP(b); ok {
			again := make([]byte, IGMPLen)
			PutIGMP(again, m.Type(), 0, m.Group().As4())
			if g, ok := ParseIGMP(again); !ok || !g.ChecksumOK() || g.Group() != m.Group() || g.Type() != m.Type() {
				t.Fatalf("% x became % x", b, again)
			}
		}
		if q, ok := ParseIGMPQuery(b); ok {
			fields := IGMPQueryFields{q.MaxResponse(), q.Group().As4(), q.SuppressRouter(), uint8(q.Robustness()), q.Interval()}
			var sources [][4]byte
			for i := range q.NumSources() {
				sources = append(sources, q.Source(i).As4())
			}
			again := make([]byte, len(b)+IGMPv3QueryLen)
			g, ok := ParseIGMPQuery(again[:PutIGMPQuery(again, fields, sources...)])
			if !ok || g.MaxResponse() > q.MaxResponse() || q.Version() == 3 && g.MaxResponse() != q.MaxResponse() || g.Interval() != q.Interval() || g.Group() != q.Group() || g.NumSources() != q.NumSources() {
				t.Fatalf("% x became % x", b, again)
			}
		}
		w, ok := ParseIGMPv3Report(b)
		if !ok {
			return
		}
		again := make([]byte, len(b))
		n, records := IGMPLen, 0
		for r, ok := w.Next(); ok; r, ok = w.Next() {
			var sources [][4]byte
			for i := range r.NumSources() {
				sources = append(sources, r.Source(i).As4())
			}
			n += PutIGMPv3Record(again[n:], r.Type(), r.Group().As4(), sources...)
			records++
		}
		if records != int(be.Uint16(b[6:8])) {
			t.Fatalf("%d records of %d", records, be.Uint16(b[6:8]))
		}
		FinishIGMPv3Report(again[:n], records)
		if m, _ := ParseIGMP(again[:n]); !m.ChecksumOK() {
			t.Fatal("own report has a wrong checksum")
		}
	})
}

func FuzzMLD(f *testing.F) {
	f.Add(unhex("8200 0000 2710 0000 ff020000000000000000000000000001 0a7d 0001 20010db8000000000000000000000001"))
	f.Add(unhex("8f00 0000 0000 0001 0401 0001 ff020000000000000000000000000001 20010db8000000000000000000000001 deadbeef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := ParseMLD(b); ok {
			again := make([]byte, MLDLen)
			PutMLD(again, m.Type(), 0, m.Group().As16())
			if g, ok := ParseMLD(again); !ok || g.Type() != m.Type() || g.Group() != m.Group() {
				t.Fatalf("% x became % x", b, again)
			}
		}
		if q, ok := ParseMLDQuery(b); ok {
			fields := MLDQueryFields{q.MaxResponse(), q.Group().As16(), q.SuppressRouter(), uint8(q.Robustness()), q.Interval()}
			var sources [][16]byte
			for i := range q.NumSources() {
				sources = append(sources, q.Source(i).As16())
			}
			again := make([]byte, len(b)+MLDv2QueryLen)
			g, ok := ParseMLDQuery(again[:PutMLDQuery(again, fields, sources...)])
			if !ok || g.Interval() != q.Interval() || g.Group() != q.Group() || g.NumSources() != q.NumSources() || g.MaxResponse() > q.MaxResponse() {
				t.Fatalf("% x became % x", b, again)
			}
		}
		w, ok := ParseMLDv2Report(b)
		if !ok {
			return
		}
		again := make([]byte, len(b))
		n, records := MLDv2ReportLen, 0
		for r, ok := w.Next(); ok; r, ok = w.Next() {
			var sources [][16]byte
			for i := range r.NumSources() {
				sources = append(sources, r.Source(i).As16())
			}
			n += PutMLDv2Record(again[n:], r.Type(), r.Group().As16(), sources...)
			records++
		}
		PutMLDv2Report(again, records)
		if _, ok := ParseMLDv2Report(again[:n]); !ok || records != int(be.Uint16(b[6:8])) {
			t.Fatalf("%d records of %d", records, be.Uint16(b[6:8]))
		}
	})
}
