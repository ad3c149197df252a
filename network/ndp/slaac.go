package ndp

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// autoconfigure makes and refreshes the addresses of a prefix (RFC 4862 §5.5.3).
func (i *iface) autoconfigure(prefix netip.Prefix, p wire.NDPPrefix) {
	valid, preferred := lifetime(p.Valid), lifetime(p.Preferred)
	if preferred > valid {
		return // (c)
	}
	if prefix.Bits() != 64 {
		return // (d): "the sum of the prefix length and interface identifier length does not equal 128 bits"
	}
	found := false
	for _, a := range i.d.net.Addrs(i.dev.Index()) {
		if a.Proto != route.ProtoRA || a.Prefix.Masked() != prefix {
			continue
		}
		found = found || a.Flags&network.Temporary == 0
		i.refresh(a, valid, preferred)
	}
	if !found && valid > 0 {
		i.newAddr(prefix, valid, preferred)
	}
	if valid > 0 {
		i.temporaries(prefix, valid, preferred)
	}
}

// newAddr makes the address of a prefix.
func (i *iface) newAddr(prefix netip.Prefix, valid, preferred time.Duration) {
	i.d.mu.Lock()
	tries := i.conflicts[prefix]
	i.d.mu.Unlock()
	c := i.d.conf.Of(i.dev.Index())
	id, stable, ok := c.InterfaceID(i.dev, prefix.Addr(), tries)
	if !ok || tries > maxTries || !i.d.room(i.dev) {
		return
	}
	var flags network.AddrFlags
	if stable {
		flags |= network.StablePrivacy
	}
	if c.UseTempAddr.Load() > 0 {
		flags |= network.MngTempAddr
	}
	i.add(prefix, id, flags, valid, preferred)
}

// add makes one address. Its prefix's being on the link is another matter (RFC 4861
// §6.3.4), so it brings no route.
func (i *iface) add(prefix netip.Prefix, id [8]byte, flags network.AddrFlags, valid, preferred time.Duration) {
	now := i.d.net.Clock.Now()
	a := network.Addr{
		Prefix: netip.PrefixFrom(conf6.WithID(prefix.Addr(), id), prefix.Bits()),
		Flags:  flags | network.NoPrefixRoute, Proto: route.ProtoRA,
		ValidUntil: end(now, valid), PreferredUntil: end(now, preferred),
	}
	if preferred == 0 {
		a.Flags |= network.Deprecated
	}
	i.d.net.AddAddr(i.dev, a) // one that is there already was made by hand
}

// end is until in the terms of network.Addr, where 0 means never.
func end(now clock.Time, d time.Duration) clock.Time {
	if d == forever {
		return 0
	}
	return max(now.Add(d), 1)
}

// twoHours bounds how far an advertisement can shorten a lifetime.
const twoHours = 2 * time.Hour

// refresh takes over lifetimes for an address that is there (RFC 4862 §5.5.3 (e)).
func (i *iface) refresh(a *network.Addr, valid, preferred time.Duration) {
	now := i.d.net.Clock.Now()
	left := forever
	if a.ValidUntil != 0 {
		left = a.ValidUntil.Sub(now)
	}
	valid = newLifetime(left, valid)
	if a.Flags&network.Temporary != 0 {
		// They live no longer than was decided when they were made (RFC 8981 §3.4).
		valid = min(valid, left)
		if a.PreferredUntil != 0 {
			preferred = min(preferred, a.PreferredUntil.Sub(now))
		}
	}
	preferred = max(min(preferred, valid), 0)
	i.d.net.UpdateAddr(i.dev, a.Prefix, func(a *network.Addr) {
		a.ValidUntil, a.PreferredUntil = end(now, valid), end(now, preferred)
		a.Flags &^= network.Deprecated | network.Permanent
		if preferred == 0 {
			a.Flags |= network.Deprecated
		}
		if a.ValidUntil == 0 {
			a.Flags |= network.Permanent
		}
	})
}

// newLifetime returns the valid lifetime of an address that has left to live when
// an advertisement says valid:
//
//  1. "If the received Valid Lifetime is greater than 2 hours or greater than
//     RemainingLifetime, set the valid lifetime of the corresponding address to the
//     advertised Valid Lifetime.
//  2. If RemainingLifetime is less than or equal to 2 hours, ignore the Prefix
//     Information option with regards to the valid lifetime [...].
//  3. Otherwise, reset the valid lifetime of the corresponding address to 2 hours."
func newLifetime(left, valid time.Duration) time.Duration {
	switch {
	case valid > twoHours || valid > left:
		return valid
	case left <= twoHours:
		return left
	}
	return twoHours
}

// regenAdvance is how long before a temporary address is deprecated its successor
// is made: REGEN_ADVANCE of RFC 8981 §3.8, "2 + (TEMP_IDGEN_RETRIES *
// DupAddrDetectTransmits * RetransTimer / 1000)" seconds, with the defaults.
const regenAdvance = 5 * time.Second

// temporaries makes a temporary address if the prefix has none that is preferred
// for a while (RFC 8981 §3.4). Advertisements come often enough to make its
// successor then.
func (i *iface) temporaries(prefix netip.Prefix, valid, preferred time.Duration) {
	c := i.d.conf.Of(i.dev.Index())
	if c.UseTempAddr.Load() <= 0 || !i.d.room(i.dev) {
		return
	}
	now := i.d.net.Clock.Now()
	for _, a := range i.d.net.Addrs(i.dev.Index()) {
		if a.Proto == route.ProtoRA && a.Prefix.Masked() == prefix && a.Flags&network.Temporary != 0 &&
			a.Flags&network.Deprecated == 0 && (a.PreferredUntil == 0 || a.PreferredUntil.Sub(now) > regenAdvance) {
			return
		}
	}
	longest := time.Duration(c.TempPreferred.Load()) * time.Second
	// DESYNC_FACTOR: hosts must not change addresses all at once (§3.8).
	longest -= random(0, min(longest*2/5, 10*time.Minute))
	valid = min(valid, time.Duration(c.TempValid.Load())*time.Second)
	if preferred = min(preferred, longest); preferred > regenAdvance {
		i.add(prefix, conf6.RandomID(), network.Temporary, valid, preferred)
	}
}
