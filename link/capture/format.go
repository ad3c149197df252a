// Package capture writes what passes devices to a pcapng or pcap file, as tcpdump
// does, and reads such files.
//
// The formats are those of the IETF drafts draft-ietf-opsawg-pcapng and
// draft-ietf-opsawg-pcap. Files are written in little-endian order with nanoseconds
// and read in both orders with any resolution.
package capture

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/knitnet/knit/link"
)

// A Format is a file format.
type Format uint8

// File formats.
const (
	PCAPNG Format = iota
	PCAP          // classic: one link type, no interfaces, no directions
)

// A LinkType says how a frame begins (LINKTYPE_*).
type LinkType uint16

// Link types.
const (
	LinkEthernet LinkType = 1
	LinkRaw      LinkType = 101 // an IPv4 or IPv6 packet
)

// LinkTypeOf returns the link type of a device's frames.
func LinkTypeOf(dev *link.Device) LinkType {
	if dev.Type() == link.Ether {
		return LinkEthernet
	}
	return LinkRaw
}

// String returns the name that tcpdump prints.
func (t LinkType) String() string {
	switch t {
	case LinkEthernet:
		return "EN10MB"
	case LinkRaw:
		return "RAW"
	}
	return fmt.Sprint(uint16(t))
}

// An Interface is where packets were captured.
type Interface struct {
	Name    string // not in a classic file
	Type    LinkType
	Snaplen int // in bytes; 0: no limit
}

// A Direction is that of a packet, seen from the device; Unknown in a classic file.
type Direction uint8

// Directions, with the values of pcapng's epb_flags.
const (
	Unknown Direction = iota
	In
	Out
)

// A Stats counts what happened to one interface's packets.
type Stats struct {
	Seen     uint64 // passed the device in the direction that is wanted
	Received uint64 // and passed the filter
	Dropped  uint64 // and were lost because the reader was slow
}

// Block types and the options that are written (draft-ietf-opsawg-pcapng §4).
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockSimple     = 3
	blockStatistics = 5
	blockPacket     = 6

	byteOrderMagic = 0x1a2b3c4d

	optEnd         = 0
	optAppl        = 4 // of a section
	optName        = 2 // of an interface
	optResolution  = 9
	optTimeOffset  = 14
	optFlags       = 2 // of a packet
	optStart       = 2 // of statistics
	optStop        = 3
	optReceived    = 4
	optAccepted    = 6
	optOSDrop      = 7
	optDelivered   = 8
	nanoResolution = 9 // 10^-9 s

	magicMicro = 0xa1b2c3d4 // of a classic file
	magicNano  = 0xa1b23c4d

	maxSnaplen = 1 << 18 // what tcpdump takes for no limit
)

// checkInterfaces reports what a format cannot hold.
func (f Format) checkInterfaces(list []Interface) error {
	if f == PCAPNG {
		return nil
	}
	for _, i := range list {
		if i.Type != list[0].Type {
			return fmt.Errorf("a pcap file has one link type: %s is %v and %s is %v; pcapng takes both",
				list[0].Name, list[0].Type, i.Name, i.Type)
		}
	}
	return nil
}

// appendHeader appends the beginning of a file.
func (f Format) appendHeader(b []byte, list []Interface) []byte {
	le := binary.LittleEndian
	if f == PCAP {
		b = le.AppendUint32(b, magicNano)
		b = le.AppendUint16(b, 2)
		b = le.AppendUint16(b, 4)
		b = append(b, make([]byte, 8)...) // reserved
		snaplen := maxSnaplen
		t := LinkEthernet
		if len(list) > 0 {
			t = list[0].Type
			snaplen = snap(list[0].Snaplen)
		}
		b = le.AppendUint32(b, uint32(snaplen))
		return le.AppendUint32(b, uint32(t))
	}
	b = appendBlock(b, blockSection, func(b []byte) []byte {
		b = le.AppendUint32(b, byteOrderMagic)
		b = le.AppendUint16(b, 1)
		b = le.AppendUint16(b, 0)
		b = le.AppendUint64(b, 1<<64-1) // section length not known
		b = appendOption(b, optAppl, []byte("knit"))
		return appendOption(b, optEnd, nil)
	})
	for _, i := range list {
		b = appendInterface(b, i)
	}
	return b
}

func appendInterface(b []byte, i Interface) []byte {
	return appendBlock(b, blockInterface, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint16(b, uint16(i.Type))
		b = append(b, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(i.Snaplen))
		b = appendOption(b, optName, []byte(i.Name))
		b = appendOption(b, optResolution, []byte{nanoResolution})
		return appendOption(b, optEnd, nil)
	})
}

// appendStatistics appends the statistics block of an interface captured from start
// to now.
func appendStatistics(b []byte, index int, start, now time.Time, s Stats) []byte {
	le := binary.LittleEndian
	stamp := func(b []byte, t time.Time) []byte {
		ns := uint64(t.UnixNano())
		return le.AppendUint32(le.AppendUint32(b, uint32(ns>>32)), uint32(ns))
	}
	count := func(b []byte, code uint16, n uint64) []byte { return appendOption(b, code, le.AppendUint64(nil, n)) }
	return appendBlock(b, blockStatistics, func(b []byte) []byte {
		b = stamp(le.AppendUint32(b, uint32(index)), now)
		b = appendOption(b, optStart, stamp(nil, start))
		b = appendOption(b, optStop, stamp(nil, now))
		b = count(b, optReceived, s.Seen)
		b = count(b, optAccepted, s.Received)
		b = count(b, optOSDrop, s.Dropped)
		b = count(b, optDelivered, s.Received-s.Dropped)
		return appendOption(b, optEnd, nil)
	})
}

// appendBlock appends a block around what body appends.
func appendBlock(b []byte, t uint32, body func([]byte) []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, t)
	b = body(append(b, 0, 0, 0, 0))
	n := uint32(len(b) + 4 - start)
	binary.LittleEndian.PutUint32(b[start+4:], n)
	return binary.LittleEndian.AppendUint32(b, n)
}

func appendOption(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, pad(len(value)))...)
}

// pad returns how many bytes are missing to a multiple of four.
func pad(n int) int { return -n & 3 }

// snap returns the limit that a snaplen stands for.
func snap(n int) int {
	if n <= 0 || n > maxSnaplen {
		return maxSnaplen
	}
	return n
}

// Sizes in bytes of what stands around a packet's data.
const (
	ngHead  = 28
	ngTail  = 16 // flags, end of options, length
	oldHead = 16
)

// recordSize returns how many bytes a packet with n bytes of data takes.
func (f Format) recordSize(n int) int {
	if f == PCAP {
		return oldHead + n
	}
	return ngHead + n + pad(n) + ngTail
}

// putRecord writes a record, whose size is len(b), for n bytes of data of a packet
// of length bytes, and returns where the data belong. It does not allocate.
func (f Format) putRecord(b []byte, index int, at time.Time, dir Direction, n, length int) (data []byte) {
	le := binary.LittleEndian
	if f == PCAP {
		le.PutUint32(b[0:], uint32(at.Unix()))
		le.PutUint32(b[4:], uint32(at.Nanosecond()))
		le.PutUint32(b[8:], uint32(n))
		le.PutUint32(b[12:], uint32(length))
		return b[oldHead:]
	}
	ns := uint64(at.UnixNano())
	le.PutUint32(b[0:], blockPacket)
	le.PutUint32(b[4:], uint32(len(b)))
	le.PutUint32(b[8:], uint32(index))
	le.PutUint32(b[12:], uint32(ns>>32))
	le.PutUint32(b[16:], uint32(ns))
	le.PutUint32(b[20:], uint32(n))
	le.PutUint32(b[24:], uint32(length))
	end := ngHead + n
	clear(b[end : end+pad(n)])
	tail := b[end+pad(n):]
	le.PutUint16(tail[0:], optFlags)
	le.PutUint16(tail[2:], 4)
	le.PutUint32(tail[4:], uint32(dir))
	le.PutUint32(tail[8:], optEnd)
	le.PutUint32(tail[12:], uint32(len(b)))
	return b[ngHead:end]
}
