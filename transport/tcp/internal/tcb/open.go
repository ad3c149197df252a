package tcb

import (
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// noThreshold abbreviates cc.NoThreshold.
const noThreshold = cc.NoThreshold

// initialRTO is the retransmission timeout before the first sample (RFC 6298
// §2.1), and fallbackRTO what it becomes when the SYN timed out (§5.7).
const (
	initialRTO  = time.Second
	fallbackRTO = 3 * time.Second
)

// Connect opens the connection actively: the next Output is the SYN (RFC 9293
// §3.10.1). c must come from Defaults.
func (t *TCB) Connect(now clock.Time, c *Config, s Start) {
	t.open(now, c, &s)
	t.flags |= flagActive
	t.state = SynSent
	t.out |= outSyn
}

// Accept opens the connection passively, in answer to the SYN syn, which the
// shell took in LISTEN: the next Output is the SYN-ACK. Data on the SYN is not
// acknowledged, so the peer sends it again; the shell ends that packet.
func (t *TCB) Accept(now clock.Time, c *Config, s Start, syn *Segment) {
	t.open(now, c, &s)
	t.synIn(now, syn)
	t.state = SynReceived
	t.out |= outSyn
}

// AcceptCookie opens the connection in SYN-RECEIVED from a SYN cookie that the
// shell has checked (RFC 4987 §3.6). The segment that carried it, which is the
// ACK of the handshake, goes to Input next. s.ISS is ignored.
func (t *TCB) AcceptCookie(now clock.Time, c *Config, s Start, k *Cookie) {
	s.ISS = k.ISS
	t.open(now, c, &s)
	t.synIn(now, &Segment{Seq: k.IRS, Flags: SYN, Window: k.Window, Options: k.Options})
	if t.has(flagWScale) {
		t.rcvShift = k.OurWScale
	}
	t.state = SynReceived
	t.nxt = t.iss + 1
	t.rcvAdv = t.rcvNxt.Add(t.synWindow())
	t.rcvAcked = t.rcvNxt
	t.armRTO(now)
}

func (t *TCB) open(now clock.Time, c *Config, s *Start) {
	t.cfg = c
	t.overhead = uint8(s.Overhead)
	t.peerMSS = 536 // RFC 9293 §3.7.1
	if s.Overhead == 0 {
		t.overhead = 40
	}
	if t.overhead >= 60 {
		t.peerMSS = 1220
	}
	t.mtu = uint32(max(s.MTU, int(t.overhead)+minMSS))
	t.ourMSS = uint16(min(s.MSS, 65535))
	if s.MSS == 0 {
		t.ourMSS = uint16(min(int(t.mtu)-int(t.overhead), 65535))
	}
	t.rmss = min(t.ourMSS, 536)
	t.MaxSegment = uint32(s.MaxSegment)
	t.tsOffset = s.TSOffset
	t.iss, t.una, t.nxt, t.end = s.ISS, s.ISS, s.ISS, s.ISS+1
	t.recover, t.highRxt, t.lostTo = s.ISS, s.ISS, s.ISS
	if !t.has(flagRcvBufFixed) {
		t.rcvBuf = uint32(c.RcvBuf.Default)
	}
	t.scaleWindow()
	t.quick = uint8(min(c.QuickAcks, 255))
	t.rto = initialRTO
	t.lastRecv, t.lastSend, t.progress = now, now, now
	t.alg = s.CC
	t.updateMSS()
}

// scaleWindow chooses the shift of our window, for the SYN that is not sent yet:
// the largest window that the connection may come to offer has to fit.
func (t *TCB) scaleWindow() {
	most := t.cfg.RcvBuf.Max
	if t.has(flagRcvBufFixed) {
		most = int(t.rcvBuf)
	}
	t.rcvShift = 0
	if t.state != SynReceived || t.has(flagWScale) {
		t.rcvShift = windowShift(min(most, t.cfg.WindowClamp))
	}
}

// windowShift returns the smallest shift that expresses a window of n bytes
// (RFC 7323 §2.2).
func windowShift(n int) (shift uint8) {
	for shift < 14 && n>>shift > 65535 {
		shift++
	}
	return shift
}

// synIn takes what the peer's SYN says.
func (t *TCB) synIn(now clock.Time, syn *Segment) {
	t.irs = syn.Seq
	t.rcvNxt = syn.Seq + 1
	t.rcvAdv = t.rcvNxt.Add(t.synWindow())
	// "The window field in a segment where the SYN bit is set MUST NOT be
	// scaled" (RFC 7323 §2.2).
	t.sndWnd = uint32(syn.Window)
	t.maxWnd = t.sndWnd
	t.wl1, t.wl2 = syn.Seq, t.una
	t.negotiate(now, &syn.Options)
}

// negotiate settles the options. Each is on only when both sides sent it; in
// a SYN of ours that answers one we only send what the peer offered.
func (t *TCB) negotiate(now clock.Time, o *Options) {
	if o.Has&HasMSS != 0 {
		t.peerMSS = o.MSS
	}
	if o.Has&HasWScale != 0 && !t.cfg.NoWindowScale {
		t.flags |= flagWScale
		t.sndShift = min(o.WScale, 14) // RFC 7323 §2.3: treat more as 14
	} else {
		t.rcvShift = 0
	}
	t.setFlag(flagSACK, o.Has&HasSACKPermitted != 0 && !t.cfg.NoSACK)
	t.setFlag(flagTimestamps, o.Has&HasTimestamps != 0 && !t.cfg.NoTimestamps)
	if t.has(flagTimestamps) {
		t.tsRecent, t.tsRecentAt = o.TSVal, now
	}
	t.updateMSS()
}

// establish enters ESTABLISHED, or FIN-WAIT-1 when the application has already
// closed.
func (t *TCB) establish(now clock.Time) {
	t.state = Established
	if t.has(flagFin) {
		t.state = FinWait1
	}
	t.retries, t.backoff, t.soft = 0, 0, 0
	if t.has(flagSynRexmit) && t.win.SRTT == 0 {
		t.rto = max(t.rto, fallbackRTO)
	}
	t.events |= EventEstablished | EventWritable
	t.startCC(now)
	t.lastSend = now
	t.armAlive(now)
}

// minMSS is the smallest segment that we are ready to send, whatever the peer
// or the path claims: a smaller one is nothing but headers, and a way to make
// us work (CVE-2019-11479).
const minMSS = 88

// updateMSS derives the segment size from the peer's MSS and the path's MTU,
// less the options that are in every segment (RFC 6691 §2, RFC 9293 §3.7.1).
func (t *TCB) updateMSS() {
	m := max(min(int(t.peerMSS), int(t.mtu)-int(t.overhead)), minMSS)
	if t.has(flagTimestamps) {
		m -= timestampBytes
	}
	t.mss = uint16(min(m, 65535-timestampBytes))
	t.win.MSS = uint32(t.mss)
	if t.state.synchronized() {
		t.win.Set(t.win.Cwnd)
	}
}

// startCC gives the congestion control its initial window (RFC 6928 §2):
// min(10*MSS, max(2*MSS, 14600)), or one segment when the SYN was lost
// (RFC 5681 §3.1).
func (t *TCB) startCC(now clock.Time) {
	n := uint32(t.cfg.InitialWindow)
	mss := uint32(t.mss)
	t.win.Initial = min(n*mss, max(2*mss, n*1460))
	t.win.Cwnd = t.win.Initial
	if t.has(flagSynRexmit) {
		t.win.Cwnd = mss
	}
	t.win.Ssthresh = noThreshold
	t.control().Init(now, &t.win)
}
