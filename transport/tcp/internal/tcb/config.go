package tcb

import (
	"time"

	"github.com/knitnet/knit/transport/tcp/cc"
)

// A Range bounds a buffer that tunes itself, in bytes, as tcp_rmem and
// tcp_wmem do.
type Range struct{ Min, Default, Max int }

// Config holds what connections have in common. It is shared by pointer and
// must not change while a connection uses it. The zero value of a field means
// the default named beside it; Defaults fills them in.
type Config struct {
	RcvBuf Range // 4 KiB, 128 KiB, 6 MiB; at most 1 GiB (RFC 7323 §2.3)
	SndBuf Range // 4 KiB, 64 KiB, 4 MiB
	// WindowClamp bounds the window that is advertised; RcvBuf.Max.
	WindowClamp int

	NoWindowScale bool // do not offer or accept window scaling
	NoTimestamps  bool // do not offer or accept timestamps
	NoSACK        bool // do not offer or accept SACK

	// InitialWindow is the initial congestion window in segments; 10 (RFC
	// 6928 §2).
	InitialWindow int

	SynRetries    int // of a SYN; 6
	SynAckRetries int // of a SYN-ACK; 5
	// Retries1 is R1 of RFC 1122 §4.2.3.5, at which a new route is asked for;
	// 3. Retries2 is R2, at which the connection is given up; 15, which with
	// the RTO's back-off is far above the 100 s that the RFC demands.
	Retries1, Retries2 int
	// OrphanRetries is R2 once the application has closed; 8, at least the
	// RFC's 100 s.
	OrphanRetries int

	MinRTO time.Duration // 200 ms
	MaxRTO time.Duration // 120 s

	DelayedAck time.Duration // 40 ms; RFC 9293 §3.8.6.3 allows 500 ms
	// QuickAcks is how many segments are acknowledged at once at the start;
	// 16.
	QuickAcks int

	TimeWait time.Duration // 2*MSL; 60 s
	FinWait2 time.Duration // after Close; 60 s

	// ChallengeInterval is the shortest time between two challenge ACKs of a
	// connection (RFC 5961 §7); 500 ms. There is no limit for all connections
	// together: who is not on the path could read from it what others receive
	// (CVE-2016-5696).
	ChallengeInterval time.Duration
}

// Defaults returns a copy with every zero field set to its default.
func (c Config) Defaults() *Config {
	c.RcvBuf = c.RcvBuf.or(Range{4 << 10, 128 << 10, 6 << 20})
	c.SndBuf = c.SndBuf.or(Range{4 << 10, 64 << 10, 4 << 20})
	c.RcvBuf.Max = min(c.RcvBuf.Max, maxWindow)
	c.RcvBuf.Default = min(c.RcvBuf.Default, c.RcvBuf.Max)
	set(&c.WindowClamp, c.RcvBuf.Max)
	set(&c.InitialWindow, 10)
	set(&c.SynRetries, 6)
	set(&c.SynAckRetries, 5)
	set(&c.Retries1, 3)
	set(&c.Retries2, 15)
	set(&c.OrphanRetries, 8)
	set(&c.MinRTO, 200*time.Millisecond)
	set(&c.MaxRTO, 120*time.Second)
	set(&c.DelayedAck, 40*time.Millisecond)
	set(&c.QuickAcks, 16)
	set(&c.TimeWait, 60*time.Second)
	set(&c.FinWait2, 60*time.Second)
	set(&c.ChallengeInterval, 500*time.Millisecond)
	return &c
}

// or fills the zero fields of r from d and puts them in order.
func (r Range) or(d Range) Range {
	set(&r.Min, d.Min)
	set(&r.Default, max(d.Default, r.Min))
	set(&r.Max, max(d.Max, r.Default))
	r.Min = min(r.Min, r.Max)
	r.Default = min(max(r.Default, r.Min), r.Max)
	return r
}

func set[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// maxWindow is the largest window that scaling can express: 65535 << 14,
// rounded to the gigabyte that RFC 7323 §2.3 names.
const maxWindow = 1 << 30

// Start is what a new connection needs beside its Config.
type Start struct {
	ISS Seq // initial send sequence number, by RFC 6528
	// TSOffset is added to the timestamp clock, so that it tells nothing
	// about the machine's uptime (RFC 7323 §7.1).
	TSOffset uint32
	MTU      int // of the path, in bytes
	// MSS is the largest payload to accept, which is announced to the peer;
	// zero means MTU less Overhead (RFC 6691 §2).
	MSS int
	// Overhead is the bytes of the IP and TCP headers without options: 40
	// for IPv4, 60 for IPv6. Zero means 40.
	Overhead int
	// MaxSegment bounds the payload of one Output, for a device that cuts;
	// zero means that nobody cuts and each is at most one MSS.
	MaxSegment int
	// CC is this connection's own congestion control; nil means the plain
	// slow start and congestion avoidance of RFC 5681.
	CC cc.Algorithm
}

// A Cookie is what a SYN cookie remembers of the handshake. The shell checks
// it and decodes it.
type Cookie struct {
	ISS, IRS Seq
	Window   uint16 // of the SYN, or 0
	Options         // of the SYN: MSS, WScale, SACK-permitted; TSVal is the peer's latest
	// OurWScale is the shift that the SYN-ACK announced.
	OurWScale uint8
}
