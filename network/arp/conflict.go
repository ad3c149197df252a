package arp

import (
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// defendInterval is the least time between two defences of an address, so that two
// hosts that insist do not fill the link (DEFEND_INTERVAL of RFC 5227 §1.1).
const defendInterval = 10 * time.Second

// defences remembers when addresses were defended.
type defences struct {
	mu sync.Mutex
	at map[claim]clock.Time
}

type claim struct {
	index int32
	ip    netip.Addr
}

// may reports whether the address may be defended now, and notes that it is.
func (d *defences) may(c claim, now clock.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for x, at := range d.at { // few: they are addresses of this host
		if now.Sub(at) >= defendInterval {
			delete(d.at, x)
		}
	}
	if _, lately := d.at[c]; lately {
		return false
	}
	if d.at == nil {
		d.at = map[claim]clock.Time{}
	}
	d.at[c] = now
	return true
}

// conflict handles a packet whose sender uses an address of this host. The host
// keeps the address and defends it with an announcement (RFC 5227 §2.4 (c)): it
// was configured by somebody who knows what he wants.
func (a *arp) conflict(dev *link.Device, m wire.ARP) {
	ip := m.SenderIP()
	if !a.owns(dev, ip) || a.isOurs(m.SenderMAC()) {
		return // another of our devices on the same link
	}
	a.log.Warn("IPv4 address conflict: %v on %s is used by %v too", ip, dev.Name(), m.SenderMAC())
	if a.defences.may(claim{dev.Index(), ip}, a.clock.Now()) {
		a.announceNow(dev, ip, 1)
	}
}

// isOurs reports whether a device of this host has the hardware address.
func (a *arp) isOurs(mac wire.MAC) bool {
	for _, d := range a.link.Devices() {
		if d.MAC() == mac {
			return true
		}
	}
	return false
}

// The requests of strangers make at most learnBurst new entries at once on a
// device, and learnRate per second after that. The rest are answered all the same:
// an answer needs no entry.
const (
	learnBurst = 256
	learnRate  = 128
)

// learning is a token bucket for each device.
type learning struct {
	mu sync.Mutex
	m  map[*link.Device]*bucket
}

type bucket struct {
	tokens float64
	at     clock.Time
}

func (l *learning) allow(dev *link.Device, now clock.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.m[dev]
	if b == nil {
		if l.m == nil {
			l.m = map[*link.Device]*bucket{}
		}
		b = &bucket{learnBurst, now}
		l.m[dev] = b
	}
	b.tokens = min(learnBurst, b.tokens+now.Sub(b.at).Seconds()*learnRate)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// forget drops the bucket of a device.
func (l *learning) forget(dev *link.Device) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, dev)
}
