package flowtable_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// TestUnderTraffic: while packets of many flows come in on two devices at once, rules
// are replaced, routes change, connections are deleted, and flowtable and module go and
// come back. Nothing is left behind; the race detector watches.
func TestUnderTraffic(t *testing.T) {
	r := newRig(t, gateway)
	r.silent.Store(true)
	var traffic sync.WaitGroup
	stop := make(chan struct{})
	for _, dev := range []string{"lan", "wan"} {
		traffic.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					r.flood(dev, i)
				}
			}
		})
	}
	for i := range 30 {
		r.advance(7 * time.Second)
		switch i % 5 {
		case 0:
			r.nft("flush ruleset")
			if err := r.Modules.Remove(ctx, "nf_flow_table", module.RemoveOptions{}); err != nil {
				t.Error(err)
			}
		case 1:
			r.nft(gateway)
		case 2:
			r.reroute(true)
			r.reroute(false)
		case 3:
			r.track.Each(func(c *conn) bool { return !r.track.Delete(c) })
		case 4:
			r.nft("add rule inet gw forward udp dport 9 accept; add flowtable inet gw f { hook ingress priority 0; devices = { wan2 }; }")
		}
	}
	close(stop)
	traffic.Wait()
	r.nft("flush ruleset")
}

// flood receives a batch of a few flows, some of which end.
func (r *rig) flood(name string, i int) {
	dev, _ := r.Link.Lookup(name)
	var q packet.Queue
	for n := range 8 {
		port := 5000 + (i+n/2)%40
		in, out := fmt.Sprintf("10.0.0.2:%d", port), fmt.Sprintf("192.0.2.1:%d", port)
		flags := uint16(ack)
		switch i % 50 {
		case 0:
			flags = syn
		case 49:
			flags = fin | ack
		}
		b := tcp(in, server, flags, uint32(i), uint32(i), 10)
		if name == "wan" {
			if flags == syn {
				flags |= ack
			}
			b = tcp(server, out, flags, uint32(i), uint32(i), 10)
		}
		pkt := r.Pool.Get()
		pkt.Append(b)
		pkt.Proto = wire.EtherTypeIPv4
		q.Push(pkt)
	}
	dev.Receive(&q)
}

// TestNoAllocation: a packet on the fast path allocates nothing.
func TestNoAllocation(t *testing.T) {
	r := newRig(t, strings.Replace(gateway, "counter;", "", 1))
	r.handshake(client, server, outside)
	r.silent.Store(true)
	dev, _ := r.Link.Lookup("lan")
	data := tcp(client, server, ack, 101, 501, 10)
	before := r.slow()
	n := testing.AllocsPerRun(200, func() {
		var q packet.Queue
		for range 8 {
			pkt := r.Pool.Get()
			pkt.Append(data)
			pkt.Proto = wire.EtherTypeIPv4
			q.Push(pkt)
		}
		dev.Receive(&q)
	})
	if n > allowed {
		t.Errorf("%v allocations for a batch of 8 packets, want %d", n, allowed)
	}
	if after := r.slow(); after != before {
		t.Errorf("the rules have seen packets: %s before, %s after", before, after)
	}
}
