package tcb

import (
	"strings"
	"testing"
)

// short names states in the table below.
var short = map[State]string{
	Closed: "CL", SynSent: "SS", SynReceived: "SR", Established: "ES", FinWait1: "F1", FinWait2: "F2",
	CloseWait: "CW", Closing: "CG", LastAck: "LA", TimeWait: "TW",
}

// Every kind of segment in every state (RFC 9293 §3.10.7.3 and §3.10.7.4). A
// cell is the state after it, the flags of the answer if there is one, and !
// when the user gets an error.
func TestSegmentArrives(t *testing.T) {
	states := []State{SynSent, SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait}
	for _, tc := range []struct {
		name, rfc string
		seg       func(k *conn) Segment
		want      string // one cell for each of states
	}{{
		"reset at RCV.NXT",
		`RFC 5961 §3.2: "If the RST bit is set and the sequence number exactly matches the next expected sequence
		number (RCV.NXT), then TCP MUST reset the connection"; RFC 1337: not in TIME-WAIT`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Flags: RST} },
		"SS    | CL !  | CL !  | CL !  | CL !  | CL !  | CL    | CL    | TW",
	}, {
		"reset at RCV.NXT with an acceptable ACK",
		`RFC 9293 §3.10.7.3: "If the RST bit is set: ... If the ACK was acceptable, then signal to the user
		'error: connection reset'"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Ack: k.nxt, Flags: RST | ACK} },
		"CL !  | CL !  | CL !  | CL !  | CL !  | CL !  | CL    | CL    | TW",
	}, {
		"reset elsewhere in the window",
		`RFC 5961 §3.2: "If the RST bit is set and the sequence number does not exactly match the next expected
		sequence value, yet is within the current receive window, TCP MUST send an acknowledgment (challenge ACK)"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt + 1, Flags: RST} },
		"SS    | SR .  | ES .  | F1 .  | F2 .  | CW .  | CG .  | LA .  | TW",
	}, {
		"reset outside the window",
		`RFC 5961 §3.2: "If the RST bit is set and the sequence number is outside the current receive window,
		silently drop the segment"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt - 1, Flags: RST} },
		"SS    | SR    | ES    | F1    | F2    | CW    | CG    | LA    | TW",
	}, {
		"SYN in the window",
		`RFC 5961 §4.2: "If the SYN bit is set, irrespective of the sequence number, TCP MUST send an ACK (also
		referred to as challenge ACK)"; RFC 9293 §3.10.7.4: in SYN-RECEIVED "If the connection was initiated with a
		passive OPEN, then return this connection to the LISTEN state"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt + 10, Flags: SYN} },
		"SR S. | CL !  | ES .  | F1 .  | F2 .  | CW .  | CG .  | LA .  | TW .",
	}, {
		"the peer's SYN again",
		`RFC 9293 §3.10.7.4: what is not acceptable is acknowledged; in SYN-RECEIVED the SYN-ACK is what was lost`,
		func(*conn) Segment { return Segment{Seq: peerISS, Flags: SYN} },
		"SR S. | SR S. | ES .  | F1 .  | F2 .  | CW .  | CG .  | LA .  | TW .",
	}, {
		"no ACK bit",
		`RFC 9293 §3.10.7.4: "if the ACK bit is off, drop the segment and return"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Len: 10} },
		"SS    | SR    | ES    | F1    | F2    | CW    | CG    | LA    | TW",
	}, {
		"ACK of what was not sent",
		`RFC 9293 §3.10.7.4: "If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK, drop the
		segment, and return"; SYN-RECEIVED: "form a reset segment <SEQ=SEG.ACK><CTL=RST> and send it"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Ack: k.nxt + 1, Flags: ACK, Window: 64000} },
		"SS R  | SR R  | ES .  | F1 .  | F2 .  | CW .  | CG .  | LA .  | TW .",
	}, {
		"ACK from the distant past",
		`RFC 5961 §5.2: "All incoming segments whose ACK value doesn't satisfy the above condition MUST be discarded
		and an ACK sent back": SND.UNA - MAX.SND.WND <= SEG.ACK`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Ack: k.una - 64001, Flags: ACK, Window: 64000} },
		"SS R  | SR R  | ES .  | F1 .  | F2 .  | CW .  | CG .  | LA .  | TW .",
	}, {
		"ACK of all that was sent",
		`RFC 9293 §3.10.7.4: SYN-RECEIVED: "enter ESTABLISHED state"; FIN-WAIT-1: "if the FIN segment is now
		acknowledged, then enter FIN-WAIT-2"; CLOSING: "enter the TIME-WAIT state"; LAST-ACK: "delete the TCB, enter
		the CLOSED state"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Ack: k.nxt, Flags: ACK, Window: 64000} },
		"SS    | ES    | ES    | F2    | F2    | CW    | TW    | CL    | TW",
	}, {
		"data",
		`RFC 9293 §3.10.7.4: ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2: "it is possible to deliver segment data to user
		RECEIVE buffers"; after the peer's FIN: "This should not occur ... Ignore the segment text"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Ack: k.nxt, Len: 10, Flags: ACK, Window: 64000} },
		"SS    | ES .  | ES .  | F2 .  | F2 .  | CW    | TW    | CL    | TW",
	}, {
		"old data",
		`RFC 9293 §3.10.7.4: "If an incoming segment is not acceptable, an acknowledgment should be sent in reply"`,
		func(k *conn) Segment {
			return Segment{Seq: k.rcvNxt - 10, Ack: k.una, Len: 10, Flags: ACK, Window: 64000}
		},
		"SS R  | SR .  | ES .  | F1 .  | F2 .  | CW .  | CG .  | LA .  | TW .",
	}, {
		"data behind the window",
		`RFC 9293 §3.10.7.4: the same`,
		func(k *conn) Segment { return Segment{Seq: k.rcvAdv, Ack: k.una, Len: 10, Flags: ACK, Window: 64000} },
		"SS R  | SR .  | ES .  | F1 .  | F2 .  | CW .  | CG .  | LA .  | TW .",
	}, {
		"FIN that does not acknowledge ours",
		`RFC 9293 §3.10.7.4: FIN-WAIT-1: "If our FIN has been ACKed (perhaps in this segment), then enter TIME-WAIT
		...; otherwise, enter the CLOSING state"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Ack: k.una, Flags: FIN | ACK, Window: 64000} },
		"SS R  | SR R  | CW .  | CG .  | TW .  | CW    | CG    | LA    | TW",
	}, {
		"FIN that acknowledges all",
		`RFC 9293 §3.10.7.4: SYN-RECEIVED, ESTABLISHED: "Enter the CLOSE-WAIT state"; FIN-WAIT-1, FIN-WAIT-2: "Enter
		the TIME-WAIT state"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt, Ack: k.nxt, Flags: FIN | ACK, Window: 64000} },
		"SS    | CW .  | CW .  | TW .  | TW .  | CW    | TW    | CL    | TW",
	}, {
		"the peer's FIN again",
		`RFC 9293 §3.10.7.4: TIME-WAIT: "The only thing that can arrive in this state is a retransmission of the
		remote FIN. Acknowledge it, and restart the 2 MSL timeout"`,
		func(k *conn) Segment { return Segment{Seq: k.rcvNxt - 1, Ack: k.nxt, Flags: FIN | ACK, Window: 64000} },
		"SS    | SR .  | ES .  | F1 .  | F2 .  | CW .  | CG .  | LA .  | TW .",
	}} {
		cells := strings.Split(tc.want, "|")
		for i, st := range states {
			k := in(t, st, plainConfig())
			seg := tc.seg(k)
			if st == SynSent && seg.Flags&SYN == 0 {
				seg.Seq = peerISS
			}
			k.input(seg)
			got := short[k.state]
			for _, s := range k.outAll() {
				got += " " + s.Flags.String()
			}
			if k.Err() != nil {
				got += " !"
			}
			if want := strings.TrimSpace(cells[i]); got != want {
				t.Errorf("%s in %v: %q, want %q\n%s", tc.name, st, got, want, tc.rfc)
			}
			k.close()
		}
	}
}

// RFC 9293 §3.10.7.1: what belongs to no connection is answered with a reset,
// whose numbers the sender accepts.
func TestResetFor(t *testing.T) {
	for _, tc := range []struct {
		in, want Segment
		ok       bool
	}{
		{Segment{Seq: 5, Flags: RST}, Segment{}, false},
		{Segment{Seq: 5, Ack: 77, Flags: ACK, Len: 10}, Segment{Seq: 77, Flags: RST}, true},
		{Segment{Seq: 5, Flags: SYN}, Segment{Ack: 6, Flags: RST | ACK}, true},
		{Segment{Seq: 5, Len: 10, Flags: FIN}, Segment{Ack: 16, Flags: RST | ACK}, true},
	} {
		if got, ok := ResetFor(&tc.in); got != tc.want || ok != tc.ok {
			t.Errorf("ResetFor(%+v) = %+v, %v, want %+v, %v", tc.in, got, ok, tc.want, tc.ok)
		}
	}
}

// The numbers of /proc/net/tcp and the names of RFC 9293.
func TestStateNames(t *testing.T) {
	if n := Established.Number(); n != 1 {
		t.Errorf("ESTABLISHED has number %d, want 1", n)
	}
	if n := Closed.Number(); n != 7 {
		t.Errorf("CLOSED has number %d, want 7", n)
	}
	if s := State(99).String(); s != "UNKNOWN" || TimeWait.String() != "TIME-WAIT" {
		t.Errorf("state names %q, %q", s, TimeWait)
	}
}
