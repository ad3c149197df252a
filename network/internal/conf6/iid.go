package conf6

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// InterfaceID returns the interface identifier of dev's address in a /64 prefix.
// tries counts the identifiers that other nodes turned out to have: only those of
// RFC 7217 change with it (stable), an EUI-64 does not. It is not ok when the mode
// makes none.
func (c *Conf) InterfaceID(dev *link.Device, prefix netip.Addr, tries int) (id [8]byte, stable, ok bool) {
	mode := c.AddrGenMode.Load()
	hasMAC := dev.Type() == link.Ether
	switch {
	case mode == GenStablePrivacy:
		if s := c.StableSecret.Load(); s == nil || s.IsUnspecified() {
			return id, false, false
		}
	case mode == GenEUI64 && hasMAC, mode == GenNone && hasMAC:
		return EUI64(dev.MAC()), false, true
	}
	return StableID(c.secret(), prefix, dev.Name(), tries), true, true
}

// secret returns the secret of RFC 7217 §5; without one from outside it is drawn
// once.
func (c *Conf) secret() netip.Addr {
	var b [16]byte
	rand.Read(b[:])
	drawn := netip.AddrFrom16(b)
	for {
		old := c.StableSecret.Load()
		if old != nil && !old.IsUnspecified() {
			return *old
		}
		if c.StableSecret.CompareAndSwap(old, &drawn) {
			return drawn
		}
	}
}

// EUI64 returns the modified EUI-64 of an Ethernet address (RFC 2464 §4): "formed
// from the EUI-64 by complementing the 'Universal/Local' (U/L) bit".
func EUI64(m wire.MAC) [8]byte {
	return [8]byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}
}

// StableID returns F(Prefix, Net_Iface, Network_ID, DAD_Counter, secret_key) of
// RFC 7217 §5, with the device's name as Net_Iface and without a Network_ID.
func StableID(secret, prefix netip.Addr, name string, tries int) (id [8]byte) {
	p, s := prefix.As16(), secret.As16()
	for {
		h := sha256.New()
		h.Write(p[:8])
		h.Write([]byte(name))
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(tries)))
		h.Write(s[:])
		copy(id[:], h.Sum(nil))
		if !Reserved(id) {
			return id
		}
		tries++ // RFC 7217 §5, step 3
	}
}

// RandomID returns the identifier of a temporary address (RFC 8981 §3.3.1).
func RandomID() (id [8]byte) {
	for {
		rand.Read(id[:])
		if !Reserved(id) {
			return id
		}
	}
}

// Reserved reports whether an identifier must not be made up: those of RFC 5453 §3.
func Reserved(id [8]byte) bool {
	v := binary.BigEndian.Uint64(id[:])
	return v == 0 || // subnet-router anycast (RFC 4291 §2.6.1)
		v >= 0x02005efffe000000 && v <= 0x02005efffe005212 || // IANA's Ethernet block

		v >= 0xfdffffffffffff80 && v <= 0xfdffffffffffffff // subnet anycast (RFC 2526)
}

// WithID returns the address of a /64 prefix and an identifier.
func WithID(prefix netip.Addr, id [8]byte) netip.Addr {
	b := prefix.As16()
	copy(b[8:], id[:])
	return netip.AddrFrom16(b)
}
