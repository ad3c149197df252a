package nat_test

import (
	"strings"
	"testing"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
)

// ask runs commands with options, and returns what they print or their error.
func (b *box) ask(req netfilter.NFTRequest) (string, error) {
	rules, _ := module.Find[netfilter.Ruleset](b.Modules, netfilter.RulesetSymbol)
	var out strings.Builder
	req.Name = "rules"
	err := rules.Run(ctx, &req, &out)
	return out.String(), err
}

// TestBehaviourWords: the words for behaviours, which nft does not have, are listed
// as they were written, but those that say what Linux does anyway; as JSON they are
// fields of the statement. Both can be read again.
func TestBehaviourWords(t *testing.T) {
	b := newBox(t)
	b.load(`table ip t {
	chain c {
		type nat hook postrouting priority srcnat
		oifname "a" masquerade mapping endpoint-independent
		oifname "b" masquerade random,persistent mapping address-dependent filtering endpoint-independent
		oifname "c" snat to 192.0.2.1-192.0.2.9 filtering address-dependent
		oifname "d" masquerade mapping address-and-port-dependent filtering address-and-port-dependent
	}
}`)
	const want = `table ip t {
	chain c {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "a" masquerade mapping endpoint-independent
		oifname "b" masquerade random,persistent mapping address-dependent filtering endpoint-independent
		oifname "c" snat to 192.0.2.1-192.0.2.9 filtering address-dependent
		oifname "d" masquerade
	}
}
`
	list := func() string {
		t.Helper()
		out, err := b.ask(netfilter.NFTRequest{Text: "list ruleset"})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := list(); got != want {
		t.Errorf("listed:\n%s", got)
	}
	b.load(list())
	if got := list(); got != want {
		t.Errorf("listed again:\n%s", got)
	}
	json, err := b.ask(netfilter.NFTRequest{Text: "list ruleset", JSON: true})
	if err != nil || !strings.Contains(json, `{"masquerade": {"flags": ["random", "persistent"], "mapping": "address-dependent", "filtering": "endpoint-independent"}}`) {
		t.Errorf("as JSON: %s, %v", json, err)
	}
	b.load("")
	if _, err := b.ask(netfilter.NFTRequest{Text: json, JSON: true}); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != want {
		t.Errorf("listed after reading JSON:\n%s", got)
	}
}

// TestBehaviourWordsWrong: where the words do not belong they are refused, and
// nothing changes.
func TestBehaviourWordsWrong(t *testing.T) {
	b := newBox(t)
	for rule, want := range map[string]string{
		"masquerade mapping full-cone":                          "expecting endpoint-independent or address-dependent or address-and-port-dependent",
		"masquerade filtering":                                  "expecting endpoint-independent or address-dependent or address-and-port-dependent",
		"dnat to 10.0.0.2 mapping endpoint-independent":         "has no effect",
		"redirect to :80 filtering endpoint-independent":        "has no effect",
		"masquerade mapping endpoint-independent random":        "unexpected random",
		"accept mapping endpoint-independent":                   "has no effect",
		"snat to 10.0.0.1 filtering address-dependent mapping ": "expecting endpoint-independent",
	} {
		_, err := b.ask(netfilter.NFTRequest{Text: "add table ip t\nadd chain ip t c { type nat hook postrouting priority 0; }\nadd rule ip t c tcp dport 1 " + rule})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", rule, err, want)
		}
	}
	if out, err := b.ask(netfilter.NFTRequest{Text: "list ruleset"}); err != nil || out != "" {
		t.Errorf("left: %s, %v", out, err)
	}
}
