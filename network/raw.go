package network

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
)

// A RawHandler sees packets for this host beside the Handler of their protocol:
// raw and ping sockets are such.
type RawHandler interface {
	// RawInput looks at a packet with its IP header at Meta.L3 and its transport
	// header at the start of the data and at Meta.L4. It does not own pkt: what it
	// wants to keep it clones. It reports whether somebody wanted the packet; then
	// a protocol that nobody handles is not answered with an ICMP error.
	RawInput(v Version, pkt *packet.Packet) (wanted bool)
	// RawError tells of an ICMP error about a packet that this host sent.
	RawError(e *Error)
}

// rawTable holds the raw handlers by version and protocol, because one raw socket
// must not slow other protocols down. The lists are copied on write.
type rawTable struct {
	mu   sync.Mutex // serialises changes
	list [2][256]atomic.Pointer[[]*rawHandler]
}

type rawHandler struct{ RawHandler }

// SetRaw lets h see the packets of an IP protocol until undo is called. There may
// be several for a protocol; each sees every packet.
func (l *Layer) SetRaw(v Version, proto uint8, h RawHandler) (undo func()) {
	x := &rawHandler{h}
	l.raw.change(v, proto, func(hs []*rawHandler) []*rawHandler { return append(hs, x) })
	return func() {
		l.raw.change(v, proto, func(hs []*rawHandler) []*rawHandler {
			return slices.DeleteFunc(hs, func(y *rawHandler) bool { return x == y })
		})
	}
}

func (t *rawTable) change(v Version, proto uint8, f func([]*rawHandler) []*rawHandler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.list[v][proto]
	var hs []*rawHandler
	if old := p.Load(); old != nil {
		hs = slices.Clone(*old)
	}
	if hs = f(hs); len(hs) == 0 {
		p.Store(nil)
		return
	}
	p.Store(&hs)
}

// HasRaw reports whether RawInput would do anything for a protocol.
func (l *Layer) HasRaw(v Version, proto uint8) bool { return l.raw.list[v][proto].Load() != nil }

// RawInput shows pkt to the raw handlers of its protocol and reports whether one
// wanted it. Families call it before the protocol's Handler.
func (l *Layer) RawInput(v Version, proto uint8, pkt *packet.Packet) (wanted bool) {
	hs := l.raw.list[v][proto].Load()
	if hs == nil {
		return false
	}
	for _, h := range *hs {
		wanted = h.RawInput(v, pkt) || wanted
	}
	return wanted
}

// rawError tells the raw handlers of e's protocol.
func (l *Layer) rawError(e *Error) {
	hs := l.raw.list[VersionOf(e.Dst)][e.Proto].Load()
	if hs == nil {
		return
	}
	for _, h := range *hs {
		h.RawError(e)
	}
}
