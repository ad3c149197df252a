package tcp

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/knitnet/knit/core/clock"
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

// TestTimeWaitSize: what TIME-WAIT keeps is a record, not a connection.
func TestTimeWaitSize(t *testing.T) {
	if n := unsafe.Sizeof(timeWait{}); n > 200 {
		t.Errorf("a connection in TIME-WAIT takes %d bytes, want at most 200", n)
	}
}

// waits returns a protocol with n connections in TIME-WAIT, one begun each second,
// the first at time 0.
func waits(n int) (x *tcp, all []*timeWait) {
	x = &tcp{clock: clock.NewVirtual()}
	x.conns.init()
	x.waits.init(x)
	for i := range n {
		w := &timeWait{key: tuple{localPort: 80, remotePort: uint16(i)}, block: timeWaitBlock(x.clock.Now())}
		x.conns.replace(&conn{key: w.key}, w)
		x.waits.add(w)
		all = append(all, w)
		x.clock.Advance(time.Second)
	}
	return x, all
}

// timeWaitBlock is that of a connection with timestamps.
func timeWaitBlock(now clock.Time) tcb.TimeWaitBlock {
	var c tcb.TCB
	cfg := tcb.Config{}.Defaults()
	has := tcb.Options{Has: tcb.HasTimestamps}
	c.Connect(now, cfg, tcb.Start{MTU: 1500})
	c.Output(now)
	c.Input(now, &tcb.Segment{Flags: tcb.SYN | tcb.ACK, Ack: 1, Window: 1000, Options: has}, nil)
	c.Shutdown()
	c.Output(now)
	c.Input(now, &tcb.Segment{Flags: tcb.FIN | tcb.ACK, Seq: 1, Ack: 2, Window: 1000, Options: has}, nil)
	return c.TimeWait(now)
}

// left lists the remote ports of the connections in TIME-WAIT, by list and by table.
func left(t *testing.T, x *tcp) (ports []uint16) {
	t.Helper()
	for w := x.waits.oldest; w != nil; w = w.newer {
		ports = append(ports, w.key.remotePort)
		if x.conns.lookupWait(&w.key) != w {
			t.Errorf("%d is not in the table", w.key.remotePort)
		}
	}
	if n := len(x.conns.allWaits()); n != len(ports) || int64(n) != x.waits.n {
		t.Errorf("%d in the table, %d in the list, %d counted", n, len(ports), x.waits.n)
	}
	return ports
}

// TestTimeWaitEnds: each ends a minute after it began, or began anew.
func TestTimeWaitEnds(t *testing.T) {
	x, all := waits(5)
	x.clock.AdvanceTo(clock.Time(30 * time.Second))
	x.waits.mu.Lock()
	all[1].block.Input(x.clock.Now(), &tcb.Segment{Flags: tcb.FIN, Options: tcb.Options{Has: tcb.HasTimestamps}})
	x.waits.pull(all[1])
	x.waits.push(all[1])
	x.waits.mu.Unlock()
	for _, c := range []struct {
		at   time.Duration
		want []uint16
	}{{59, []uint16{0, 2, 3, 4, 1}}, {61, []uint16{2, 3, 4, 1}}, {64, []uint16{1}}, {89, []uint16{1}}, {90, nil}} {
		x.clock.AdvanceTo(clock.Time(c.at * time.Second))
		if got := left(t, x); !slices.Equal(got, c.want) {
			t.Errorf("after %d s %v are left, want %v", c.at, got, c.want)
		}
	}
	if n := x.clock.Pending(); n != 0 {
		t.Errorf("%d timers are left", n)
	}
}

// TestTimeWaitLimit: when there are too many the oldest go; a lower limit counts at
// once, for all of them.
func TestTimeWaitLimit(t *testing.T) {
	x, _ := waits(10)
	set := x.waits.maxEntry().Set
	if err := set("4"); err != nil {
		t.Fatal(err)
	}
	if got := left(t, x); !slices.Equal(got, []uint16{6, 7, 8, 9}) {
		t.Errorf("%v are left of 10, want the latest 4", got)
	}
	x.waits.add(&timeWait{key: tuple{remotePort: 99}, block: timeWaitBlock(x.clock.Now())})
	if n := x.waits.n; n != 4 {
		t.Errorf("%d with a limit of 4", n)
	}
	set("0")
	if n := x.waits.n; n != 0 || x.clock.Pending() != 0 {
		t.Errorf("%d, and %d timers, with a limit of 0", n, x.clock.Pending())
	}
}

// TestInsertGivesUpTimeWait: RFC 6191: a connection of ours takes the place of one
// in TIME-WAIT with timestamps a second later, and begins behind its numbers.
func TestInsertGivesUpTimeWait(t *testing.T) {
	x, all := waits(1)
	young := &timeWait{key: tuple{remotePort: 99}, block: timeWaitBlock(x.clock.Now())}
	x.conns.replace(&conn{key: young.key}, young)
	x.waits.add(young)
	if _, ok := x.insert(&conn{key: young.key}); ok {
		t.Error("taken at once")
	}
	c := &conn{key: all[0].key}
	minISS, ok := x.insert(c)
	if !ok || minISS != 2 {
		t.Fatalf("%v, ISS after %d; want true and 2", ok, minISS)
	}
	if x.conns.lookup(&c.key) != c || x.conns.lookupWait(&c.key) != nil || !all[0].over {
		t.Error("the old one is still there")
	}
	if _, ok := x.insert(&conn{key: c.key}); ok {
		t.Error("two connections have one tuple")
	}
}
