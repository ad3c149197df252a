package tcb

// Events is a set of things that happened to a connection since they were
// last taken.
type Events uint16

// The events.
const (
	EventEstablished Events = 1 << iota // the handshake is complete
	EventReadable                       // Ready got data
	EventWritable                       // octets were acknowledged: TakeAcked
	EventPeerClosed                     // the peer's FIN is in order: end of file behind Ready
	EventUrgent                         // urgent data is announced: UrgentMark
	EventError                          // the connection is dead: Err
	EventClosed                         // the state is Closed: nothing more will happen
	EventSuspect                        // R1 retransmissions: ask the layer below for another route (RFC 1122 §4.2.3.5)
)
