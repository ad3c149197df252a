package server_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A rulesetWriter writes a random ruleset that nft takes: tables of a family with sets,
// maps, objects, chains and rules. The same seed writes the same.
type rulesetWriter struct {
	*rand.Rand
	b      strings.Builder
	family string
	sets   map[string][]string // by type
	maps   map[string][]string
	chains []string
	next   int // for values that must not overlap
}

// randomRuleset returns a ruleset of a few tables.
func randomRuleset(seed uint64) string {
	w := &rulesetWriter{Rand: rand.New(rand.NewPCG(seed, 20))}
	families := []string{"ip", "ip6", "inet", "bridge", "arp"}
	w.Shuffle(len(families), func(i, j int) { families[i], families[j] = families[j], families[i] })
	for i, f := range families[:2+w.IntN(2)] {
		w.table(f, fmt.Sprintf("t%d", i))
	}
	return w.b.String()
}

func (w *rulesetWriter) f(format string, args ...any) { fmt.Fprintf(&w.b, format, args...) }

func (w *rulesetWriter) pick(list ...string) string { return list[w.IntN(len(list))] }

func (w *rulesetWriter) maybe(text string) string {
	if w.IntN(3) == 0 {
		return text
	}
	return ""
}

func (w *rulesetWriter) table(family, name string) {
	w.family, w.sets, w.maps, w.chains, w.next = family, map[string][]string{}, map[string][]string{}, nil, 0
	w.f("table %s %s {\n", family, name)
	if w.IntN(4) == 0 {
		w.f("\tcomment \"about %s\"\n", name)
	}
	if family != "arp" && family != "bridge" {
		w.f("\tct helper h { type \"ftp\" protocol tcp; }\n")
	}
	w.f("\tcounter cnt { %s }\n", w.maybe("packets 5 bytes 77"))
	w.f("\tquota quo { %s%d %s %s }\n", w.maybe("over "), 1+w.IntN(5000), w.pick("bytes", "kbytes", "mbytes"), w.maybe("used 3 bytes"))
	w.f("\tlimit lim { rate %s%d/%s %s }\n", w.maybe("over "), 1+w.IntN(99), w.pick("second", "minute", "hour", "day", "week"), w.maybe("burst 7 packets"))
	for i := range 1 + w.IntN(5) {
		w.set(fmt.Sprintf("s%d", i))
	}
	for i := range w.IntN(4) {
		w.mapping(fmt.Sprintf("m%d", i))
	}
	for i := range 1 + w.IntN(3) {
		name := fmt.Sprintf("c%d", i)
		w.f("\tchain %s {\n%s", name, w.maybe("\t\tcomment \"regular\"\n"))
		w.rules(w.IntN(6))
		w.f("\t}\n")
		w.chains = append(w.chains, name)
	}
	for i := range 1 + w.IntN(3) {
		w.baseChain(fmt.Sprintf("b%d", i))
	}
	w.f("}\n")
}

func (w *rulesetWriter) baseChain(name string) {
	hook := w.pick("input", "forward", "output")
	prio := w.pick("0", "filter", "filter + 1", "filter - 10", "-11", "10", "raw", "mangle", "security", "security - 3", "300")
	switch w.family {
	case "arp":
		hook, prio = w.pick("input", "output"), w.pick("0", "filter", "filter + 7", "-200")
	case "bridge":
		prio = w.pick("0", "filter", "filter - 3", "-300", "5", "100")
	}
	w.f("\tchain %s {\n\t\ttype filter hook %s priority %s; %s\n", name, hook, prio, w.pick("", "policy accept;", "policy drop;"))
	w.rules(2 + w.IntN(12))
	w.f("\t}\n")
}

// setTypes are the types of the sets of a family.
func (w *rulesetWriter) setTypes() []string {
	types := []string{"inet_service", "mark", "ifname", "ether_addr", "inet_proto", "ct_state", "pkt_type", "ether_type", "iface_index",
		"icmp_type", "uid", "devgroup", "dscp"}
	switch w.family {
	case "ip6":
		return append(types, "ipv6_addr", "ipv6_addr", "ipv6_addr . inet_service", "icmpv6_type")
	case "arp":
		return append(types, "ipv4_addr", "arp_op")
	}
	return append(types, "ipv4_addr", "ipv4_addr", "ipv6_addr", "ipv4_addr . inet_service", "ifname . ipv4_addr", "ipv4_addr . inet_proto . inet_service",
		"inet_service . mark")
}

func hasIntervals(typ string) bool {
	switch typ {
	case "ipv4_addr", "ipv6_addr", "inet_service", "mark":
		return true
	}
	return false
}

func (w *rulesetWriter) set(name string) {
	typ := w.pick(w.setTypes()...)
	w.f("\tset %s {\n\t\ttype %s\n", name, typ)
	interval, timeout := hasIntervals(typ) && w.IntN(3) == 0, w.IntN(5) == 0
	var flags []string
	if interval {
		flags = append(flags, "interval")
	}
	if timeout {
		flags = append(flags, "timeout")
	}
	if !interval && w.IntN(4) == 0 {
		flags = append(flags, "dynamic")
	}
	if len(flags) == 0 && w.IntN(4) == 0 {
		flags = append(flags, "constant")
	}
	if len(flags) > 0 {
		w.f("\t\tflags %s\n", strings.Join(flags, ","))
	}
	w.f("%s%s", w.maybe("\t\tsize 4711\n"), w.maybe("\t\tcomment \"a set\"\n"))
	counter := !interval && w.IntN(5) == 0
	if counter {
		w.f("\t\tcounter\n")
	}
	if interval && w.IntN(3) == 0 {
		w.f("\t\tauto-merge\n")
	}
	if elems := w.elems(typ, interval, false); len(elems) > 0 {
		for i := range elems {
			if w.IntN(6) == 0 {
				elems[i] += fmt.Sprintf(" comment \"e%d\"", i)
			}
		}
		w.f("\t\telements = { %s }\n", strings.Join(elems, ", "))
	}
	w.f("\t}\n")
	w.sets[typ] = append(w.sets[typ], name)
}

func (w *rulesetWriter) mapping(name string) {
	typ, data := w.pick(w.setTypes()...), w.pick("mark", "verdict", "inet_service", "counter", "ipv4_addr")
	w.f("\tmap %s {\n\t\ttype %s : %s\n", name, typ, data)
	interval := hasIntervals(typ) && w.IntN(3) == 0
	if interval {
		w.f("\t\tflags interval\n")
	}
	elems := w.elems(typ, interval, false)
	for i := range elems {
		elems[i] += " : " + w.data(data)
	}
	if len(elems) > 0 {
		w.f("\t\telements = { %s }\n", strings.Join(elems, ", "))
	}
	w.f("\t}\n")
	w.maps[typ+":"+data] = append(w.maps[typ+":"+data], name)
}

func (w *rulesetWriter) data(typ string) string {
	switch typ {
	case "verdict":
		if len(w.chains) > 0 && w.IntN(3) == 0 {
			return w.pick("jump ", "goto ") + w.pick(w.chains...)
		}
		return w.pick("accept", "drop", "continue", "return")
	case "counter":
		return `"cnt"`
	}
	return w.value(typ)
}

// elems returns elements in a random order that do not overlap.
func (w *rulesetWriter) elems(typ string, interval, few bool) (out []string) {
	n := w.IntN(9)
	if few {
		n = 2 + w.IntN(4)
	}
	seen := map[string]bool{}
	for range n {
		v := w.value(typ)
		if interval {
			v = w.apart(typ)
		}
		if !seen[v] {
			out = append(out, v)
		}
		seen[v] = true
	}
	w.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// apart returns a value, range or prefix that no other call returns a part of.
func (w *rulesetWriter) apart(typ string) string {
	w.next++
	n, k := w.next, w.IntN(3)
	switch typ {
	case "ipv4_addr":
		return []string{fmt.Sprintf("10.%d.0.1", n), fmt.Sprintf("10.%d.0.0/%d", n, 16+w.IntN(15)), fmt.Sprintf("10.%d.0.3-10.%d.%d.9", n, n, w.IntN(4))}[k]
	case "ipv6_addr":
		return []string{fmt.Sprintf("2001:db8:%x::1", n), fmt.Sprintf("2001:db8:%x::/%d", n, 48+w.IntN(60)), fmt.Sprintf("2001:db8:%x::3-2001:db8:%x::5:9", n, n)}[k]
	case "inet_service":
		return []string{fmt.Sprint(n * 10), fmt.Sprintf("%d-%d", n*10, n*10+2+w.IntN(6))}[k%2]
	}
	return []string{fmt.Sprint(n * 100), fmt.Sprintf("%d-%d", n*100, n*100+1+w.IntN(90))}[k%2]
}

func (w *rulesetWriter) value(typ string) string {
	if head, tail, ok := strings.Cut(typ, " . "); ok {
		return w.value(head) + " . " + w.value(tail)
	}
	switch typ {
	case "ipv4_addr":
		return fmt.Sprintf("%d.%d.%d.%d", 1+w.IntN(223), w.IntN(256), w.IntN(3), w.IntN(256))
	case "ipv6_addr":
		return w.pick(fmt.Sprintf("2001:db8::%x", w.IntN(1<<16)), fmt.Sprintf("fe80::%x:%x", w.IntN(9), w.IntN(1<<16)), "::1", "2001:0:0:1::", "::ffff:1.2.3.4")
	case "inet_service":
		return w.pick(fmt.Sprint(w.IntN(65536)), "ssh", "http", "https", "domain")
	case "mark":
		return w.pick(fmt.Sprint(w.IntN(100)), fmt.Sprintf("0x%x", w.Uint32()))
	case "ifname":
		return w.pick(`"eth0"`, "eth1", `"wlan0"`, "lo", `"ppp10"`, "br-lan", `"eth0.5"`)
	case "ether_addr":
		return fmt.Sprintf("00:%02x:%02x:03:04:%02x", w.IntN(256), w.IntN(3), w.IntN(256))
	case "inet_proto":
		return w.pick("tcp", "udp", "icmp", "47", "sctp", "esp", fmt.Sprint(w.IntN(256)))
	case "ct_state":
		return w.pick("new", "established", "related", "invalid", "untracked")
	case "pkt_type":
		return w.pick("host", "broadcast", "multicast", "other")
	case "ether_type":
		return w.pick("0x88cc", "0x1111", "0x9999")
	case "iface_index":
		return "lo"
	case "icmp_type":
		return w.pick("echo-request", "echo-reply", "destination-unreachable", "redirect", "13", "11")
	case "icmpv6_type":
		return w.pick("echo-request", "nd-neighbor-solicit", "nd-router-advert", "packet-too-big")
	case "arp_op":
		return w.pick("request", "reply", "nak")
	case "uid":
		return w.pick("root", "1000", "65534")
	case "devgroup":
		return w.pick("default", "7", "8")
	case "dscp":
		return w.pick("cs1", "af11", "ef", "0x3", "cs0")
	}
	panic(typ)
}
