package metric

import (
	"fmt"
	"strings"
)

// The rulesets of the benchmarks. The devices of the router are called in and out.

// Rules are n rules at FORWARD that look at more than one field, of which none holds
// for what is forwarded; end comes behind them.
func Rules(n int, before, end string) string {
	var b strings.Builder
	b.WriteString("table inet bench {\n" + before + "\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n")
	for i := range n {
		fmt.Fprintf(&b, "\t\tip saddr 10.200.%d.0/24 udp dport %d drop\n", i%256, 1+i)
	}
	return b.String() + end + "\t}\n}\n"
}

// VerdictMap sends what comes from FlowSource through a verdict map of n addresses, in
// which it is the last.
func VerdictMap(n int) string {
	var b strings.Builder
	for i := range n - 1 {
		fmt.Fprintf(&b, "11.0.%d.%d : drop, ", i>>8, i&255)
	}
	return "table ip bench {\n\tmap v { type ipv4_addr : verdict; elements = { " + b.String() + "10.77.1.1 : accept }; }\n" +
		"\tchain forward { type filter hook forward priority 0; ip saddr vmap @v; }\n}\n"
}

// Parts of rulesets.
const (
	// Established accepts what belongs to a connection.
	Established = "\t\tct state established accept\n"
	// FlowAdd gives it to the flowtable of Flowtable besides.
	FlowAdd   = "\t\tct state established flow add @f\n" + Established
	Flowtable = "\tflowtable f { hook ingress priority 0; devices = { in, out }; }\n"
	// Masquerade hides what leaves.
	Masquerade = "table ip nat {\n\tchain post { type nat hook postrouting priority 100; oifname \"out\" masquerade; }\n}\n"
	// Track tracks connections and has no rules beside.
	Track = "table inet bench {\n\tchain forward { type filter hook forward priority 0; ct state invalid drop; }\n}\n"
)
