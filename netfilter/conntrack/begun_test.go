package conntrack

import (
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
)

// batch lets packets of one direction through in one batch, and returns what they are.
func (r *rig) batch(list ...[]byte) (info []netfilter.Info) {
	var q packet.Queue
	for _, b := range list {
		q.Push(r.packet(b))
	}
	h := &r.net.Hooks[version(list[0])]
	h.Prerouting.RunBatch(&q)
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		info = append(info, netfilter.Info(pkt.Track))
	}
	h.Postrouting.RunBatch(&q)
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		pkt.Consume()
	}
	return info
}

// TestOverBeforeItIsConfirmed: a connection that is reset in the batch that has begun it
// gets into no table, and the next SYN begins another one. It is as if the packets had
// come one by one.
func TestOverBeforeItIsConfirmed(t *testing.T) {
	for _, first := range []seg{{flags: tcpSYN, seq: 1000}, {flags: tcpACK, seq: 1000, ack: 1}} {
		k := newTalk(t)
		syn, rst := tcp(k.a, k.b, seg{flags: tcpSYN, seq: 5000}), tcp(k.a, k.b, seg{flags: tcpRST, seq: first.seq + uint32(first.flags&tcpSYN)>>1})
		got := k.batch(tcp(k.a, k.b, first), rst, syn)
		for i, info := range got {
			if info != netfilter.New {
				t.Errorf("packet %d is %d, want new", i, info)
			}
		}
		k.state("SYN_SENT")
		if k.batch(rst); len(got) != 3 {
			t.Errorf("%d packets passed, want 3", len(got))
		}
	}
}
