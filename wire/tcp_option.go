package wire

// Kinds of TCP options.
const (
	TCPOptEnd           = 0 // RFC 9293 §3.2
	TCPOptNop           = 1 // RFC 9293 §3.2
	TCPOptMSS           = 2 // RFC 9293 §3.2
	TCPOptWindowScale   = 3 // RFC 7323 §2.2
	TCPOptSACKPermitted = 4 // RFC 2018 §2
	TCPOptSACK          = 5 // RFC 2018 §3
	TCPOptTimestamps    = 8 // RFC 7323 §3.2
)

// TCPTimestampsLen is the length of the usual option area of an established
// connection: two NOPs and Timestamps, in bytes (RFC 7323 app. A).
const TCPTimestampsLen = 12

// timestampsWord starts that area: NOP, NOP, kind 8, length 10.
const timestampsWord = TCPOptNop<<24 | TCPOptNop<<16 | TCPOptTimestamps<<8 | 10

// TCPMaxSACK is how many SACK blocks fit into the option area.
const TCPMaxSACK = 4

// A TCPOptionSet says which options are present.
type TCPOptionSet uint8

// The options of TCPOptions.
const (
	TCPHasMSS TCPOptionSet = 1 << iota
	TCPHasWindowScale
	TCPHasSACKPermitted
	TCPHasTimestamps
)

// Has reports whether all of t are in s.
func (s TCPOptionSet) Has(t TCPOptionSet) bool { return s&t == t }

// A SACKBlock is a block of received data: Left is its first sequence number
// and Right the one after its last (RFC 2018 §3). Nothing says that it makes
// sense.
type SACKBlock struct{ Left, Right uint32 }

// TCPOptions are the options that TCP acts upon. A field is meaningful only
// if Present says so, a SACK block only below NumSACK.
type TCPOptions struct {
	Present     TCPOptionSet
	NumSACK     uint8
	WindowScale uint8 // shift count as sent; above 14 the receiver uses 14 (RFC 7323 §2.3)
	MSS         uint16
	TSVal       uint32
	TSEcr       uint32
	SACK        [TCPMaxSACK]SACKBlock
}

// Blocks returns the SACK blocks that are present.
func (o *TCPOptions) Blocks() []SACKBlock { return o.SACK[:min(o.NumSACK, TCPMaxSACK)] }

// Parse fills o from option area b. Unknown options are skipped
// (RFC 9293 §3.1, MUST-6), and so are known ones of a length that is not
// theirs. It returns false if a length is illegal - less than 2 or beyond the
// area (MUST-7) - and o then holds what came before.
func (o *TCPOptions) Parse(b []byte) bool {
	o.Present, o.NumSACK = 0, 0
	if len(b) == TCPTimestampsLen && be.Uint32(b) == timestampsWord {
		o.Present = TCPHasTimestamps
		o.TSVal, o.TSEcr = be.Uint32(b[4:8]), be.Uint32(b[8:12])
		return true
	}
	return o.parseAny(b)
}

func (o *TCPOptions) parseAny(b []byte) bool {
	for len(b) > 0 {
		switch b[0] {
		case TCPOptEnd:
			return true
		case TCPOptNop:
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return false
		}
		n := int(b[1])
		o.take(b[0], b[2:n])
		b = b[n:]
	}
	return true
}

// take stores the option of a kind whose data is d.
func (o *TCPOptions) take(kind byte, d []byte) {
	switch {
	case kind == TCPOptMSS && len(d) == 2:
		o.Present |= TCPHasMSS
		o.MSS = be.Uint16(d)
	case kind == TCPOptWindowScale && len(d) == 1:
		o.Present |= TCPHasWindowScale
		o.WindowScale = d[0]
	case kind == TCPOptSACKPermitted && len(d) == 0:
		o.Present |= TCPHasSACKPermitted
	case kind == TCPOptTimestamps && len(d) == 8:
		o.Present |= TCPHasTimestamps
		o.TSVal, o.TSEcr = be.Uint32(d), be.Uint32(d[4:])
	case kind == TCPOptSACK && len(d) >= 8 && len(d)%8 == 0:
		for o.NumSACK = 0; len(d) > 0 && o.NumSACK < TCPMaxSACK; d = d[8:] {
			o.SACK[o.NumSACK] = SACKBlock{be.Uint32(d), be.Uint32(d[4:])}
			o.NumSACK++
		}
	}
}

// sackRoom returns how many SACK blocks fit behind used bytes of options.
func (o *TCPOptions) sackRoom(used int) int {
	return min(int(o.NumSACK), TCPMaxSACK, max(0, (TCPMaxOptions-used-4)/8))
}

// Len returns the length that Put will write in bytes, a multiple of 4.
func (o *TCPOptions) Len() int {
	n := 0
	if o.Present&TCPHasMSS != 0 {
		n += 4
	}
	if o.Present&TCPHasTimestamps != 0 {
		n += TCPTimestampsLen
	} else if o.Present&TCPHasSACKPermitted != 0 {
		n += 4
	}
	if o.Present&TCPHasWindowScale != 0 {
		n += 4
	}
	if o.NumSACK != 0 {
		if k := o.sackRoom(n); k > 0 {
			n += 4 + 8*k
		}
	}
	return n
}

// Put writes the options into b and returns their length in bytes, Len. The
// order is that of Linux, each option aligned as RFC 7323 app. A and RFC 2018
// §3 show; SACK-Permitted takes the place of the NOPs before Timestamps. SACK
// comes last and has as many blocks as still fit: three with timestamps.
func (o *TCPOptions) Put(b []byte) int {
	if o.Present == TCPHasTimestamps && o.NumSACK == 0 {
		p := (*[TCPTimestampsLen]byte)(b)
		be.PutUint32(p[0:4], timestampsWord)
		be.PutUint64(p[4:12], uint64(o.TSVal)<<32|uint64(o.TSEcr))
		return TCPTimestampsLen
	}
	return o.putAny(b)
}

func (o *TCPOptions) putAny(b []byte) int {
	n := 0
	if o.Present&TCPHasMSS != 0 {
		be.PutUint32(b, TCPOptMSS<<24|4<<16|uint32(o.MSS))
		n = 4
	}
	n += o.putSACKPermittedAndTimestamps(b[n:])
	if o.Present&TCPHasWindowScale != 0 {
		be.PutUint32(b[n:], TCPOptNop<<24|TCPOptWindowScale<<16|3<<8|uint32(o.WindowScale))
		n += 4
	}
	k := o.sackRoom(n)
	if k == 0 {
		return n
	}
	be.PutUint32(b[n:], TCPOptNop<<24|TCPOptNop<<16|TCPOptSACK<<8|uint32(2+8*k))
	n += 4
	for _, s := range o.SACK[:k] {
		be.PutUint32(b[n:], s.Left)
		be.PutUint32(b[n+4:], s.Right)
		n += 8
	}
	return n
}

func (o *TCPOptions) putSACKPermittedAndTimestamps(b []byte) int {
	const sackPermitted = TCPOptSACKPermitted<<8 | 2
	switch o.Present & (TCPHasSACKPermitted | TCPHasTimestamps) {
	case TCPHasSACKPermitted:
		be.PutUint32(b, TCPOptNop<<24|TCPOptNop<<16|sackPermitted)
		return 4
	case TCPHasTimestamps:
		be.PutUint32(b, timestampsWord)
	case TCPHasSACKPermitted | TCPHasTimestamps:
		be.PutUint32(b, sackPermitted<<16|TCPOptTimestamps<<8|10)
	default:
		return 0
	}
	be.PutUint32(b[4:], o.TSVal)
	be.PutUint32(b[8:], o.TSEcr)
	return TCPTimestampsLen
}
