package tcb

import (
	"syscall"

	"github.com/knitnet/knit/core/clock"
)

// InWindow reports whether seq, from the TCP header that an ICMP error quotes,
// is of a segment that is in flight. The shell must drop an error for which it
// is not: anybody can send one (RFC 5927 §4.1).
func (t *TCB) InWindow(seq Seq) bool {
	return !seq.Before(t.una) && seq.Before(t.nxt)
}

// SoftError notes an ICMP error that may pass, such as a host or network that
// is unreachable (RFC 9293 §3.9.2.2). The connection goes on; when it times out
// before anything is acknowledged, this is the reason given.
func (t *TCB) SoftError(errno syscall.Errno) {
	t.soft = uint32(errno)
}

// HardError takes an ICMP error that says that the peer's host has no such
// protocol or port. It ends an attempt to connect; an established connection
// treats it as soft, as RFC 5461 §4.1 recommends.
func (t *TCB) HardError(errno syscall.Errno) {
	if t.state == SynSent || t.state == SynReceived && t.has(flagActive) {
		t.die(uint32(errno))
		return
	}
	t.SoftError(errno)
}

// UpdateMTU sets the MTU of the path, in bytes. When it falls, what is in
// flight is too big and is sent again in smaller segments, which is no sign of
// congestion (RFC 1191 §6.4, RFC 8201 §5.4).
func (t *TCB) UpdateMTU(now clock.Time, mtu int) {
	old := t.mss
	t.mtu = uint32(max(mtu, int(t.overhead)+minMSS))
	t.updateMSS()
	if t.mss < old && t.state.sends() && t.una != t.nxt {
		t.flags &^= flagUndo
		t.sendAnew()
		t.armRTO(now)
	}
}

// Discard ends the connection without a word, as the shell must before it lets
// go of a TCB that is not Closed. What is in Ready stays the shell's.
func (t *TCB) Discard() { t.finish() }
