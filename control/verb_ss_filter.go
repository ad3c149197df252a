package control

import (
	"net/netip"
	"strings"
)

// An SSExpr is a condition on sockets. Op is "and", "or" and "not" for conditions
// of conditions, else what is looked at: "src", "dst", "sport", "dport", "dev",
// "autobound".
type SSExpr struct {
	Op   string    `json:"op"`
	Args []*SSExpr `json:"args,omitempty"`
	// Compare is "=", "!=", "<", ">", "<=" or ">=".
	Compare string `json:"compare,omitempty"`
	// Prefix is an address, invalid for any; Port is -1 for any.
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Port   int          `json:"port,omitempty"`
	Dev    string       `json:"dev,omitempty"`

	closed bool // stood in parentheses
}

// ephemeralLow and ephemeralHigh bound the ports that count as chosen by the
// kernel: Linux's net.ipv4.ip_local_port_range.
const ephemeralLow, ephemeralHigh = 32768, 60999

// Match reports whether a socket satisfies the condition; a nil one is always
// satisfied.
func (e *SSExpr) Match(s *Socket) bool {
	if e == nil {
		return true
	}
	switch e.Op {
	case "and":
		for _, a := range e.Args {
			if !a.Match(s) {
				return false
			}
		}
		return true
	case "or":
		for _, a := range e.Args {
			if a.Match(s) {
				return true
			}
		}
		return false
	case "not":
		return len(e.Args) == 1 && !e.Args[0].Match(s)
	case "dev":
		return (s.Dev == e.Dev) == (e.Compare != "!=")
	case "autobound":
		return s.Local.Port() >= ephemeralLow && s.Local.Port() <= ephemeralHigh
	case "src", "sport":
		return e.matchEnd(s.Local)
	case "dst", "dport":
		return e.matchEnd(s.Remote)
	}
	return false
}

func (e *SSExpr) matchEnd(a netip.AddrPort) bool {
	port := int(a.Port())
	switch e.Compare {
	case "<":
		return port < e.Port
	case ">":
		return port > e.Port
	case "<=":
		return port <= e.Port
	case ">=":
		return port >= e.Port
	}
	same := (e.Port < 0 || port == e.Port) && (!e.Prefix.IsValid() || e.Prefix.Masked().Contains(a.Addr().Unmap().WithZone("")))
	return same == (e.Compare != "!=")
}

// ssComparisons are the spellings of comparisons.
var ssComparisons = map[string]string{
	"=": "=", "==": "=", "eq": "=", "!=": "!=", "ne": "!=", "neq": "!=",
	"<": "<", "lt": "<", ">": ">", "gt": ">", "<=": "<=", "le": "<=", "leq": "<=", ">=": ">=", "ge": ">=", "geq": ">=",
}

// maxDepth bounds nested parentheses and nots of a filter.
const maxDepth = 100

// An ssFilter is a filter being parsed:
//
//	list = not { [ "and" | "&" | "or" | "|" ] not }
//	not  = ( "not" | "!" ) not | "(" list ")" | condition
//
// As in ss, and does not bind stronger than or: both go from left to right.
type ssFilter struct {
	tokens []string
	names  services
	depth  int
}

// parseSSFilter translates a filter; names has the numbers of ports.
func parseSSFilter(text string, names services) (*SSExpr, *Error) {
	p := &ssFilter{tokens: ssTokens(text), names: names}
	e, err := p.list()
	if err == nil && len(p.tokens) > 0 {
		err = p.syntax("the end or another condition")
	}
	return e, err
}

// ssTokens splits at white space and around operators.
func ssTokens(text string) (tokens []string) {
	for _, field := range strings.Fields(text) {
		for field != "" {
			n := strings.IndexAny(field, "()!&|<>=")
			switch {
			case n < 0:
				n = len(field)
			case n == 0:
				n = operatorLen(field)
			}
			tokens = append(tokens, field[:n])
			field = field[n:]
		}
	}
	return tokens
}

func operatorLen(s string) int {
	for _, two := range []string{"!=", "<=", ">=", "==", "&&", "||"} {
		if strings.HasPrefix(s, two) {
			return 2
		}
	}
	return 1
}

func (p *ssFilter) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *ssFilter) next() string {
	t := p.peek()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

// skip takes the next token if it is one of these.
func (p *ssFilter) skip(words ...string) bool {
	for _, w := range words {
		if p.peek() == w {
			p.next()
			return true
		}
	}
	return false
}

// syntax is ss's complaint, with what would have been right.
func (p *ssFilter) syntax(want string) *Error {
	at := "the end"
	if t := p.peek(); t != "" {
		at = inQuotes(t)
	}
	return Errorf(255, "ss: bison bellows (while parsing filter): \"syntax error!\" Sorry.\nAt %s: want %s", at, want)
}

// list parses conditions joined by and, or, or nothing, which means and.
func (p *ssFilter) list() (*SSExpr, *Error) {
	e, err := p.not()
	for err == nil {
		op := "and"
		switch {
		case p.skip("or", "|", "||"):
			op = "or"
		case p.skip("and", "&", "&&"):
		case p.peek() == "", p.peek() == ")":
			return e, nil
		}
		var right *SSExpr
		if right, err = p.not(); err == nil {
			e = e.join(op, right)
		}
	}
	return nil, err
}

// join returns e op right; a chain of the same op stays flat.
func (e *SSExpr) join(op string, right *SSExpr) *SSExpr {
	if e.Op == op && !e.closed {
		e.Args = append(e.Args, right)
		return e
	}
	return &SSExpr{Op: op, Args: []*SSExpr{e, right}}
}

func (p *ssFilter) not() (e *SSExpr, err *Error) {
	if p.depth++; p.depth > maxDepth {
		return nil, Errorf(255, "ss: filter nested too deep: want at most %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.skip("not", "!"):
		if e, err = p.not(); err != nil {
			return nil, err
		}
		return &SSExpr{Op: "not", Args: []*SSExpr{e}}, nil
	case p.skip("("):
		if e, err = p.list(); err != nil {
			return nil, err
		}
		if !p.skip(")") {
			return nil, p.syntax("\")\"")
		}
		e.closed = true
		return e, nil
	}
	return p.condition()
}

const ssConditions = "src, dst, sport, dport, dev, autobound, not or \"(\""

func (p *ssFilter) condition() (*SSExpr, *Error) {
	e := &SSExpr{Op: p.peek(), Port: -1}
	switch e.Op {
	case "autobound":
		p.next()
		return e, nil
	case "src", "dst", "sport", "dport", "dev":
		p.next()
	case "", ")", "&", "|", "&&", "||", "and", "or", "=", "<", ">", "<=", ">=", "!=", "==":
		return nil, p.syntax(ssConditions)
	default:
		// A word alone is taken for an address, of which ss then complains.
		if err := p.host(e, p.peek()); err != nil {
			return nil, err
		}
		return nil, p.syntax(ssConditions)
	}
	return e, p.operand(e)
}

// operand reads the comparison and what is compared with.
func (p *ssFilter) operand(e *SSExpr) *Error {
	ports := e.Op == "sport" || e.Op == "dport"
	compare, ok := ssComparisons[p.peek()]
	switch {
	case ok:
		p.next()
	case ports:
		return p.syntax("=, !=, <, >, <= or >=")
	default:
		compare = "="
	}
	e.Compare = compare
	if !ports && compare != "=" && compare != "!=" {
		return p.syntax("= or != behind " + e.Op)
	}
	word := p.peek()
	if word == "" || strings.ContainsAny(word, "()!&|<>=") {
		return p.syntax("a value")
	}
	p.next()
	if e.Op == "dev" {
		e.Dev = word
		return nil
	}
	if err := p.host(e, word); err != nil {
		return err
	}
	if ports && e.Port < 0 && compare != "=" && compare != "!=" {
		return p.syntax("a port")
	}
	return nil
}

// host reads [FAMILY:]ADDRESS[/LENGTH][:PORT]. Behind sport and dport a word
// without a colon is a port.
func (p *ssFilter) host(e *SSExpr, word string) *Error {
	text := strings.TrimPrefix(strings.TrimPrefix(word, "inet:"), "inet6:")
	addr, port, hasPort := splitHost(text)
	if (e.Op == "sport" || e.Op == "dport") && !hasPort {
		addr, port, hasPort = "", text, true
	}
	if addr != "" && addr != "*" {
		pfx, ok := parsePrefix(addr, "")
		if !ok || addr == "default" || addr == "any" || addr == "all" {
			return Errorf(1, "Error: an inet prefix is expected rather than %s.\nCannot parse dst/src address.", inQuotes(addr))
		}
		e.Prefix = pfx
	}
	if hasPort && port != "" && port != "*" {
		n, ok := p.names.number(port)
		if !ok {
			return Errorf(1, "Error: %s does not look like a port.\nCannot parse dst/src address.", inQuotes(port))
		}
		e.Port = n
	}
	return nil
}

// splitHost cuts a port off. An IPv6 address with a port stands in brackets.
func splitHost(text string) (addr, port string, hasPort bool) {
	if strings.HasPrefix(text, "[") {
		addr, rest, ok := strings.Cut(text[1:], "]")
		if !ok {
			return text, "", false
		}
		length, port, hasPort := strings.Cut(rest, ":")
		return addr + length, port, hasPort
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 && strings.Count(text, ":") == 1 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}
