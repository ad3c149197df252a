package server_test

import (
	"fmt"
	"strings"
)

// rules writes n rules of the table's family.
func (w *rulesetWriter) rules(n int) {
	for range n {
		w.f("\t\t%s\n", w.rule())
	}
}

func (w *rulesetWriter) rule() string {
	var parts []string
	net, trans := w.protocols()
	for range w.IntN(4) {
		parts = append(parts, w.match(net, trans))
	}
	for range w.IntN(3) {
		parts = append(parts, w.action())
	}
	if w.IntN(4) > 0 || len(parts) == 0 {
		parts = append(parts, w.verdict(net, trans))
	}
	text := strings.Join(parts, " ")
	if w.IntN(6) == 0 {
		text += ` comment "` + w.pick("why", "a b", "x-1") + `"`
	}
	return text
}

// protocols chooses what a rule is about.
func (w *rulesetWriter) protocols() (net, trans string) {
	switch w.family {
	case "arp":
		return "arp", ""
	case "ip", "ip6":
		net = w.family
	default:
		net = w.pick("ip", "ip", "ip6", "")
	}
	trans = w.pick("tcp", "tcp", "udp", "sctp", "", "")
	if net != "" && w.IntN(6) == 0 {
		trans = map[string]string{"ip": "icmp", "ip6": "icmpv6"}[net]
	}
	return net, trans
}

// relation returns a right side for a key of a type.
func (w *rulesetWriter) relation(typ string) string {
	neg := w.pick("", "", "", "!= ")
	if names := w.sets[typ]; len(names) > 0 && w.IntN(3) == 0 {
		return neg + "@" + w.pick(names...)
	}
	switch k := w.IntN(6); {
	case k == 0:
		return neg + "{ " + strings.Join(w.elems(typ, false, true), ", ") + " }"
	case k == 1 && hasIntervals(typ):
		return neg + "{ " + strings.Join(w.elems(typ, true, true), ", ") + " }"
	case k == 2 && hasIntervals(typ):
		return neg + w.apart(typ)
	case k == 3 && (typ == "inet_service" || typ == "mark"):
		return w.pick("<", ">", "<=", ">=") + " " + fmt.Sprint(1+w.IntN(60000))
	}
	return neg + w.value(typ)
}

// match returns a relation, a verdict map or a match without a value.
func (w *rulesetWriter) match(net, trans string) string {
	for {
		switch w.IntN(5) {
		case 0, 1:
			if s := w.netMatch(net); s != "" {
				return s
			}
		case 2, 3:
			if s := w.transMatch(net, trans); s != "" {
				return s
			}
		default:
			return w.metaMatch()
		}
	}
}

func (w *rulesetWriter) netMatch(net string) string {
	switch net {
	case "ip":
		return w.pick("ip saddr "+w.relation("ipv4_addr"), "ip daddr "+w.relation("ipv4_addr"), fmt.Sprintf("ip ttl %d", w.IntN(256)),
			"ip dscp "+w.relation("dscp"), fmt.Sprintf("ip length %d-%d", w.IntN(100), 100+w.IntN(1000)), "ip frag-off & 0x1fff != 0",
			"ip saddr . ip daddr { 1.2.3.4 . 5.6.7.8, 1.1.1.1 . 2.2.2.2 }", "ip daddr & 255.255.0.0 == 10.1.0.0",
			"ip protocol "+w.pick("!= icmp", "{ tcp, udp }"))
	case "ip6":
		return w.pick("ip6 saddr "+w.relation("ipv6_addr"), "ip6 daddr "+w.relation("ipv6_addr"), fmt.Sprintf("ip6 hoplimit %d", w.IntN(256)),
			"ip6 flowlabel 22", "exthdr frag "+w.pick("exists", "missing"), "ip6 dscp "+w.value("dscp"))
	case "arp":
		return w.pick("arp operation "+w.relation("arp_op"), "arp saddr ip "+w.value("ipv4_addr"), "arp daddr ether "+w.value("ether_addr"),
			"arp htype 1")
	}
	return ""
}

func (w *rulesetWriter) transMatch(net, trans string) string {
	if trans == "" {
		if w.family == "arp" {
			return ""
		}
		return w.pick("meta l4proto "+w.pick("tcp", "udp", "{ tcp, udp }", "!= icmp"), "")
	}
	switch trans {
	case "icmp":
		return w.pick("icmp type "+w.relation("icmp_type"), "icmp code 3")
	case "icmpv6":
		return "icmpv6 type " + w.relation("icmpv6_type")
	case "tcp":
		if w.IntN(3) == 0 {
			return w.pick("tcp flags syn", "tcp flags & (fin|syn|rst|ack) == syn", "tcp flags != ack", "tcp flags syn,ack / syn,ack,rst", "tcp option maxseg exists",
				fmt.Sprintf("tcp option maxseg size %d", w.IntN(2000)), "tcp flags { syn, fin }", "tcp option timestamp missing")
		}
	}
	if names := w.sets["ipv4_addr . inet_service"]; net == "ip" && len(names) > 0 && w.IntN(3) == 0 {
		return "ip saddr . " + trans + " dport @" + w.pick(names...)
	}
	return trans + " " + w.pick("sport ", "dport ", "dport ") + w.relation("inet_service")
}

func (w *rulesetWriter) metaMatch() string {
	if w.family == "arp" {
		return w.pick("meta mark "+w.relation("mark"), "iifname "+w.relation("ifname"), "meta pkttype "+w.relation("pkt_type"))
	}
	if w.family != "bridge" && w.IntN(3) == 0 {
		return w.pick("ct state "+w.pick("new", "established,related", "!= invalid", "{ new, untracked }", "new,established"),
			"ct mark "+w.relation("mark"), "ct direction original", "ct status "+w.pick("assured", "dnat,snat"), "ct expiration < 30s",
			"ct original packets > 10", "ct state vmap { established : accept, invalid : drop }", "ct label 3")
	}
	return w.pick("meta mark "+w.relation("mark"), "iifname "+w.relation("ifname"), "oifname "+w.relation("ifname"),
		"meta pkttype "+w.relation("pkt_type"), "meta length "+fmt.Sprint(w.IntN(2000)), "iif lo", `iifname "eth*"`, "meta cpu 1",
		"meta skuid "+w.relation("uid"), "meta mark & 0xff == 0x10", "meta iifgroup "+w.value("devgroup"),
		"meta mark and 0x3 != 0x1", "meta priority 1:2", `meta hour "08:00"-"17:30"`, `meta day "Friday"`,
		"numgen inc mod 4 vmap { 0 : accept, 1-2 : continue }", "meta random < 1000000")
}

func (w *rulesetWriter) action() string {
	actions := []string{"counter", "counter packets 3 bytes 100", "counter name cnt", "limit name lim", "quota name quo",
		fmt.Sprintf("limit rate %s%d/%s", w.maybe("over "), 1+w.IntN(50), w.pick("second", "minute")), "limit rate 10/second burst 20 packets",
		fmt.Sprintf("limit rate %d kbytes/second", 1+w.IntN(2000)), "limit rate over 1 mbytes/hour burst 3 kbytes",
		fmt.Sprintf("quota over %d mbytes", 1+w.IntN(9)), "quota 1025 bytes", "meta mark set " + w.value("mark"),
		"log", `log prefix "x: "`, `log prefix "y" level debug`, "log group 3 snaplen 40", "log flags all", "log level warn flags skuid",
		"meta mark set meta mark | 0x1", "meta mark set meta mark & 0xffff0000 | 0x7"}
	if w.family != "arp" {
		actions = append(actions, "meta priority set 1:5", "meta mark set numgen random mod 8 offset 100", "meta nftrace set 1")
	}
	if w.family != "arp" && w.family != "bridge" {
		actions = append(actions, "ct mark set "+w.value("mark"), "meta mark set ct mark", "ct mark set meta mark", "ct label set 7",
			"meta mark set jhash meta mark . ct mark mod 16 seed 0xbeef")
	}
	for _, typ := range []string{"ipv4_addr", "ipv6_addr"} {
		key := map[string]string{"ip": "ip saddr", "ip6": "ip6 saddr"}[w.family]
		if names := w.maps[typ+":mark"]; len(names) > 0 && key != "" && strings.HasPrefix(key+" ", map[string]string{"ipv4_addr": "ip ", "ipv6_addr": "ip6 "}[typ]) {
			actions = append(actions, "meta mark set "+key+" map @"+w.pick(names...))
		}
	}
	return w.pick(actions...)
}

func (w *rulesetWriter) verdict(net, trans string) string {
	verdicts := []string{"accept", "drop", "return", "continue"}
	if len(w.chains) > 0 {
		verdicts = append(verdicts, "jump "+w.pick(w.chains...), "goto "+w.pick(w.chains...))
	}
	switch w.family {
	case "ip", "inet", "ip6":
		verdicts = append(verdicts, "reject")
		if trans == "tcp" {
			verdicts = append(verdicts, "reject with tcp reset")
		}
		if net == "ip" && w.family == "ip" {
			verdicts = append(verdicts, "reject with icmp host-unreachable", "reject with icmp 3")
		}
		if w.family == "inet" {
			verdicts = append(verdicts, "reject with icmpx admin-prohibited")
		}
	}
	for _, typ := range []string{"inet_service", "ipv4_addr", "ipv6_addr", "mark", "ifname"} {
		key := map[string]string{"mark": "meta mark", "ifname": "iifname"}[typ]
		switch {
		case typ == "inet_service" && (trans == "tcp" || trans == "udp"):
			key = trans + " dport"
		case typ == "ipv4_addr" && net == "ip", typ == "ipv6_addr" && net == "ip6":
			key = net + " saddr"
		}
		if names := w.maps[typ+":verdict"]; len(names) > 0 && key != "" {
			verdicts = append(verdicts, key+" vmap @"+w.pick(names...))
		}
	}
	return w.pick(verdicts...)
}
