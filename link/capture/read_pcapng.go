package capture

import (
	"encoding/binary"
	"math"
	"math/bits"
	"time"
)

// nextBlock reads one block. It reports whether that was a packet; blocks not known
// are passed over.
func (d *Reader) nextBlock() (rec Record, ok bool, err error) {
	t, body, err := d.block()
	if err != nil {
		return rec, false, err
	}
	switch t {
	case blockSection:
		d.first = len(d.ifaces)
	case blockInterface:
		err = d.readInterface(body)
	case blockPacket:
		rec, err = d.readPacket(body)
		return rec, err == nil, err
	case blockSimple:
		rec, err = d.readSimple(body)
		return rec, err == nil, err
	}
	return rec, false, err
}

// block returns the type and the body of the next block.
func (d *Reader) block() (t uint32, body []byte, err error) {
	head, err := d.r.Peek(12)
	if len(head) < 12 {
		if len(head) > 0 {
			err = noEOF(err)
		}
		return 0, nil, err
	}
	if binary.LittleEndian.Uint32(head) == blockSection {
		// A new section may have another byte order.
		switch {
		case binary.LittleEndian.Uint32(head[8:]) == byteOrderMagic:
			d.order = binary.LittleEndian
		case binary.BigEndian.Uint32(head[8:]) == byteOrderMagic:
			d.order = binary.BigEndian
		default:
			return 0, nil, d.damaged("byte-order magic % x", head[8:])
		}
	}
	t = d.order.Uint32(head)
	n := d.order.Uint32(head[4:])
	if n < 12 || n%4 != 0 || n > maxBlock || t == blockSection && n < 28 {
		return 0, nil, d.damaged("block of %d bytes", n)
	}
	b, err := d.take(int(n))
	if err != nil {
		return 0, nil, noEOF(err)
	}
	if again := d.order.Uint32(b[n-4:]); again != n {
		return 0, nil, d.damaged("block of %d bytes says %d at its end", n, again)
	}
	return t, b[8 : n-4], nil
}

// options calls f for each option of a block until the end; damage ends it too.
func (d *Reader) options(b []byte, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := d.order.Uint16(b), int(d.order.Uint16(b[2:]))
		b = b[4:]
		if code == optEnd || n > len(b) {
			return
		}
		f(code, b[:n])
		b = b[min(n+pad(n), len(b)):]
	}
}

func (d *Reader) readInterface(b []byte) error {
	if len(b) < 8 {
		return d.damaged("interface description of %d bytes", len(b))
	}
	s := source{units: 1e6}
	s.Type = LinkType(d.order.Uint16(b))
	s.Snaplen = int(d.order.Uint32(b[4:]))
	bad := false
	d.options(b[8:], func(code uint16, v []byte) {
		switch {
		case code == optName:
			s.Name = string(v)
		case code == optResolution && len(v) == 1:
			s.units = unitsOf(v[0])
			bad = bad || s.units == 0
		case code == optTimeOffset && len(v) == 8:
			s.offset = int64(d.order.Uint64(v))
		}
	})
	if bad {
		return d.damaged("time stamps finer than 64 bits hold")
	}
	d.ifaces = append(d.ifaces, s)
	return nil
}

// unitsOf returns the units a second of an if_tsresol: a power of ten, or of two if
// the highest bit is set; 0 when 64 bits do not hold it.
func unitsOf(resol byte) uint64 {
	if resol&0x80 != 0 {
		return 1 << (resol & 0x7f)
	}
	units := uint64(1)
	for range resol {
		hi, lo := bits.Mul64(units, 10)
		if hi != 0 {
			return 0
		}
		units = lo
	}
	return units
}

// when translates a time stamp.
func (s *source) when(hi, lo uint32) time.Time {
	ts := uint64(hi)<<32 | uint64(lo)
	sec, rest := ts/s.units, ts%s.units
	// rest < units, so the quotient fits.
	h, l := bits.Mul64(rest, 1e9)
	ns, _ := bits.Div64(h, l, s.units)
	if sec > math.MaxInt32*64 {
		sec = math.MaxInt32 * 64 // past the year 6000: damage
	}
	return time.Unix(int64(sec)+s.offset, int64(ns)).UTC()
}

func (d *Reader) readPacket(b []byte) (Record, error) {
	if len(b) < 20 {
		return Record{}, d.damaged("packet block of %d bytes", len(b))
	}
	i := uint64(d.order.Uint32(b)) + uint64(d.first)
	n := int64(d.order.Uint32(b[12:]))
	if i >= uint64(len(d.ifaces)) {
		return Record{}, d.damaged("packet of interface %d, which is not described", i-uint64(d.first))
	}
	if n > int64(len(b)-20) {
		return Record{}, d.damaged("%d bytes of packet in a block of %d", n, len(b))
	}
	rec := Record{
		Interface: int(i),
		Time:      d.ifaces[i].when(d.order.Uint32(b[4:]), d.order.Uint32(b[8:])),
		Length:    int(d.order.Uint32(b[16:])),
		Data:      b[20 : 20+n],
	}
	rest := b[20+n:]
	d.options(rest[min(pad(int(n)), len(rest)):], func(code uint16, v []byte) {
		if code == optFlags && len(v) == 4 {
			if dir := Direction(d.order.Uint32(v) & 3); dir <= Out {
				rec.Direction = dir
			}
		}
	})
	return rec, nil
}

// readSimple reads a packet without a time, of the section's first interface.
func (d *Reader) readSimple(b []byte) (Record, error) {
	if len(b) < 4 || len(d.ifaces) <= d.first {
		return Record{}, d.damaged("simple packet block of %d bytes with %d interfaces", len(b), len(d.ifaces)-d.first)
	}
	length := d.order.Uint32(b)
	n := int(min(length, uint32(len(b)-4)))
	if s := d.ifaces[d.first].Snaplen; s > 0 {
		n = min(n, s)
	}
	return Record{Interface: d.first, Length: int(length), Data: b[4 : 4+n]}, nil
}
