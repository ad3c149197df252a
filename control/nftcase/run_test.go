package nftcase_test

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/knitnet/knit/control/nftcase"
	"github.com/knitnet/knit/netfilter"
)

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func run(t testing.TB, rules, cases string) *nftcase.Report {
	t.Helper()
	table, err := nftcase.Parse("cases", cases)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := nftcase.Run(context.Background(), &netfilter.NFTRequest{Name: "rules", Text: rules}, table, nftcase.Options{Open: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestGateway(t *testing.T) {
	rep := run(t, read(t, "testdata/gateway.nft"), read(t, "testdata/gateway.cases"))
	var b bytes.Buffer
	if err := rep.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	if !rep.OK() {
		t.Errorf("%s", b.String())
	}
}

// TestCopies: a copy that a rule sends does not make a packet pass that another one
// drops, and named counters count.
func TestCopies(t *testing.T) {
	rules := "table ip t { counter seen { }; chain pre { type filter hook prerouting priority 0; counter name seen; dup to 192.0.2.9; tcp dport 1 drop; }; }"
	rep := run(t, rules, "in eth0 tcp 10.0.0.5:1 > 198.51.100.7:1 -> drop\nin eth0 tcp 10.0.0.5:1 > 198.51.100.7:2 -> accept to eth1\ncounter t seen -> packets 2 bytes 80\ncounter ip t seen -> packets 2")
	for _, r := range rep.Results {
		if !r.Pass {
			t.Errorf("%s: %v", r.Text, r.Problems)
		}
	}
	rep = run(t, rules, "counter t seen -> packets 1 bytes 1\ncounter t nosuch -> packets 0")
	if rep.Failed != 2 || len(rep.Results[0].Problems) != 2 {
		t.Errorf("%v", rep.Results)
	}
}

// TestSettings: settings of modules that only the rules have loaded can be changed.
func TestSettings(t *testing.T) {
	rules := "table ip t { chain in { type filter hook input priority 0; ct state invalid drop; }; }"
	for _, x := range []struct{ loose, verdict string }{{"0", "drop"}, {"1", "accept"}} {
		rep := run(t, rules, "sysctl net.netfilter.nf_conntrack_tcp_loose="+x.loose+"\nin eth0 tcp 10.0.0.5:1 > 10.0.0.1:2 ack -> "+x.verdict)
		if !rep.OK() {
			t.Errorf("tcp_loose=%s: %v", x.loose, rep.Results[0].Problems)
		}
	}
}
