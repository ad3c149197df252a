package tcb

import (
	"testing"
	"time"
	"unsafe"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
)

// established returns a connection that opened with a SYN-ACK and whose first
// octet to send is FirstSeq, and the segment that the peer's data would have.
func established(c Config, s Start) (t *TCB, next Segment) {
	t = new(TCB)
	now := clock.Time(time.Second)
	s.ISS = 1000
	if s.MTU == 0 {
		s.MTU = 1500
	}
	t.Connect(now, c.Defaults(), s)
	t.Output(now)
	t.Input(now+1e6, &Segment{
		Seq: 5000, Ack: 1001, Flags: SYN | ACK, Window: 65535,
		Options: Options{Has: HasMSS | HasWScale | HasSACKPermitted | HasTimestamps, MSS: 1460, WScale: 7, TSVal: 1, TSEcr: 1000},
	}, nil)
	t.Output(now + 1e6)
	t.Events()
	next = Segment{Seq: 5001, Ack: 1001, Flags: ACK, Window: 8192, Options: Options{Has: HasTimestamps, TSVal: 2, TSEcr: 1001}}
	return t, next
}

// inData is one step of a receiver: a segment, every second of them answered.
func inData(t *TCB, now clock.Time, seg *Segment, pkt *packet.Packet) {
	t.Input(now, seg, pkt)
	seg.Seq = seg.Seq.Add(seg.Len)
	t.Ready.Pop()
	t.Consumed(now, seg.Len)
}

// outData is one step of a sender: a segment goes out and is acknowledged.
func outData(t *TCB, now clock.Time, ack *Segment) bool {
	t.Queue(1448)
	_, ok := t.Output(now)
	ack.Ack = ack.Ack.Add(1448)
	t.Input(now, ack, nil)
	return ok && t.TakeAcked() == 1448
}

func BenchmarkInputData(b *testing.B) {
	t, seg := established(Config{}, Start{})
	seg.Len = 1448
	var pool packet.Pool
	pkt := pool.Get()
	now := clock.Time(2 * time.Second)
	for b.Loop() {
		now += 1000
		inData(t, now, &seg, pkt)
		if t.out != 0 {
			t.out = 0
			t.rcvAcked = t.rcvNxt
			t.advertise()
		}
	}
}

func BenchmarkInputAck(b *testing.B) {
	t, seg := established(Config{}, Start{})
	now := clock.Time(2 * time.Second)
	for b.Loop() {
		now += 1000
		t.nxt += 1448
		t.end += 1448
		seg.Ack = t.nxt
		t.Input(now, &seg, nil)
	}
}

func BenchmarkOutput(b *testing.B) {
	t, _ := established(Config{}, Start{})
	now := clock.Time(2 * time.Second)
	t.sndWnd = 1 << 30
	t.win.Cwnd = 1 << 30
	for b.Loop() {
		now += 1000
		t.Queue(1448)
		if _, ok := t.Output(now); !ok {
			b.Fatal("nothing to send")
		}
		t.una = t.nxt
	}
}

func BenchmarkSendAndAck(b *testing.B) {
	t, ack := established(Config{}, Start{})
	now := clock.Time(2 * time.Second)
	for b.Loop() {
		now += 1000
		outData(t, now, &ack)
	}
}

// Packet paths do not allocate.
func TestAllocations(t *testing.T) {
	rcv, seg := established(Config{}, Start{})
	snd, ack := established(Config{}, Start{})
	seg.Len = 1448
	var pool packet.Pool
	pkt := pool.Get()
	now := clock.Time(2 * time.Second)
	n := testing.AllocsPerRun(1000, func() {
		now += 1000
		inData(rcv, now, &seg, pkt)
		rcv.Output(now)
		if !outData(snd, now, &ack) {
			t.Fatal("the sender is stuck")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}

// An idle connection costs memory for this and little else.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(TCB{}); n > 700 {
		t.Errorf("a TCB takes %d bytes, want at most 700", n)
	}
}
