package flowtable_test

import (
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// FuzzInput: whatever comes in by a device of a flowtable, in one piece or in two, has
// exactly one end.
func FuzzInput(f *testing.F) {
	f.Add(tcp(client, server, ack, 101, 501, 10), uint8(0), uint8(20))
	f.Add(tcp(client6, server6, fin|ack, 101, 501, 10), uint8(1), uint8(41))
	f.Add(udp(client, server, 9), uint8(2), uint8(0))
	f.Add(seg{src: client, dst: server, data: 9, options: 8}.bytes(), uint8(3), uint8(22))
	f.Add(seg{src: client, dst: server, data: 9, frag: 0x2001}.bytes(), uint8(0), uint8(255))
	r := newRig(f, gateway)
	r.silent.Store(true)
	f.Fuzz(func(t *testing.T, data []byte, offload, split uint8) {
		r.t = t
		if len(data) == 0 || len(data) > 1500 {
			return
		}
		for _, a := range [][3]string{{client, server, outside}, {client6, server6, outside6}} {
			for i, b := range [][]byte{tcp(a[0], a[1], syn, 100, 0, 0), tcp(a[1], a[2], syn|ack, 500, 101, 0), tcp(a[0], a[1], ack, 101, 501, 0)} {
				r.receive([]string{"lan", "wan", "lan"}[i], frame{data: b})
			}
		}
		dev, _ := r.Link.Lookup("lan")
		var q packet.Queue
		q.Push(r.broken(data, int(split)))
		pkt := q.Front()
		pkt.GSO, pkt.GSOSize = packet.GSOType(offload%4), uint16(offload)
		pkt.Csum = packet.CsumState(offload / 4 % 2)
		dev.Receive(&q)
		if n := r.Pool.Live(); n > 64 { // fragments wait for the rest
			t.Fatalf("%d packets are left", n)
		}
	})
}

// broken returns a packet of which what lies behind split is not in the head.
func (r *rig) broken(data []byte, split int) *packet.Packet {
	pkt := r.Pool.Get()
	split = min(split, len(data), packet.HeadSize-packet.Headroom)
	pkt.Append(data[:split])
	if rest := data[split:]; len(rest) > 0 {
		buf := r.Pool.Buf(len(rest))
		copy(buf.Bytes(), rest)
		pkt.AddFrag(buf, 0, len(rest))
	}
	pkt.Proto = wire.EtherTypeIPv4
	if data[0]>>4 == 6 {
		pkt.Proto = wire.EtherTypeIPv6
	}
	return pkt
}
