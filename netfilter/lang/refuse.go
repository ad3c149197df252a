package lang

import (
	"math"
	"math/bits"
	"syscall"
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

// refuse notes what Linux refuses although nft does not: it is said when nft itself has
// nothing to complain of. Of several in one rule the first counts.
func (sc *scope) refuse(at Span, err error) {
	if err != nil && sc.late == nil {
		sc.late = Store(at, err)
	}
}

// modulusError is what Linux says of `mod x offset y`: ERANGE if nothing is left to
// choose from, EOVERFLOW if the largest result has no room.
func modulusError(mod, offset uint32) error {
	switch {
	case mod == 0:
		return syscall.ERANGE
	case offset+mod-1 < offset:
		return syscall.EOVERFLOW
	}
	return nil
}

// limitError is what Linux says of a limit: EINVAL without a rate, EOVERFLOW if its
// bucket holds more nanoseconds than a counter.
func limitError(l *rule.Limit) error {
	sum := l.Rate.Amount + l.Burst
	switch {
	case l.Rate.Amount == 0:
		return syscall.EINVAL
	case sum < l.Burst:
		return syscall.EOVERFLOW
	}
	a, b := uint64(l.Rate.Per/time.Nanosecond), sum
	if !l.Rate.Bytes {
		a, b = a/l.Rate.Amount, l.Burst
	}
	if over, _ := bits.Mul64(a, b); over != 0 {
		return syscall.EOVERFLOW
	}
	return nil
}

// quotaError is what Linux says of a quota: EOVERFLOW beyond 63 bits, EINVAL if more
// than all of it is used.
func quotaError(q *rule.Quota) error {
	switch {
	case q.Bytes > math.MaxInt64:
		return syscall.EOVERFLOW
	case q.Used > q.Bytes:
		return syscall.EINVAL
	}
	return nil
}

// completeObject reports what an object lacks, or what Linux refuses of it.
func completeObject(c *command) error {
	o := c.ObjectSpec
	switch o.Kind {
	case rule.QuotaObject:
		return refused(c, quotaError(o.Quota))
	case rule.LimitObject:
		return refused(c, limitError(o.Limit))
	case rule.CTTimeoutObject:
		if o.L4 == 0 {
			return Store(c.At, syscall.EOPNOTSUPP)
		}
	case rule.CTExpectObject:
		if e := o.Expect; e == nil || e.Proto == 0 || e.DPort == 0 || e.Timeout == 0 || e.Size == 0 {
			at := c.NameAt
			at.Start = at.End - 1
			return &Error{At: at, Msg: "missing options"}
		}
		if c.Family == rule.Inet && !o.HasL3 {
			return Store(c.At, syscall.EAFNOSUPPORT)
		}
		return refused(c, familyError(c))
	case rule.CTHelperObject:
		if o.Helper == "" {
			return Store(c.At, syscall.ERANGE)
		}
		return refused(c, familyError(c))
	case rule.SecmarkObject: // what a kernel without security labels says
		return Store(c.At, syscall.ENOENT)
	case rule.SynproxyObject:
		return Store(c.At, syscall.EOPNOTSUPP)
	}
	return nil
}

// familyError is what Linux says of an object for a family that its table never sees.
func familyError(c *command) error {
	if c.Family != rule.Inet && c.ObjectSpec.L3 != c.Family {
		return syscall.EINVAL
	}
	return nil
}

// refused is err as nft says it of a whole command, nil if it is.
func refused(c *command, err error) error {
	if err == nil {
		return nil
	}
	return Store(c.At, err)
}
