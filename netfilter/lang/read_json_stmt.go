package lang

import "strings"

// stmt puts a statement into words.
func (r *reader) stmt(v any) string {
	r.enter()
	defer r.leave()
	kind, arg := r.one(v, "statement")
	if s := r.verdict(kind, arg); s != "" {
		return s
	}
	if name, ok := arg.(string); ok {
		switch kind {
		case "counter", "quota", "limit":
			return kind + " name " + r.quote(name)
		case "ct helper", "ct timeout", "ct expectation":
			return kind + " set " + r.quote(name)
		}
	}
	m, _ := arg.(map[string]any)
	switch kind {
	case "counter", "quota", "limit", "ct helper", "ct timeout", "ct expectation":
		if m["map"] != nil {
			return r.mapped(kind, m)
		}
	}
	return r.stmtOf(kind, m)
}

// mapped puts the use of an object that a map leads to into words.
func (r *reader) mapped(kind string, m map[string]any) string {
	if strings.HasPrefix(kind, "ct ") {
		return kind + " set " + r.expr(m)
	}
	return kind + " name " + r.expr(m)
}

func (r *reader) stmtOf(kind string, m map[string]any) string {
	switch kind {
	case "match":
		return r.match(m)
	case "vmap":
		return r.expr(m["key"]) + " vmap " + r.expr(m["data"])
	case "mangle":
		return r.expr(m["key"]) + " set " + r.expr(m["value"])
	case "counter":
		return "counter packets " + r.number(m, "packets", "0") + " bytes " + r.number(m, "bytes", "0")
	case "quota":
		s := "quota " + over(m) + r.number(m, "val", "") + " " + r.unit(m, "val_unit", "bytes")
		if _, ok := m["used"]; ok {
			s += " used " + r.number(m, "used", "") + " " + r.unit(m, "used_unit", "bytes")
		}
		return s
	case "limit":
		return r.limit(m)
	case "ct count":
		return "ct count " + over(m) + r.number(m, "val", "")
	case "log":
		return r.log(m)
	case "reject":
		return r.reject(m)
	case "snat", "dnat", "masquerade", "redirect":
		return r.nat(kind, m)
	case "reset":
		return "reset " + r.presence(m, r.expr(m))
	case "notrack":
		return kind
	case "dup":
		s := "dup to " + r.expr(m["addr"])
		if d, ok := m["dev"]; ok {
			s += " device " + r.expr(d)
		}
		return s
	case "fwd":
		if a, ok := m["addr"]; ok {
			return "fwd " + r.word(m, "family") + " to " + r.expr(a) + " device " + r.expr(m["dev"])
		}
		return "fwd to " + r.expr(m["dev"])
	case "set":
		return r.word(m, "op") + " " + r.expr(m["set"]) + " { " + r.expr(m["elem"]) + r.stmts(m["stmt"]) + " }"
	case "meter":
		return "meter " + r.word(m, "name") + " size " + r.number(m, "size", "65535") + " { " + r.expr(m["key"]) + r.stmts(m["stmt"]) + " }"
	case "flow":
		return "flow add " + r.expr(m["flowtable"])
	}
	r.fail("Unknown statement object '%s'.", kind)
	return ""
}

func (r *reader) stmts(v any) (s string) {
	for _, x := range list(v) {
		s += " " + r.stmt(x)
	}
	return s
}

func over(m map[string]any) string {
	if m["inv"] == true {
		return "over "
	}
	return ""
}

func (r *reader) unit(m map[string]any, key, def string) string {
	if _, ok := m[key]; !ok {
		return def
	}
	return r.word(m, key)
}

// match puts a relation into words; `in` is the one that has no sign.
func (r *reader) match(m map[string]any) string {
	op, _ := m["op"].(string)
	switch op {
	case "in":
		op = ""
	case "==", "!=", "<", ">", "<=", ">=", "!":
	default:
		r.fail("Unknown relational op '%s'.", op)
	}
	left := r.expr(m["left"])
	right := m["right"]
	if _, ok := right.(bool); ok {
		left = r.presence(m["left"], left)
	}
	if bits, ok := right.([]any); ok && op != "" {
		return left + " " + op + " (" + r.joined(bits, "|") + ")"
	}
	return left + " " + op + " " + r.expr(right)
}

// presence is an option that is only asked for, by its number.
func (r *reader) presence(v any, words string) string {
	m, _ := v.(map[string]any)
	if o, ok := m["tcp option"].(map[string]any); ok && o["base"] != nil {
		return "tcp option " + r.number(o, "base", "")
	}
	return words
}

// limit puts a limit into words, of a statement or of an object.
func (r *reader) limit(m map[string]any) string {
	s := "limit rate " + over(m) + r.number(m, "rate", "")
	unit := r.unit(m, "rate_unit", "packets")
	if unit != "packets" {
		s += " " + unit
	}
	s += "/" + r.word(m, "per")
	if b := r.number(m, "burst", "0"); b != "0" {
		s += " burst " + b + " " + r.unit(m, "burst_unit", map[bool]string{true: "packets", false: "bytes"}[unit == "packets"])
	}
	return s
}

func (r *reader) log(m map[string]any) string {
	s := "log"
	if p, ok := m["prefix"].(string); ok {
		s += " prefix " + r.quote(p)
	}
	for _, k := range []string{"group", "snaplen", "queue-threshold"} {
		if _, ok := m[k]; ok {
			s += " " + k + " " + r.number(m, k, "")
		}
	}
	if _, ok := m["level"]; ok {
		s += " level " + r.word(m, "level")
	}
	for _, f := range list(m["flags"]) {
		w, ok := f.(string)
		if !ok {
			r.fail("Invalid log flag.")
		}
		s += " flags " + r.name(w)
	}
	return s
}

func (r *reader) reject(m map[string]any) string {
	if _, ok := m["type"]; !ok {
		return "reject"
	}
	kind := r.word(m, "type")
	if kind == "tcp reset" {
		return "reject with tcp reset"
	}
	if code, ok := m["expr"]; ok {
		return "reject with " + kind + " " + r.expr(code)
	}
	return "reject with " + kind + " port-unreachable"
}

func (r *reader) nat(kind string, m map[string]any) string {
	s := kind
	addr, hasAddr := m["addr"]
	port, hasPort := m["port"]
	target := kind == "snat" || kind == "dnat"
	if target {
		s += " " + r.optional(m, "family")
		for _, f := range list(m["type_flags"]) {
			if f == "prefix" {
				s += "prefix "
			}
		}
	}
	if hasAddr || hasPort {
		s += " to "
	}
	if hasAddr {
		a := r.expr(addr)
		if t, ok := addr.(string); ok && hasPort && strings.Contains(t, ":") {
			a = "[" + a + "]"
		}
		s += a
	}
	if hasPort {
		s += ":" + r.expr(port)
	}
	var flags []string
	for _, f := range list(m["flags"]) {
		if w, ok := f.(string); ok && w != "netmap" {
			flags = append(flags, r.name(w))
		}
	}
	s += " " + strings.Join(flags, ",")
	for _, w := range []string{"mapping", "filtering"} {
		if v := r.optional(m, w); v != "" {
			s += " " + w + " " + v
		}
	}
	return s
}
