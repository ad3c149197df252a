package nft

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/knitnet/knit/netfilter/rule"
)

// A step is one compiled statement. It says what comes next.
type step func(ev *eval) next

// next is what a step decides.
type next uint8

const (
	goOn      next = iota // the next statement
	breakRule             // the next rule
	acceptNow             // this base chain is done
	dropNow               // the packet is
	returnNow             // back to the calling chain
	jumpNow               // to ev.chain, and back
	gotoNow               // to ev.chain
	stolenNow             // somebody else has the packet
)

// match compiles a relation.
func (c *compiler) match(m *rule.Match) (step, error) {
	switch r := m.Right.(type) {
	case *rule.Value:
		return c.matchValue(m, r)
	case *rule.Prefix:
		return c.matchPrefix(m, r)
	case *rule.Range:
		return c.matchRange(m, r)
	case *rule.SetRef, *rule.SetLit:
		return c.matchSet(m)
	}
	return c.matchExpr(m)
}

// same reports whether the relation wants the sides to agree.
func same(op rule.Op) (bool, error) {
	switch op {
	case rule.Implicit, rule.Eq:
		return true, nil
	case rule.Ne:
		return false, nil
	}
	return false, fmt.Errorf("operator %v does not go with this", op)
}

func (c *compiler) matchValue(m *rule.Match, v *rule.Value) (step, error) {
	load, err := c.load(m.Left)
	if err != nil {
		return nil, err
	}
	n := bytesFor(m.Left.Bits())
	if v.Wild {
		return c.matchWild(load, m.Op, v, n)
	}
	if len(v.Data) != n {
		return nil, fmt.Errorf("a value of %d bytes cannot be compared with %d", len(v.Data), n)
	}
	bitmask := m.Left.Type().Bitmask()
	switch {
	case bitmask && (m.Op == rule.Implicit || m.Op == rule.Not):
		return c.matchBits(load, v.Data, m.Op == rule.Implicit)
	case m.Op == rule.Implicit || m.Op == rule.Eq || m.Op == rule.Ne:
		if s := equalFast(m, v); s != nil {
			return s, nil
		}
		return c.matchEqual(load, v.Data, m.Op != rule.Ne)
	}
	return c.matchOrder(load, v.Data, m.Op)
}

// equalFast compares a whole number of a header in place.
func equalFast(m *rule.Match, v *rule.Value) step {
	p, ok := m.Left.(*rule.Payload)
	if !ok || m.Op == rule.Ne {
		return nil
	}
	base, off, bits := place(p)
	if off%8 != 0 || base == rule.LinkHeader {
		return nil
	}
	off /= 8
	switch bits {
	case 8:
		want := v.Data[0]
		return func(ev *eval) next { return truth1(ev.header(base, off, 1), want) }
	case 16:
		want := binary.BigEndian.Uint16(v.Data)
		return func(ev *eval) next {
			if b := ev.header(base, off, 2); b != nil && binary.BigEndian.Uint16(b) == want {
				return goOn
			}
			return breakRule
		}
	case 32:
		want := binary.BigEndian.Uint32(v.Data)
		return func(ev *eval) next {
			if b := ev.header(base, off, 4); b != nil && binary.BigEndian.Uint32(b) == want {
				return goOn
			}
			return breakRule
		}
	}
	return nil
}

func truth1(b []byte, want byte) next {
	if b != nil && b[0] == want {
		return goOn
	}
	return breakRule
}

func truth(ok bool) next {
	if ok {
		return goOn
	}
	return breakRule
}

func (c *compiler) matchEqual(load loader, want []byte, equal bool) (step, error) {
	n := len(want)
	at, err := c.scratch(n)
	return func(ev *eval) next {
		b := ev.scratch[at : at+n]
		return truth(load(ev, b) && bytes.Equal(b, want) == equal)
	}, err
}

func (c *compiler) matchBits(load loader, mask []byte, any bool) (step, error) {
	n := len(mask)
	at, err := c.scratch(n)
	return func(ev *eval) next {
		b := ev.scratch[at : at+n]
		if !load(ev, b) {
			return breakRule
		}
		var common byte
		for i := range b {
			common |= b[i] & mask[i]
		}
		return truth(common != 0 == any)
	}, err
}

func (c *compiler) matchOrder(load loader, v []byte, op rule.Op) (step, error) {
	n := len(v)
	at, err := c.scratch(n)
	return func(ev *eval) next {
		b := ev.scratch[at : at+n]
		return truth(load(ev, b) && ordered(bytes.Compare(b, v), op))
	}, err
}

func ordered(cmp int, op rule.Op) bool {
	switch op {
	case rule.Lt:
		return cmp < 0
	case rule.Le:
		return cmp <= 0
	case rule.Gt:
		return cmp > 0
	case rule.Ge:
		return cmp >= 0
	case rule.Ne:
		return cmp != 0
	}
	return cmp == 0
}

// matchWild compares the beginning of a name.
func (c *compiler) matchWild(load loader, op rule.Op, v *rule.Value, n int) (step, error) {
	equal, err := same(op)
	if err != nil {
		return nil, err
	}
	at, err := c.scratch(n)
	start := bytes.TrimRight(v.Data, "\x00")
	return func(ev *eval) next {
		b := ev.scratch[at : at+n]
		return truth(load(ev, b) && bytes.HasPrefix(b, start) == equal)
	}, err
}

func (c *compiler) matchPrefix(m *rule.Match, p *rule.Prefix) (step, error) {
	lo, hi := prefixEnds(p)
	return c.matchEnds(m, lo, hi)
}

func (c *compiler) matchRange(m *rule.Match, r *rule.Range) (step, error) {
	return c.matchEnds(m, r.Lo.Data, r.Hi.Data)
}

func (c *compiler) matchEnds(m *rule.Match, lo, hi []byte) (step, error) {
	equal, err := same(m.Op)
	if err != nil {
		return nil, err
	}
	load, err := c.load(m.Left)
	if err != nil {
		return nil, err
	}
	n := bytesFor(m.Left.Bits())
	if len(lo) != n || len(hi) != n {
		return nil, fmt.Errorf("a range of %d bytes cannot be compared with %d", len(lo), n)
	}
	at, err := c.scratch(n)
	return func(ev *eval) next {
		b := ev.scratch[at : at+n]
		return truth(load(ev, b) && (bytes.Compare(b, lo) >= 0 && bytes.Compare(b, hi) <= 0) == equal)
	}, err
}

// prefixEnds returns the first and the last value of a prefix.
func prefixEnds(p *rule.Prefix) (lo, hi []byte) {
	n := len(p.Value.Data)
	lo, hi = bytes.Clone(p.Value.Data), bytes.Clone(p.Value.Data)
	first := n*8 - p.Value.N // bits in front that do not count
	for i := first + p.Len; i < n*8; i++ {
		lo[i/8] &^= 0x80 >> (i % 8)
		hi[i/8] |= 0x80 >> (i % 8)
	}
	return lo, hi
}

// matchExpr compares two computed values.
func (c *compiler) matchExpr(m *rule.Match) (step, error) {
	left, err := c.load(m.Left)
	if err != nil {
		return nil, err
	}
	right, err := c.load(m.Right)
	if err != nil {
		return nil, err
	}
	n := bytesFor(m.Left.Bits())
	if bytesFor(m.Right.Bits()) != n {
		return nil, fmt.Errorf("values of %d and %d bytes cannot be compared", n, bytesFor(m.Right.Bits()))
	}
	at, err := c.scratch(2 * n)
	op := m.Op
	return func(ev *eval) next {
		l, r := ev.scratch[at:at+n], ev.scratch[at+n:at+2*n]
		return truth(left(ev, l) && right(ev, r) && ordered(bytes.Compare(l, r), op))
	}, err
}

// matchSet looks a value up in a set.
func (c *compiler) matchSet(m *rule.Match) (step, error) {
	equal, err := same(m.Op)
	if err != nil {
		return nil, err
	}
	look, err := c.look(m.Left, m.Right)
	return func(ev *eval) next {
		key := ev.scratch[look.at : look.at+look.n]
		if !look.load(ev, key) {
			return breakRule
		}
		e := look.set.find(ev, key)
		if e == nil {
			return truth(!equal)
		}
		if !equal {
			return breakRule
		}
		return e.run(ev)
	}, err
}
