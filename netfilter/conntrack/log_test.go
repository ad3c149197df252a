package conntrack

import (
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/netfilter"
)

// TestInvalidPacketsAreLogged: those of the protocol that is asked for, and no flood.
func TestInvalidPacketsAreLogged(t *testing.T) {
	r := newRig(t)
	l := klog.New(func() time.Duration { return 0 }, 1<<16)
	r.log = l.Module(moduleName)
	lines := func() (n int) {
		for _, e := range l.Entries() {
			if strings.Contains(e.Text, "nf_ct_proto_17: bad length or checksum IN= SRC=10.0.0.1 DST=10.0.0.2 LEN=32 PROTO=17 SPT=5000 DPT=53") {
				n++
			}
		}
		return n
	}
	bad := damaged(udp(clientA, serverA, 4))
	for _, x := range []struct {
		setting int64
		want    int
	}{{0, 0}, {6, 0}, {17, 1}, {255, 2}} {
		r.logInvalid.Store(x.setting)
		r.advance(time.Second)
		r.want(bad, netfilter.Invalid)
		r.want(bad, netfilter.Invalid)
		if got := lines(); got != x.want {
			t.Errorf("nf_conntrack_log_invalid=%d: %d lines in all, want %d", x.setting, got, x.want)
		}
	}
}
