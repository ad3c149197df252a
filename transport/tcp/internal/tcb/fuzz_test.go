package tcb

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
)

// FuzzTCB gives a connection whatever segments, calls and pauses the bytes stand
// for. Nothing may break what check checks, no packet may be lost, and Output
// ends.
func FuzzTCB(f *testing.F) {
	f.Add([]byte{byte(Established), 0, 0x10, 0, 0, 0, 1, 100, 255, 0, 3, 50, 200, 4, 9})
	f.Add([]byte{byte(SynSent), 3, 0x12, 0, 0, 0, 1, 0, 255, 1})
	f.Add([]byte{byte(Established), 1, 100, 1, 200, 0, 0x10, 255, 0, 5, 2, 0, 9, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Fuzz(func(t *testing.T, b []byte) {
		src := input(b)
		st := State(src.byte())%TimeWait + 1
		if st == Listen {
			st = Established
		}
		c := plainConfig()
		opts := src.byte()
		c.NoSACK, c.NoTimestamps = opts&1 != 0, opts&2 != 0
		c.RcvBuf = Range{1000, 20000, 20000}
		k := in(t, st, c)
		k.SetNoDelay(opts&4 != 0)
		if opts&8 != 0 {
			k.MaxSegment = 65536
		}
		for len(src) > 0 {
			k.fuzzStep(&src)
			if err := check(k.TCB); err != nil {
				t.Fatal(err)
			}
			k.outAll()
		}
		k.close()
	})
}

// input is the fuzzer's bytes, which end with zeros.
type input []byte

func (in *input) byte() byte {
	if len(*in) == 0 {
		return 0
	}
	c := (*in)[0]
	*in = (*in)[1:]
	return c
}

func (in *input) word() uint16 { return uint16(in.byte())<<8 | uint16(in.byte()) }

func (k *conn) fuzzStep(in *input) {
	switch op := in.byte() % 16; op {
	default:
		k.fuzzSegment(in)
	case 8:
		if n := int(in.word()); k.WriteErr() == nil && k.Queued()+n < 1<<20 {
			k.write(n)
		}
	case 9:
		k.TakeAcked()
		n := 0
		for p := k.Ready.Pop(); p != nil; p = k.Ready.Pop() {
			n += p.Len()
			p.Consume()
		}
		k.Consumed(k.now, n)
	case 10:
		k.pass(time.Duration(in.word()) * time.Millisecond)
	case 11:
		k.Shutdown()
	case 12:
		k.Close(k.now)
	case 13:
		k.UpdateMTU(k.now, int(in.word()))
	case 14:
		k.SetKeepAlive(k.now, KeepAlive{Idle: time.Duration(in.byte()) * time.Second})
		k.SetUserTimeout(time.Duration(in.byte()) * time.Second)
	case 15:
		k.SetCC(k.now, nil)
		k.SetCork(in.byte()&1 != 0)
	}
}

// fuzzSegment makes a segment whose numbers are near those that count.
func (k *conn) fuzzSegment(in *input) {
	near := func(base Seq) Seq {
		switch d := in.byte(); {
		case d < 128:
			return base.Add(int(d) - 16)
		case d < 250:
			return base.Add((int(d) - 150) * 700)
		default:
			return Seq(binary.BigEndian.Uint32([]byte{in.byte(), in.byte(), d, d}))
		}
	}
	s := Segment{Flags: Flags(in.byte()) &^ (ECE | CWR)}
	if s.Flags&7 == 7 { // leave the common case common
		s.Flags = ACK
	}
	s.Seq = near(k.rcvNxt)
	s.Ack = near([...]Seq{k.una, k.nxt}[in.byte()&1])
	s.Window = in.word()
	s.Urgent = uint16(in.byte())
	s.Len = int(in.byte()) * int(in.byte()&15)
	if s.Len > 1460 {
		s.Cut = 1460
	}
	if o := in.byte(); o&1 != 0 {
		s.Has = HasTimestamps
		s.TSVal = k.tsRecent + uint32(int8(in.byte()))
		s.TSEcr = k.tsNow(k.now) - uint32(in.byte())
		s.SACKs = o >> 1 & 7 % 5
		for i := range s.SACKs {
			s.SACK[i] = Block{near(k.una), near(k.una)}
		}
	}
	var pkt *packet.Packet
	if s.Len > 0 {
		pkt = k.pool.Get()
		pkt.Append(make([]byte, s.Len))
	}
	k.feed(&s, pkt)
}
