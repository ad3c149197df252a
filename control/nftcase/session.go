package nftcase

import (
	"context"
	"fmt"

	"github.com/knitnet/knit/netfilter"
)

// A Session is a case whose lines come one by one. It is not safe for concurrent use.
type Session struct {
	r *runner
	p *parser
}

// Open begins a session. setup is the beginning of a table, up to its first case.
// Close ends it.
func Open(ctx context.Context, rules *netfilter.NFTRequest, setup string) (*Session, error) {
	t, err := Parse("setup", setup)
	if err != nil {
		return nil, err
	}
	if len(t.Cases) > 0 {
		return nil, &Error{t.Cases[0].Position, "want device, route or sysctl"}
	}
	s := &Session{r: newRunner(ctx, Options{}, &coverage{}), p: &parser{table: *t, pos: Position{File: "line"}}}
	if err := s.r.start(t, rules); err != nil {
		s.r.close()
		return nil, err
	}
	s.r.cover.learn(s.r)
	s.p.begin("")
	return s, nil
}

// Line runs a line. The error is that of a line that cannot be read.
func (s *Session) Line(line string) (*Result, error) {
	s.p.pos.Line++
	n := len(s.p.here.Lines)
	if w, err := split(line); err == nil && w.peek(0) == "case" {
		return nil, &Error{s.p.pos, "case: a session is one case"}
	}
	if err := s.p.line(line); err != nil {
		return nil, &Error{s.p.pos, err.Error()}
	}
	if len(s.p.here.Lines) == n {
		return nil, &Error{s.p.pos, "the line is empty"}
	}
	l := s.p.here.Lines[n]
	for _, name := range l.devices() {
		if s.r.devices[name] == nil {
			s.p.forget(l)
			return nil, &Error{s.p.pos, fmt.Sprintf("there is no device %s", name)}
		}
	}
	s.p.here.Lines = s.p.here.Lines[:n]
	res := s.r.line(l)
	return &res, nil
}

// forget undoes what reading a line has left behind: it will not run.
func (p *parser) forget(l *Line) {
	p.here.Lines = p.here.Lines[:len(p.here.Lines)-1]
	if d, ok := l.step.(*declare); ok {
		delete(p.here.flows, d.name)
	}
}

// Rules returns the ruleset with how often each rule has held so far.
func (s *Session) Rules() []Rule { return s.r.cover.rules }

// Close ends the session. It fails if the kernel has not given back every packet.
func (s *Session) Close() error { return s.r.close() }
