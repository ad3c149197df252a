package tcb

import (
	"time"

	"github.com/knitnet/knit/core/clock"
)

// counters count since the connection opened, as struct tcp_info does.
type counters struct {
	bytesAcked, bytesReceived uint64
	bytesSent, bytesRexmit    uint64
	delivered                 uint64 // bytes that the peer has, SACKed ones included
	segsIn, segsOut           uint32
	dataIn, dataOut           uint32
	rexmits                   uint32
	dsacks                    uint32
}

// Info is a snapshot of a connection, with what `ss -i` shows. Sizes are in
// bytes.
type Info struct {
	State      State
	CC         string // congestion control
	Phase      string // "open", "recovery" or "loss"
	Timestamps bool
	SACK       bool
	WScale     bool
	SndWScale  uint8
	RcvWScale  uint8

	RTO, RTT, RTTVar, MinRTT time.Duration
	RcvRTT                   time.Duration

	MSS, RcvMSS, AdvMSS, PMTU int
	Cwnd, Ssthresh            int // Ssthresh is 0 before the first congestion
	SndWnd, RcvWnd            int
	Unacked, Sacked, Lost     int
	Retrans                   int // retransmitted and not acknowledged yet
	NotSent, Unread           int
	RcvSpace                  int // the receive buffer that autotuning has reached
	OutOfOrder                int // bytes in the reassembly queue
	Backoff                   int
	Timer                     string // "on", "persist", "keepalive" or ""

	BytesAcked, BytesReceived, BytesSent, BytesRetrans, Delivered uint64
	SegsIn, SegsOut, DataSegsIn, DataSegsOut, RetransSegs         uint32
	DSACKs, ChallengeACKs                                         uint32

	LastSend, LastRecv clock.Time // of data, of anything acceptable
}

// Info returns the snapshot.
func (t *TCB) Info() Info {
	i := Info{
		State: t.state, CC: t.ccName(), Phase: t.phase.String(),
		Timestamps: t.has(flagTimestamps), SACK: t.has(flagSACK), WScale: t.has(flagWScale),
		SndWScale: t.sndShift, RcvWScale: t.rcvShift,
		RTO: t.rto, RTT: t.win.SRTT, RTTVar: t.rttvar, MinRTT: t.win.MinRTT, RcvRTT: t.tune.rtt,
		MSS: int(t.mss), RcvMSS: int(t.rmss), AdvMSS: int(t.ourMSS), PMTU: int(t.mtu),
		Cwnd: int(t.win.Cwnd), SndWnd: int(t.sndWnd), RcvWnd: max(0, t.rcvAdv.Sub(t.rcvNxt)),
		Unacked: t.nxt.Sub(t.una), Sacked: int(t.sacked), Lost: int(t.lost), Retrans: int(t.rtxOut),
		NotSent: t.Unsent(), Unread: t.Unread(), RcvSpace: int(t.rcvBuf), Backoff: int(t.retries),
		Timer:      t.timerName(),
		BytesAcked: t.stat.bytesAcked, BytesReceived: t.stat.bytesReceived, BytesSent: t.stat.bytesSent,
		BytesRetrans: t.stat.bytesRexmit, Delivered: t.stat.delivered,
		SegsIn: t.stat.segsIn, SegsOut: t.stat.segsOut, DataSegsIn: t.stat.dataIn, DataSegsOut: t.stat.dataOut,
		RetransSegs: t.stat.rexmits, DSACKs: t.stat.dsacks, ChallengeACKs: t.challenges,
		LastSend: t.lastSend, LastRecv: t.lastRecv,
	}
	if t.win.Ssthresh != noThreshold {
		i.Ssthresh = int(t.win.Ssthresh)
	}
	if t.rx != nil {
		i.OutOfOrder = int(t.rx.bytes)
	}
	return i
}

func (t *TCB) timerName() string {
	switch {
	case t.rtoAt != 0 && t.has(flagPersist):
		return "persist"
	case t.rtoAt != 0:
		return "on"
	case t.aliveAt != 0:
		return "keepalive"
	}
	return ""
}
