package lang

import (
	"encoding/json"
	"strings"
)

// expr puts an expression into words.
func (r *reader) expr(v any) string {
	r.enter()
	defer r.leave()
	switch x := v.(type) {
	case string:
		switch {
		case x == "*":
			return x
		case strings.HasPrefix(x, "@"):
			return "@" + r.name(x[1:])
		case x != "" && numberLen(x) == len(x):
			return x
		}
		return r.quote(x)
	case json.Number:
		return r.digits(x)
	case bool:
		if x {
			return "exists"
		}
		return "missing"
	case []any:
		return r.joined(x, ",")
	case map[string]any:
		kind, arg := r.one(x, "expression")
		return r.exprOf(kind, arg)
	}
	r.fail("Invalid expression type.")
	return ""
}

func (r *reader) joined(vs []any, sep string) string {
	if len(vs) == 0 {
		r.fail("Empty list in expression.")
	}
	out := make([]string, len(vs))
	for i, x := range vs {
		out[i] = r.expr(x)
	}
	return strings.Join(out, sep)
}

// pair returns the two operands of an expression.
func (r *reader) pair(v any) (a, b any) {
	l, ok := v.([]any)
	if !ok || len(l) != 2 {
		r.fail("Expected array of two expressions")
	}
	return l[0], l[1]
}

func (r *reader) exprOf(kind string, arg any) string {
	switch kind {
	case "&", "|", "^", "<<", ">>":
		a, b := r.pair(arg)
		return "(" + r.operand(a) + " " + kind + " " + r.operand(b) + ")"
	case "range":
		a, b := r.pair(arg)
		return r.expr(a) + "-" + r.expr(b)
	case "concat":
		l, _ := arg.([]any)
		return r.joined(l, " . ")
	case "set":
		return r.braces(arg)
	}
	m, isObject := arg.(map[string]any)
	if v := r.verdict(kind, arg); v != "" {
		return v
	}
	if !isObject {
		r.fail("Unknown expression type '%s'.", kind)
	}
	switch kind {
	case "prefix":
		return r.expr(m["addr"]) + "/" + r.number(m, "len", "")
	case "map":
		return r.expr(m["key"]) + " map " + r.expr(m["data"])
	case "elem":
		return r.elem(m)
	}
	return r.key(kind, m)
}

// operand puts one side of a bit operation into words: a list is its bits.
func (r *reader) operand(v any) string {
	if l, ok := v.([]any); ok {
		return "(" + r.joined(l, "|") + ")"
	}
	return r.expr(v)
}

// key puts what is computed per packet into words.
func (r *reader) key(kind string, m map[string]any) string {
	switch kind {
	case "payload":
		if _, ok := m["base"]; ok {
			return "@" + r.word(m, "base") + "," + r.number(m, "offset", "") + "," + r.number(m, "len", "")
		}
		return r.word(m, "protocol") + " " + r.word(m, "field")
	case "meta":
		return "meta " + r.word(m, "key")
	case "ct":
		return "ct " + r.optional(m, "dir") + r.optional(m, "family") + r.word(m, "key")
	case "rt":
		return "rt " + r.optional(m, "family") + r.word(m, "key")
	case "socket":
		return "socket " + r.word(m, "key")
	case "fib":
		return "fib " + r.typeWords(m["flags"]) + " " + r.word(m, "result")
	case "tcp option", "ip option", "sctp chunk", "exthdr":
		return r.exthdr(kind, m)
	case "numgen":
		return "numgen " + r.word(m, "mode") + " mod " + r.number(m, "mod", "") + " offset " + r.number(m, "offset", "0")
	case "jhash", "symhash":
		s := kind
		if kind == "jhash" {
			s += " " + r.expr(m["expr"])
		}
		s += " mod " + r.number(m, "mod", "")
		if _, ok := m["seed"]; ok {
			s += " seed " + r.number(m, "seed", "")
		}
		return s + " offset " + r.number(m, "offset", "0")
	}
	r.fail("Unknown expression type '%s'.", kind)
	return ""
}

// optional returns a word and a blank, or nothing.
func (r *reader) optional(m map[string]any, key string) string {
	if _, ok := m[key]; !ok {
		return ""
	}
	return r.word(m, key) + " "
}

func (r *reader) exthdr(kind string, m map[string]any) string {
	if _, ok := m["base"]; ok {
		return kind + " @" + r.number(m, "base", "") + "," + r.number(m, "offset", "") + "," + r.number(m, "len", "")
	}
	s := r.word(m, "name")
	_, field := m["field"]
	if kind != "exthdr" || !field {
		s = kind + " " + s
	}
	if field {
		s += " " + r.word(m, "field")
	}
	return s
}

// verdict returns a verdict in words, or nothing.
func (r *reader) verdict(kind string, arg any) string {
	switch kind {
	case "accept", "drop", "continue", "return":
		return kind
	case "jump", "goto":
		return kind + " " + r.word(r.object(arg), "target")
	}
	return ""
}

// braces puts the elements of a set or map into words.
func (r *reader) braces(v any) string {
	if s, ok := v.(string); ok && strings.HasPrefix(s, "@") {
		return r.expr(s)
	}
	var out []string
	for _, e := range list(v) {
		if p, ok := e.([]any); ok {
			k, d := r.pair(p)
			out = append(out, r.member(k)+" : "+r.member(d))
			continue
		}
		out = append(out, r.member(e))
	}
	return "{ " + strings.Join(out, ", ") + " }"
}

// member puts a key or datum into words, in which a bit expression has no parentheses.
func (r *reader) member(v any) string {
	s := r.expr(v)
	if m, ok := v.(map[string]any); ok && m["|"] != nil {
		return strings.NewReplacer("(", "", ")", "").Replace(s)
	}
	return s
}

// elem puts an element with its options into words.
func (r *reader) elem(m map[string]any) string {
	s := r.expr(m["val"])
	for _, k := range []string{"timeout", "expires"} {
		if _, ok := m[k]; ok {
			s += " " + k + " " + r.number(m, k, "") + "s"
		}
	}
	if c, ok := m["comment"].(string); ok {
		s += " comment " + r.quote(c)
	}
	for _, k := range []string{"counter", "limit", "quota", "ct count"} {
		if x, ok := m[k]; ok {
			s += " " + r.stmt(map[string]any{k: x})
		}
	}
	return s
}
