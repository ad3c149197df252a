package gvisor

import (
	"encoding/binary"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/knitnet/knit/bench/system"
)

// dropRule is a rule of the benchmarks' rulesets that iptables can say, too.
var dropRule = regexp.MustCompile(`(?m)^\t\tip saddr (\S+) udp dport (\d+) drop\n`)

// What is left of the rulesets that can be said in gVisor's iptables, without blanks.
const (
	dropChain  = "table inet bench { chain forward { type filter hook forward priority 0; policy accept; } }"
	masquerade = `table ip nat { chain post { type nat hook postrouting priority 100; oifname "out" masquerade; } }`
)

// load says an nft ruleset in gVisor's iptables, whose first table of one's own switches
// its connection tracking on.
func load(st *stack.Stack, text string) error {
	rest := strings.Join(strings.Fields(dropRule.ReplaceAllString(text, "")), " ")
	switch rest {
	case "":
	case dropChain:
		return loadDrops(st, dropRule.FindAllStringSubmatch(text, -1))
	case masquerade:
		t := st.IPTables().GetTable(stack.NATID, false)
		t.Rules = append([]stack.Rule(nil), t.Rules...)
		t.Rules[t.BuiltinChains[stack.Postrouting]].Target = &stack.MasqueradeTarget{NetworkProtocol: ipv4.ProtocolNumber}
		st.IPTables().ReplaceTable(stack.NATID, t, false)
	default:
		return system.Unsupportedf("gVisor's iptables has no states, flowtables or maps")
	}
	return nil
}

// loadDrops makes the rules the chain forward of the filter table.
func loadDrops(st *stack.Stack, drops [][]string) error {
	accept := func() stack.Rule {
		return stack.Rule{Filter: stack.EmptyFilter4(), Target: &stack.AcceptTarget{NetworkProtocol: ipv4.ProtocolNumber}}
	}
	t := stack.Table{Rules: []stack.Rule{accept(), accept()}}
	for _, d := range drops {
		src, err := netip.ParsePrefix(d[1])
		if err != nil {
			return err
		}
		port, err := strconv.ParseUint(d[2], 10, 16)
		if err != nil {
			return err
		}
		f := stack.EmptyFilter4()
		f.Protocol, f.CheckProtocol = udp.ProtocolNumber, true
		f.Src = tcpip.AddrFrom4(src.Addr().As4())
		f.SrcMask = tcpip.AddrFromSlice(mask(src.Bits()))
		t.Rules = append(t.Rules, stack.Rule{
			Filter: f, Matchers: []stack.Matcher{dport(port)}, Target: &stack.DropTarget{NetworkProtocol: ipv4.ProtocolNumber},
		})
	}
	t.Rules = append(t.Rules, accept(), stack.Rule{Filter: stack.EmptyFilter4(), Target: &stack.ErrorTarget{NetworkProtocol: ipv4.ProtocolNumber}})
	unset, end := stack.HookUnset, len(t.Rules)-2
	t.BuiltinChains = [stack.NumHooks]int{stack.Prerouting: unset, stack.Input: 0, stack.Forward: 2, stack.Output: 1, stack.Postrouting: unset}
	t.Underflows = [stack.NumHooks]int{stack.Prerouting: unset, stack.Input: 0, stack.Forward: end, stack.Output: 1, stack.Postrouting: unset}
	st.IPTables().ReplaceTable(stack.FilterID, t, false)
	return nil
}

func mask(bits int) []byte {
	return binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-bits))
}

// A dport matches the destination port of datagrams, as the extension udp does it.
type dport uint16

// Match implements stack.Matcher.
func (p dport) Match(_ stack.Hook, pkt *stack.PacketBuffer, _, _ string) (matches, hotdrop bool) {
	h := header.UDP(pkt.TransportHeader().Slice())
	return len(h) >= header.UDPMinimumSize && h.DestinationPort() == uint16(p), false
}
