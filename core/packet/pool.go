package packet

import (
	"sync"

	"github.com/knitnet/knit/core/stat"
)

// A Pool hands out packets and the buffers behind their fragments, and knows how
// many of each are alive, which is what makes "every packet has exactly one end"
// testable. The zero Pool is ready to use and safe for concurrent use. A packet
// goes back to the pool it came from, whichever kernel it ended in.
type Pool struct {
	// Drops counts the packets of this pool that were dropped, by reason.
	Drops stat.Drops

	packets  sync.Pool
	bufs     [len(bufSizes)]sync.Pool
	live     stat.Striped
	liveBufs stat.Striped
}

// Live returns the number of packets taken and not yet ended.
func (p *Pool) Live() int64 { return p.live.Load() }

// LiveBufs returns the number of buffers that somebody still refers to.
func (p *Pool) LiveBufs() int64 { return p.liveBufs.Load() }

// Get returns an empty packet with Headroom bytes in front. The caller owns it.
func (p *Pool) Get() *Packet {
	p.live.Add(1)
	pkt, _ := p.packets.Get().(*Packet)
	if pkt == nil {
		pkt = &Packet{pool: p}
	}
	pkt.off, pkt.end = Headroom, Headroom
	pkt.alive = true
	return pkt
}

func (p *Pool) put(pkt *Packet) {
	p.live.Add(-1)
	p.packets.Put(pkt)
}
