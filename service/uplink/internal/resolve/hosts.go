package resolve

import (
	"net/netip"
	"strings"
)

// table is what hosts(5) says.
type table struct {
	addrs map[string][]netip.Addr // by lower-case name
	names map[netip.Addr]string   // the first one
}

// parseHosts reads hosts(5). Names of the host's own loopback are left out: inside
// they would lead to the loopback of whoever asks.
func parseHosts(text string) table {
	t := table{map[string][]netip.Addr{}, map[netip.Addr]string{}}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		a, err := netip.ParseAddr(words[0])
		if err != nil || a.Zone() != "" || a.IsLoopback() {
			continue
		}
		for _, name := range words[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			t.addrs[name] = append(t.addrs[name], a)
			if t.names[a] == "" {
				t.names[a] = name
			}
		}
	}
	return t
}

// answer replies from the table, if it knows the name.
func (t table) answer(query []byte, q question) (*reply, bool) {
	if q.typ == typePTR {
		a, ok := parseReverse(q.name)
		if name := t.names[a]; ok && name != "" {
			r := newReply(query, q, rcodeOK)
			r.addName(typePTR, name)
			return r, true
		}
		return nil, false
	}
	addrs := t.addrs[q.name]
	if isLocalhost(q.name) {
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	if len(addrs) == 0 || q.typ != typeA && q.typ != typeAAAA {
		return nil, false
	}
	r := newReply(query, q, rcodeOK)
	for _, a := range addrs {
		if a.Is4() == (q.typ == typeA) {
			r.addAddr(a)
		}
	}
	return r, true
}

// isLocalhost reports whether a name means whoever asks: servers "SHOULD, for all
// such address queries, generate an immediate positive response giving the IP
// loopback address" (RFC 6761 §6.3).
func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
