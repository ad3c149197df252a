package conntrack

import (
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
)

// How often at most something is said, so that a flood does not fill the log.
const (
	fullEvery    = 5 * time.Second
	invalidEvery = 10 * time.Millisecond
)

// due reports whether the last time is every or longer ago, and makes now the last time.
func due(last *atomic.Int64, now clock.Time, every time.Duration) bool {
	t := last.Load()
	return (t == 0 || int64(now)-t >= int64(every)) && last.CompareAndSwap(t, max(int64(now), 1))
}

func (t *tracker) logFull(now clock.Time) {
	if t.log != nil && due(&t.fullLogged, now, fullEvery) {
		t.log.Warn("nf_conntrack: table full, dropping packet")
	}
}

// allProtocols is the value of net.netfilter.nf_conntrack_log_invalid for any protocol.
const allProtocols = 255

// invalid counts a packet that is of no connection, and writes why into the log if
// net.netfilter.nf_conntrack_log_invalid asks for its protocol.
func (t *tracker) invalid(p *look, tuple *netfilter.Tuple, why string) {
	t.stats.invalid.Inc()
	want := t.logInvalid.Load()
	if want == 0 || want != allProtocols && want != int64(tuple.Proto) || t.log == nil || !due(&t.invalidLogged, p.now, invalidEvery) {
		return
	}
	in := ""
	if dev := t.net.Link.Device(p.pkt.In); dev != nil {
		in = dev.Name()
	}
	t.log.Bare().Notice("nf_ct_proto_%d: %s IN=%s SRC=%v DST=%v LEN=%d PROTO=%d SPT=%d DPT=%d",
		tuple.Proto, why, in, tuple.SrcAddr(), tuple.DstAddr(), p.pkt.Len(), tuple.Proto, tuple.SrcPort, tuple.DstPort)
}
