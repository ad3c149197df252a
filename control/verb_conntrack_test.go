package control

import (
	"net/netip"
	"testing"
)

// TestConntrackViewOfOneFamily: a connection whose addresses are not of one IP version
// is none, whoever asks for it. The command line has refused it before.
func TestConntrackViewOfOneFamily(t *testing.T) {
	at, four := netip.MustParsePrefix, netip.MustParseAddr("1.2.3.4")
	six := netip.MustParseAddr("fd00::1")
	good := ConntrackFilter{Prefixes: [4]netip.Prefix{at("1.2.3.4/32"), at("4.3.2.1/32"), at("9.9.9.9/32")}, Proto: 17, SrcNATAddr: four}
	if _, ok := good.View(); !ok {
		t.Fatal("a connection of IPv4 is refused")
	}
	for name, spoil := range map[string]func(f *ConntrackFilter){
		"destination":       func(f *ConntrackFilter) { f.Prefixes[1] = at("fd00::1/128") },
		"reply source":      func(f *ConntrackFilter) { f.Prefixes[2] = at("fd00::1/128") },
		"reply destination": func(f *ConntrackFilter) { f.Prefixes[3] = at("fd00::1/128") },
		"source NAT":        func(f *ConntrackFilter) { f.SrcNATAddr = six },
		"destination NAT":   func(f *ConntrackFilter) { f.DstNATAddr = six },
		"family":            func(f *ConntrackFilter) { f.Family = 6 },
	} {
		f := good
		if spoil(&f); f.family() != 0 {
			t.Errorf("%s: of family %d", name, f.family())
		}
		if v, ok := f.View(); ok {
			t.Errorf("%s: taken as %v", name, v)
		}
	}
}

// TestConntrackExpectations: what the table of expectations cannot do is refused, not
// done as a list.
func TestConntrackExpectations(t *testing.T) {
	for _, op := range []string{"-D", "-G", "-I", "-U", "-S"} {
		if q, err := parseConntrack(nil, []string{op, "expect"}); err == nil || asError(err).Status != 2 {
			t.Errorf("conntrack %s expect: %+v, %v", op, q, err)
		}
	}
}
