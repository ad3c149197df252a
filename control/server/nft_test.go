package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const nftRules = `table ip nat {
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "v0" masquerade
	}
}
table inet filter {
	set blocked {
		type ipv4_addr
		flags interval
		elements = { 10.1.0.0/16, 192.0.2.7 }
	}

	set seen {
		type ipv4_addr
		size 128
		flags dynamic,timeout
		timeout 1m
	}

	chain tcp_in {
		tcp dport { 22, 80, 443 } accept
		meta l4proto tcp reject with tcp reset
	}

	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ip saddr @blocked counter packets 0 bytes 0 drop
		ip protocol icmp accept
		meta l4proto tcp jump tcp_in
	}
}
`

// TestNFT: a file becomes the ruleset, is listed as it was written, holds the modules
// it needs, and is gone after a flush.
func TestNFT(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "rules.nft")
	if err := os.WriteFile(file, []byte(nftRules), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(s, "nft", "-f", file); r.Status != 0 || r.Stdout != "" {
		t.Fatalf("nft -f: %+v", r)
	}
	if r := run(s, "nft", "list", "ruleset"); r.Stdout != nftRules {
		t.Errorf("listed:\n%s%s", r.Stdout, r.Stderr)
	}
	lsmod := func(module string) string {
		for line := range strings.Lines(run(s, "lsmod").Stdout) {
			if f := strings.Fields(line); f[0] == module {
				return strings.Join(f[2:], " ")
			}
		}
		return ""
	}
	if u := lsmod("nf_nat"); u != "1 nf_tables" {
		t.Errorf("nf_nat is used by %q", u)
	}
	if r := run(s, "rmmod", "nf_conntrack"); r.Status == 0 {
		t.Error("nf_conntrack went while rules use it")
	}
	if r := run(s, "nft", "flush", "ruleset"); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	if u := lsmod("nf_nat"); u != "0" {
		t.Errorf("without rules nf_nat is used by %q", u)
	}
	for _, m := range []string{"nf_tables", "nf_nat", "nf_conntrack"} {
		if r := run(s, "rmmod", m); r.Status != 0 {
			t.Errorf("rmmod %s: %s", m, r.Stderr)
		}
	}
}

// TestNFTRefuses: what is wrong is said as nft says it, and nothing changes.
func TestNFTRefuses(t *testing.T) {
	s := newServer(t)
	run(s, "nft", "add", "table", "ip", "t")
	before := run(s, "nft", "-a", "list", "ruleset").Stdout
	for _, c := range []struct{ name, text, want string }{
		{"loop", "table ip t {\n\tchain a { type filter hook input priority 0; jump b; }\n\tchain b { jump b; }\n}\n", "Too many links"},
		{"nat in a filter chain", "table ip t {\n\tchain a { type filter hook input priority 0; snat to 1.2.3.4; }\n}\n", "Operation not supported"},
		{"hook", "table ip t {\n\tchain a { type nat hook forward priority 0; }\n}\n", "Operation not supported"},
		{"no table", "add rule ip nosuch c accept\n", "No such file or directory"},
		{"twice", "create table ip t\n", "File exists"},
		{"in use", "table ip t {\n\tset s { type ipv4_addr; }\n\tchain c { ip saddr @s drop; }\n}\ndelete set ip t s\n", "Device or resource busy"},
		{"full", "table ip t {\n\tset s { type ipv4_addr; size 1; }\n}\nadd element ip t s { 1.1.1.1, 2.2.2.2 }\n", "Too many open files in system"},
	} {
		file := filepath.Join(t.TempDir(), "rules.nft")
		if err := os.WriteFile(file, []byte("add chain ip t extra\n"+c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := run(s, "nft", "-f", file)
		if r.Status != 1 || !strings.Contains(r.Stderr, "Error: ") || !strings.Contains(r.Stderr, c.want) || !strings.Contains(r.Stderr, "^") {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	if after := run(s, "nft", "-a", "list", "ruleset").Stdout; after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

// TestNFTLateOptions: options behind the commands are refused, with nft's marks below
// them; what begins with a minus in a block is none.
func TestNFTLateOptions(t *testing.T) {
	s := newServer(t)
	want := "Error: syntax error, options must be specified before commands\nnft -a list ruleset -n \n   ^                ~~\n"
	if r := run(s, "nft", "-a", "list", "ruleset", "-n"); r.Status != 1 || strings.TrimSpace(r.Stderr) != strings.TrimSpace(want) {
		t.Errorf("%+v", r)
	}
	run(s, "nft", "add", "table", "ip", "t")
	if r := run(s, "nft", "add", "chain", "ip", "t", "c", "{", "type", "filter", "hook", "input", "priority", "-5", ";", "}"); r.Status != 0 {
		t.Errorf("a negative priority: %+v", r)
	}
}
