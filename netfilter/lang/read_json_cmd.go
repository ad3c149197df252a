package lang

import (
	"bytes"
	"fmt"
	"strings"
)

// command puts one element of the array nftables into words.
func (r *reader) command(b *bytes.Buffer, v any, i int) {
	r.enter()
	defer r.leave()
	verb, x := r.one(v, "command")
	switch verb {
	case "metainfo":
		return
	case "add", "create", "insert", "replace", "delete", "destroy", "list", "reset", "flush", "rename":
		kind, spec := r.one(x, "command")
		r.verb(b, verb, kind, spec, false)
	default:
		r.verb(b, "add", verb, x, true)
	}
	b.WriteByte('\n')
}

// at returns `family table` and the property name, or what follows for one by handle.
func (r *reader) at(m map[string]any, name string) string {
	s := r.family(m) + r.word(m, "table")
	if name == "" {
		return s
	}
	if _, ok := m[name]; ok {
		return s + " " + r.word(m, name)
	}
	return s + " handle " + r.number(m, "handle", "")
}

func (r *reader) family(m map[string]any) string {
	if _, ok := m["family"]; !ok {
		return ""
	}
	return r.word(m, "family") + " "
}

// verb puts a command into words. implicit: the object stands without a verb.
func (r *reader) verb(b *bytes.Buffer, verb, kind string, v any, implicit bool) {
	m := r.object(v)
	adding := verb == "add" || verb == "create"
	head := verb + " " + kind + " "
	switch kind {
	case "ruleset":
		fmt.Fprintf(b, "%s ruleset %s", verb, r.family(m))
	case "table":
		b.WriteString(head + r.table(m))
	case "tables", "chains", "sets", "maps", "counters", "quotas", "limits", "flowtables", "ct helpers", "meters", "rules":
		b.WriteString(head + r.family(m))
	case "chain":
		b.WriteString(head + r.at(m, "name"))
		switch {
		case verb == "rename":
			b.WriteString(" " + r.word(m, "newname"))
		case adding:
			b.WriteString(r.chain(m))
		}
	case "rule":
		r.ruleWords(b, verb, m, implicit)
	case "set", "map":
		b.WriteString(head + r.at(m, "name"))
		if adding {
			b.WriteString(r.set(m, kind))
		}
	case "element":
		b.WriteString(head + r.at(m, "name") + " " + r.braces(m["elem"]))
	case "flowtable":
		b.WriteString(head + r.at(m, "name"))
		if adding {
			fmt.Fprintf(b, " { hook ingress priority %s; devices = { %s }; }", r.number(m, "prio", "0"), r.devices(m["dev"]))
		}
	case "counter", "quota", "limit", "ct helper", "ct timeout", "ct expectation":
		b.WriteString(head + r.at(m, "name"))
		if adding {
			b.WriteString(r.objectBlock(kind, m))
		}
	default:
		r.fail("Unknown object passed to %s command.", verb)
	}
}

func (r *reader) table(m map[string]any) string {
	if _, ok := m["name"]; !ok {
		return r.family(m) + "handle " + r.number(m, "handle", "")
	}
	return r.family(m) + r.word(m, "name")
}

func (r *reader) chain(m map[string]any) string {
	s := ""
	if _, ok := m["hook"]; ok {
		s = fmt.Sprintf("type %s hook %s ", r.word(m, "type"), r.word(m, "hook"))
		if dev, ok := m["dev"]; ok {
			s += "devices = { " + r.devices(dev) + " } "
		}
		s += "priority " + r.number(m, "prio", "0") + ";"
		if _, ok := m["policy"]; ok {
			s += " policy " + r.word(m, "policy") + ";"
		}
	}
	if c, ok := m["comment"].(string); ok {
		s += " comment " + r.quote(c) + ";"
	}
	if s == "" {
		return ""
	}
	return " { " + s + " }"
}

func (r *reader) devices(v any) string {
	var out []string
	for _, d := range list(v) {
		s, ok := d.(string)
		if !ok {
			r.fail("Expected string")
		}
		out = append(out, r.quote(s))
	}
	return strings.Join(out, ", ")
}

// ruleWords puts a rule into words. The handle of a rule without a verb is its own,
// of a listing, and says nothing about where to put it.
func (r *reader) ruleWords(b *bytes.Buffer, verb string, m map[string]any, implicit bool) {
	fmt.Fprintf(b, "%s rule %s%s %s", verb, r.family(m), r.word(m, "table"), r.word(m, "chain"))
	_, has := m["handle"]
	_, index := m["index"]
	switch {
	case has && !implicit:
		b.WriteString(" handle " + r.number(m, "handle", ""))
	case index:
		b.WriteString(" index " + r.number(m, "index", ""))
	}
	if verb == "delete" || verb == "destroy" {
		return
	}
	stmts, ok := m["expr"].([]any)
	if !ok {
		r.fail("Object item not found: expr")
	}
	for _, s := range stmts {
		b.WriteString(" " + r.stmt(s))
	}
	if c, ok := m["comment"].(string); ok {
		b.WriteString(" comment " + r.quote(c))
	}
}

// typeWords returns a type, whose parts may be an array.
func (r *reader) typeWords(v any) string {
	var parts []string
	for _, x := range list(v) {
		s, ok := x.(string)
		if !ok {
			r.fail("Invalid set type.")
		}
		parts = append(parts, r.name(s))
	}
	return strings.Join(parts, " . ")
}

func (r *reader) set(m map[string]any, kind string) string {
	s := " { type " + r.typeWords(m["type"])
	if kind == "map" {
		s += " : " + r.typeWords(m["map"])
	}
	s += ";"
	if flags := list(m["flags"]); len(flags) > 0 {
		s += " flags " + strings.ReplaceAll(r.typeWords(flags), " . ", ",") + ";"
	}
	for _, k := range []string{"timeout", "gc-interval"} {
		if _, ok := m[k]; ok {
			s += " " + k + " " + r.number(m, k, "") + "s;"
		}
	}
	if _, ok := m["size"]; ok {
		s += " size " + r.number(m, "size", "") + ";"
	}
	if _, ok := m["policy"]; ok {
		s += " policy " + r.word(m, "policy") + ";"
	}
	if m["auto-merge"] == true {
		s += " auto-merge;"
	}
	if c, ok := m["comment"].(string); ok {
		s += " comment " + r.quote(c) + ";"
	}
	for _, st := range list(m["stmt"]) {
		s += " " + r.stmt(st) + ";"
	}
	if elems := list(m["elem"]); len(elems) > 0 {
		s += " elements = " + r.braces(m["elem"]) + ";"
	}
	return s + " }"
}

// objectBlock returns the block of a named object.
func (r *reader) objectBlock(kind string, m map[string]any) string {
	s := ""
	switch kind {
	case "counter":
		if _, ok := m["packets"]; ok {
			s = "packets " + r.number(m, "packets", "0") + " bytes " + r.number(m, "bytes", "0") + ";"
		}
	case "quota":
		over := ""
		if m["inv"] == true {
			over = "over "
		}
		s = over + r.number(m, "bytes", "0") + " bytes used " + r.number(m, "used", "0") + " bytes;"
	case "limit":
		s = strings.TrimPrefix(r.limit(m), "limit ") + ";"
	case "ct helper":
		s = "type " + r.quote(r.word(m, "type")) + " protocol " + r.word(m, "protocol") + ";"
	case "ct timeout":
		var states []string
		policy := r.object(m["policy"])
		for _, state := range timeoutStates() {
			if _, ok := policy[state]; ok {
				states = append(states, state+" : "+r.number(policy, state, ""))
			}
		}
		s = "protocol " + r.word(m, "protocol") + "; policy = { " + strings.Join(states, ", ") + " };"
	case "ct expectation":
		s = fmt.Sprintf("protocol %s; dport %s; timeout %sms; size %s;", r.word(m, "protocol"), r.number(m, "dport", ""),
			r.number(m, "timeout", ""), r.number(m, "size", ""))
	}
	if _, ok := m["l3proto"]; ok {
		s += " l3proto " + r.word(m, "l3proto") + ";"
	}
	if c, ok := m["comment"].(string); ok {
		s += " comment " + r.quote(c) + ";"
	}
	return " { " + s + " }"
}
