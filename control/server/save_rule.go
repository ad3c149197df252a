package server

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

// policy makes the rules of an IP version out of those of the beginning: by adding the
// others where that is enough, else all of them anew.
func (s *saver) policy(v network.Version) {
	v6 := v == network.V6
	var rules []route.Rule
	for _, r := range s.Kernel.Network.Rules(v6).All() {
		rules = append(rules, r.Rule)
	}
	first := route.DefaultRules(v6)
	if s.hasVRF() { // the first one brings it
		first = sortRules(append(first, route.VRFRule()))
	}
	var others []route.Rule
	for _, r := range rules {
		if !slices.Contains(first, r) {
			others = append(others, r)
		}
	}
	if after := slices.Concat(first, others); !slices.Equal(sortRules(after), rules) {
		for _, r := range first {
			s.ruleLine(v, "del", "pref", number(r.Priority))
		}
		others = rules
	}
	for i := range others {
		s.ruleLine(v, append([]string{"add"}, ruleWords(&others[i])...)...)
	}
}

func sortRules(rules []route.Rule) []route.Rule {
	slices.SortStableFunc(rules, func(a, b route.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return rules
}

func (s *saver) ruleLine(v network.Version, words ...string) {
	command := []string{"ip", "rule"}
	if v == network.V6 {
		command = []string{"ip", "-6", "rule"}
	}
	s.line(append(command, words...)...)
}

// ruleWords is what a command says of a rule.
func ruleWords(r *route.Rule) (words []string) {
	add := func(is bool, w ...string) {
		if is {
			words = append(words, w...)
		}
	}
	span := func(x route.Span) string { return fmt.Sprintf("%d-%d", x.First, x.Last) }
	add(r.Not, "not")
	add(r.Src.Bits() > 0, "from", r.Src.String())
	add(r.Dst.Bits() > 0, "to", r.Dst.String())
	add(r.TOS != 0, "tos", fmt.Sprintf("%#x", r.TOS))
	add(r.Mask != 0 || r.Mark != 0, "fwmark", fmt.Sprintf("%#x/%#x", r.Mark, r.Mask))
	add(r.In != "", "iif", r.In)
	add(r.Out != "", "oif", r.Out)
	add(r.L3MDev, "l3mdev")
	add(r.UIDs.Set, "uidrange", span(r.UIDs))
	add(r.Proto != 0, "ipproto", strconv.Itoa(int(r.Proto)))
	add(r.SrcPorts.Set, "sport", span(r.SrcPorts))
	add(r.DstPorts.Set, "dport", span(r.DstPorts))
	words = append(words, "priority", number(r.Priority))
	add(r.Table != 0, "table", number(r.Table))
	add(r.SuppressPrefix.Set, "suppress_prefixlength", number(r.SuppressPrefix.N))
	add(r.SuppressGroup.Set, "suppress_ifgroup", number(r.SuppressGroup.N))
	add(r.Realms != 0, "realms", fmt.Sprintf("%d/%d", r.Realms>>16, r.Realms&0xffff))
	add(r.Origin != 0, "protocol", strconv.Itoa(int(r.Origin)))
	switch r.Action {
	case route.ToTable:
	case route.Goto:
		words = append(words, "goto", number(r.Target))
	default:
		words = append(words, r.Action.String())
	}
	return words
}
