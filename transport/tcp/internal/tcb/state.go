package tcb

// A State is a state of RFC 9293 §3.3.2. The zero value is Closed.
type State uint8

// The states.
const (
	Closed State = iota
	Listen       // never held by a TCB; named for the tools
	SynSent
	SynReceived
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
)

// String returns the name that RFC 9293 uses.
func (s State) String() string {
	names := [...]string{
		"CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
		"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT",
	}
	if int(s) < len(names) {
		return names[s]
	}
	return "UNKNOWN"
}

// Number returns the number that /proc/net/tcp shows for the state.
func (s State) Number() uint8 {
	numbers := [...]uint8{7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6}
	if int(s) < len(numbers) {
		return numbers[s]
	}
	return 0
}

// synchronized reports whether both sides know each other's sequence numbers
// (RFC 9293 §3.5.2).
func (s State) synchronized() bool { return s >= Established }

// receives reports whether the peer may still send data: it has not sent its
// FIN.
func (s State) receives() bool {
	return s == Established || s == FinWait1 || s == FinWait2
}

// sends reports whether queued data or a FIN may still go out or need
// retransmission.
func (s State) sends() bool {
	switch s {
	case Established, CloseWait, FinWait1, Closing, LastAck:
		return true
	}
	return false
}
