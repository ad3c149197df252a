package lang

import "github.com/knitnet/knit/netfilter/rule"

// A source is one call of Parse: all files of it.
type source struct {
	opts   Options
	errs   Errors
	bytes  int
	weight int // of the variables that were used
	files  int
	parsed []*command
	vars   *vars
	// nodes and stmts are room for what is read next: a ruleset has tens of thousands.
	nodes []node
	stmts []stmt
	// fields are the expressions of header fields, which all rules can share.
	fields map[*rule.Field]*rule.Payload
}

const room = 128

// node keeps a node.
func (s *source) node(n node) *node {
	if len(s.nodes) == cap(s.nodes) {
		s.nodes = make([]node, 0, room)
	}
	s.nodes = append(s.nodes, n)
	return &s.nodes[len(s.nodes)-1]
}

// stmt keeps a statement.
func (s *source) stmt(st stmt) *stmt {
	if len(s.stmts) == cap(s.stmts) {
		s.stmts = make([]stmt, 0, room)
	}
	s.stmts = append(s.stmts, st)
	return &s.stmts[len(s.stmts)-1]
}

// payload returns the expression of a field.
func (s *source) payload(f *rule.Field) *rule.Payload {
	p := s.fields[f]
	if p == nil {
		p = &rule.Payload{Field: f}
		s.fields[f] = p
	}
	return p
}

// A command is a command that is not checked yet.
type command struct {
	Command
	check func(*evaluator) error
	// hookAt is where a base chain says its hook.
	hookAt Span
}

func newSource(opts Options) *source {
	return &source{opts: opts, fields: map[*rule.Field]*rule.Payload{}}
}

func (s *source) fail(at Span, msg string) { s.errs = append(s.errs, &Error{At: at, Msg: msg}) }

// parse reads a file and checks its commands.
func (s *source) parse(f *File) ([]Command, error) {
	s.read(f)
	ev := newEvaluator(s)
	out := make([]Command, 0, len(s.parsed))
	for _, c := range s.parsed {
		if c.check != nil {
			if err := c.check(ev); err != nil {
				if e := err.(*Error); e.stored && s.opts.Refusals {
					c.Refused = e
					out = append(out, c.Command)
					continue
				}
				if s.errs = append(s.errs, err.(*Error)); len(s.errs) >= maxErrors {
					break
				}
				continue
			}
		}
		ev.apply(&c.Command)
		out = append(out, c.Command)
	}
	if len(s.errs) > 0 {
		return nil, s.errs.said()
	}
	return out, nil
}
