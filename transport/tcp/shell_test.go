package tcp

import (
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
)

// TestCookiesAreNotGoodAgain: a cookie is believed for two minutes, and never when
// the part of the minute that it shows comes round again.
func TestCookiesAreNotGoodAgain(t *testing.T) {
	clk := clock.NewVirtual()
	x := &tcp{clock: clk, secret: newSecret()}
	k := &tuple{localPort: 80, remotePort: 40000}
	const peer = 12345
	minute := x.minute()
	cookie := x.cookieSeq(k, peer, minute, minute&3<<6|5<<3)
	for m := range 12 {
		if _, ok := x.readCookie(k, cookie, peer); ok != (m < cookieLife) {
			t.Errorf("after %d minutes: believed = %v", m, ok)
		}
		clk.Advance(time.Minute)
	}
}

// TestCookieTimestampEnds: endingIn against its definition.
func TestCookieTimestampEnds(t *testing.T) {
	for _, base := range []uint32{0, 1 << 20, 1<<32 - 20} {
		for now := base; now != base+40; now++ {
			for scale := range uint32(16) {
				want := now
				for want&15 != scale {
					want--
				}
				if got := endingIn(scale, now); got != want {
					t.Fatalf("endingIn(%d, %d) = %d, want %d", scale, now, got, want)
				}
			}
		}
	}
}

// TestOffsetPast4GiB: sequence numbers wrap, the place in the stream does not.
func TestOffsetPast4GiB(t *testing.T) {
	var c conn
	first := c.tcb.FirstSeq()
	for _, base := range []uint64{0, 1<<32 - 1000, 1 << 32, 5<<32 + 77, 1<<63 - 1} {
		for _, ahead := range []uint64{0, 1, 999, 1000, 1001, 1 << 30} {
			c.snd.base = base
			if got := c.offset(first + tcb.Seq(base+ahead)); got != base+ahead {
				t.Errorf("with %d bytes freed, the octet %d behind is at %d", base, ahead, got)
			}
		}
	}
}

// TestGiveUpLeavesNoWork: what meets a connection in TIME-WAIT that is looked at for
// reuse is done afterwards: nobody else comes.
func TestGiveUpLeavesNoWork(t *testing.T) {
	x := &tcp{layer: new(transport.Layer), clock: clock.NewVirtual(), secret: newSecret()}
	x.settings.init()
	x.conns.init()
	old := x.newConn(tuple{localPort: 80, remotePort: 40000})
	old.work.Or(workTimer) // while the lock was held, so that kick left it
	if x.giveUp(old) {
		t.Fatal("a connection that is not in TIME-WAIT was given up")
	}
	if w := old.work.Load(); w != 0 {
		t.Errorf("work %#x is left", w)
	}
}
