package conntrack

import "github.com/knitnet/knit/netfilter"

// An assoc is the state of an SCTP association as somebody in the middle sees it.
type assoc uint8

// SCTP states, under the names that conntrack prints.
const (
	assocNone assoc = iota
	assocClosed
	cookieWait
	cookieEchoed
	assocEstablished
	shutdownSent
	shutdownRecd
	shutdownAckSent
	heartbeatSent
	assocStates
	assocBad // a chunk that cannot be
)

var assocNames = [assocStates]string{
	"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT",
}

func (s assoc) String() string { return assocNames[s] }

// Chunk types that change the state (RFC 9260 §3.2).
const (
	chunkInit             = 1
	chunkInitAck          = 2
	chunkHeartbeat        = 4
	chunkHeartbeatAck     = 5
	chunkAbort            = 6
	chunkShutdown         = 7
	chunkShutdownAck      = 8
	chunkError            = 9
	chunkCookieEcho       = 10
	chunkCookieAck        = 11
	chunkShutdownComplete = 14
)

// next returns the state after a chunk in a direction. What means nothing in a state
// leaves it as it is. The states are those that Linux is observed to have: COOKIE_WAIT
// begins with the answer to an INIT, and one end's heartbeat with its answer is an
// association on a path of which the beginning was not seen.
func (s assoc) next(d netfilter.Dir, chunk uint8) assoc {
	switch s {
	case assocNone:
		return assocBegun(chunk)
	case heartbeatSent:
		return s.afterHeartbeat(d, chunk)
	}
	reply := d == netfilter.Reply
	switch {
	case chunk == chunkAbort,
		chunk == chunkInit && !reply && (s == shutdownSent || s == shutdownRecd), // it begins anew
		chunk == chunkError && reply && s == cookieEchoed,                        // the cookie is stale (RFC 9260 §5.2.6)
		chunk == chunkShutdownComplete && s == shutdownAckSent:
		return assocClosed
	case chunk == chunkInitAck && reply && s == assocClosed:
		return cookieWait
	case chunk == chunkCookieEcho && s == cookieWait:
		return cookieEchoed
	case chunk == chunkCookieAck && s == cookieEchoed:
		return assocEstablished
	case chunk == chunkShutdown && s == assocEstablished && !reply:
		return shutdownSent
	case chunk == chunkShutdown && s == assocEstablished:
		return shutdownRecd
	case chunk == chunkShutdownAck && (s == shutdownSent || s == shutdownRecd):
		return shutdownAckSent
	}
	return s
}

// assocBegun is next for the first packet.
func assocBegun(chunk uint8) assoc {
	switch chunk {
	case chunkInit, chunkHeartbeatAck:
		return assocClosed
	case chunkHeartbeat:
		return heartbeatSent
	case chunkShutdownAck:
		return shutdownAckSent
	}
	return assocBad
}

func (s assoc) afterHeartbeat(d netfilter.Dir, chunk uint8) assoc {
	if d == netfilter.Reply {
		switch chunk {
		case chunkHeartbeatAck:
			return assocEstablished
		case chunkHeartbeat:
			return s
		}
		return assocBad
	}
	switch chunk {
	case chunkInit:
		return cookieWait
	case chunkShutdownAck:
		return shutdownAckSent
	case chunkInitAck, chunkAbort, chunkShutdown, chunkError, chunkCookieEcho, chunkCookieAck, chunkShutdownComplete:
		return assocClosed
	}
	return s
}
