package nftcase_test

import (
	"strings"
	"testing"

	"github.com/knitnet/knit/control/nftcase"
	"github.com/knitnet/knit/netfilter"
)

// TestSessionRefusals: a line that a session refuses leaves nothing behind.
func TestSessionRefusals(t *testing.T) {
	s, err := nftcase.Open(t.Context(), &netfilter.NFTRequest{Name: "rules"}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	const flow = " tcp 10.0.0.5:40000 > 10.0.0.1:22"
	for _, c := range []struct{ line, want string }{
		{"flow web in eth9" + flow, "there is no device eth9"},
		{"web -> accept", "web: want device"},
		{"flow ssh in eth0" + flow, ""},
		{"case\tanother", "case: a session is one case"},
		{"ssh -> accept", ""},
		{"", "the line is empty"},
		{"sysctl net.ipv4.ip_forward=0", "the network stands in front"},
	} {
		_, err := s.Line(c.line)
		switch {
		case err == nil && c.want != "", err != nil && c.want == "":
			t.Errorf("%q: %v, want %q", c.line, err, c.want)
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%q: %v, want %q", c.line, err, c.want)
		}
	}
}

// TestRulesKeepTheirPlace: rules that a command of the table leaves alone keep the line
// they came from, and their hits.
func TestRulesKeepTheirPlace(t *testing.T) {
	rules := "table ip t {\n\tset s { type ipv4_addr; }\n\tchain in {\n\t\ttype filter hook input priority 0\n\t\ttcp dport 22 accept\n\t}\n}"
	rep := run(t, rules, `in eth0 tcp 10.0.0.5:1 > 10.0.0.1:22 -> accept by line 5
nft add element ip t s { 10.0.0.9 }
nft add rule ip t in udp dport 5 drop
in eth0 tcp 10.0.0.5:2 > 10.0.0.1:22 -> accept by line 5
hits line 5 -> 2`)
	for _, r := range rep.Results {
		if !r.Pass {
			t.Errorf("%s: %v", r.Text, r.Problems)
		}
	}
	if len(rep.Rules) != 1 || rep.Rules[0].Hits != 2 {
		t.Errorf("rules: %+v", rep.Rules)
	}
}

// TestAsOptions: what `as` says is compared, also of TCP options and the payload, and
// the mark behind it is that of `mark`.
func TestAsOptions(t *testing.T) {
	rules := "table ip t { chain f { type filter hook forward priority 0; tcp flags syn tcp option maxseg size set 1200; meta mark set 7; }; }"
	const syn = "in eth0 tcp 10.0.0.5:1 > 198.51.100.7:2 option maxseg size 1400"
	for expected, pass := range map[string]bool{
		"accept as tcp option maxseg size 1200":           true,
		"accept as tcp option maxseg size 1400":           false,
		"accept as tcp option window count 3":             false,
		"accept as ip ttl 63 mark 7":                      true,
		"accept as ip ttl 63 mark 8":                      false,
		"accept as payload 0":                             true,
		"accept as payload 0x01":                          false,
		"accept as tcp 10.0.0.5:1 > 198.51.100.7:2":       true,
		"accept as tcp 10.0.0.5:1 > 198.51.100.7:3":       false,
		"accept as tcp option maxseg size 1200 flags syn": true,
	} {
		if rep := run(t, rules, syn+" -> "+expected); rep.OK() != pass {
			t.Errorf("%s: passed: %v, want %v; %v", expected, rep.OK(), pass, rep.Results[0].Problems)
		}
	}
}
