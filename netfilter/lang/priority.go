package lang

import (
	"strconv"
	"strings"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/netfilter/rule"
)

// A prio is a priority as it is written: a name, a number, or a name with a number
// added.
type prio struct {
	at    Span
	name  string
	value int64
}

type prioName struct {
	name  string
	value int
}

// inetPriorities are those of ip, ip6, inet, arp and netdev, bridgePriorities those of
// bridge.
var (
	inetPriorities = [...]prioName{{"raw", -300}, {"mangle", -150}, {"dstnat", -100}, {"filter", 0}, {"security", 50}, {"srcnat", 100}}

	bridgePriorities = [...]prioName{{"dstnat", -300}, {"filter", -200}, {"out", 100}, {"srcnat", 300}}
)

func isPriorityName(s string) bool {
	for _, n := range inetPriorities {
		if n.name == s {
			return true
		}
	}
	return s == "out"
}

// priority reads `priority` and what follows it.
func (p *parser) priority() prio {
	if !p.is("priority") {
		p.unexpected("priority")
	}
	start := p.next().start
	r := p.priorityValue()
	r.at = p.since(start)
	return r
}

func (p *parser) priorityValue() (r prio) {
	if p.is("$") {
		return priorityOf(p.variable().text)
	}
	sign := int64(1)
	if p.accept("-") {
		sign = -1
	}
	if p.tok.kind == tNumber {
		r.value = sign * p.priorityNumber()
		return r
	}
	r.name = p.word("string", "number").text
	switch {
	case p.accept("+"):
		r.value = p.priorityNumber()
	case p.accept("-"):
		r.value = -p.priorityNumber()
	}
	return r
}

// noPriority is a name that no priority has.
const noPriority = "no priority"

// priorityOf returns the priority that a variable holds: a number, a name, or `name + number`
// with blanks between.
func priorityOf(text string) prio {
	if v, err := strconv.ParseInt(text, 0, 64); err == nil {
		return prio{value: v}
	}
	words := strings.Fields(text)
	if len(words) == 1 {
		return prio{name: text}
	}
	if len(words) != 3 || words[1] != "+" && words[1] != "-" {
		return prio{name: noPriority}
	}
	v, err := strconv.ParseUint(words[2], 0, 32)
	if err != nil {
		return prio{name: noPriority}
	}
	r := prio{name: words[0], value: int64(v)}
	if words[1] == "-" {
		r.value = -r.value
	}
	return r
}

// priorityNumber reads a number, of which all that are too large for a priority are alike.
func (p *parser) priorityNumber() int64 { return int64(min(p.number(), 1<<40)) }

// priorityText reads a priority as the value of a define.
func (p *parser) priorityText() *node {
	start := p.tok.start
	word := p.tok.text
	if p.accept("-") {
		p.number()
	} else {
		p.next()
	}
	at := p.since(start)
	text := p.file.Text[start:p.last.end]
	if p.last.start == start {
		text = word
	}
	return &node{kind: nSymbol, text: text, at: at, number: digit(text[len(text)-1]) && text[0] == '-'}
}

// resolve returns the number of a priority, which the family and hook decide.
func (r prio) resolve(f rule.Family, h rule.Hook) (int64, bool) {
	if r.name == "" {
		return r.value, true
	}
	names := inetPriorities[:]
	if f == rule.Bridge {
		names = bridgePriorities[:]
	}
	for _, n := range names {
		if n.name != r.name {
			continue
		}
		if !priorityAllowed(n.name, f, h) {
			return 0, false
		}
		return int64(n.value) + r.value, true
	}
	return 0, false
}

// priorityAllowed reports whether the name means anything at the hook.
func priorityAllowed(name string, f rule.Family, h rule.Hook) bool {
	switch f {
	case rule.ARP, rule.Netdev:
		return name == "filter"
	case rule.Bridge:
		switch name {
		case "dstnat":
			return h == rule.Prerouting
		case "srcnat":
			return h == rule.Postrouting
		case "out":
			return h == rule.Output
		}
		return true
	}
	switch {
	case h == rule.Ingress || h == rule.Egress:
		return name == "filter"
	case name == "dstnat":
		return h == rule.Prerouting
	case name == "srcnat":
		return h == rule.Postrouting
	}
	return true
}

// priorityString returns a priority as nft lists it.
func priorityString(v hook.Priority, f rule.Family, h rule.Hook, numeric bool) string {
	if numeric {
		return strconv.Itoa(int(v))
	}
	names := inetPriorities[:]
	if f == rule.Bridge {
		names = bridgePriorities[:]
	}
	for _, n := range names {
		if !priorityAllowed(n.name, f, h) {
			continue
		}
		switch d := int(v) - n.value; {
		case d == 0:
			return n.name
		case d > 0 && d <= 10:
			return n.name + " + " + strconv.Itoa(d)
		case d < 0 && d >= -10:
			return n.name + " - " + strconv.Itoa(-d)
		}
	}
	return strconv.Itoa(int(v))
}
