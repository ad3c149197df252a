package control

import (
	"slices"
	"strings"

	"github.com/knitnet/knit/wire"
)

// conntrackLetters are the commands' letters.
var conntrackLetters = map[string]string{
	"list": "L", "get": "G", "delete": "D", "create": "I", "add": "I", "update": "U", "event": "E", "flush": "F", "count": "C", "stats": "S",
}

// conntrackStates are those that a connection can be in, by its protocol.
var conntrackStates = map[uint8][]string{
	wire.ProtoTCP: {
		"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2", "LISTEN",
	},
	wire.ProtoSCTP: {
		"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT",
	},
}

// conntrackWith are the commands, by their letters, that an option goes with; ports,
// states and what ICMP has go with those that the protocol goes with.
var conntrackWith = map[string]string{
	"src": "LGDIUE", "orig-src": "LGDIUE", "dst": "LGDIUE", "orig-dst": "LGDIUE", "reply-src": "LGDIUE", "reply-dst": "LGDIUE",
	"mask-src": "LDUE", "mask-dst": "LDUE", "protonum": "LGDIUE", "proto": "LGDIUE", "family": "LDIUEF", "timeout": "IU",
	"status": "LDIU", "zone": "LGDIE", "id": "GDU", "src-nat": "LDIUE", "dst-nat": "LDIUE", "any-nat": "LE", "mark": "LDIUE",
	"event-mask": "E", "output": "LGDUE", "zero": "L", "label": "LDUE", "label-add": "U", "label-del": "U", "orig-vtag": "I", "reply-vtag": "I",
}

// expectWith is the same for the table of expectations.
var expectWith = map[string]string{"family": "L", "output": "LE"}

// conntrackOf are the protocols that an option belongs to.
var conntrackOf = map[string][]uint8{
	"sport": withPorts, "orig-port-src": withPorts, "dport": withPorts, "orig-port-dst": withPorts,
	"reply-port-src": withPorts, "reply-port-dst": withPorts, "state": {wire.ProtoTCP, wire.ProtoSCTP},
	"srckey": {47}, "orig-key-src": {47}, "dstkey": {47}, "orig-key-dst": {47}, "reply-key-src": {47}, "reply-key-dst": {47},
	"orig-vtag": {wire.ProtoSCTP}, "reply-vtag": {wire.ProtoSCTP},
	"icmp-type": {wire.ProtoICMP}, "icmp-code": {wire.ProtoICMP}, "icmp-id": {wire.ProtoICMP},
	"icmpv6-type": {wire.ProtoICMPv6}, "icmpv6-code": {wire.ProtoICMPv6}, "icmpv6-id": {wire.ProtoICMPv6},
}

// withPorts are TCP, UDP, DCCP, SCTP and UDP-Lite.
var withPorts = []uint8{wire.ProtoTCP, wire.ProtoUDP, 33, 132, 136}

// legal refuses options that the command or the protocol cannot have.
func (q *ConntrackRequest) legal(given []setting) error {
	with := conntrackWith
	if q.Expect {
		with = expectWith
	}
	for _, o := range given {
		if _, ok := conntrackOps[o.name]; ok {
			continue
		}
		name := o.name
		if protocols := conntrackOf[o.name]; protocols != nil {
			if !slices.Contains(protocols, q.Filter.Proto) {
				return conntrackError(o.word, "unknown option `--%s'", o.name)
			}
			switch _, own := conntrackWith[o.name]; {
			case o.name == "state" && !slices.Contains(conntrackStates[q.Filter.Proto], o.value):
				return conntrackError(o.word, "unknown %s state `%s'", map[uint8]string{wire.ProtoTCP: "TCP", wire.ProtoSCTP: "SCTP"}[q.Filter.Proto], o.value)
			case o.name == "state" && q.Op == "update":
				name = "" // the filter follows packets, and nothing else
			case !own:
				name = "protonum"
			}
		}
		if !strings.Contains(with[name], conntrackLetters[q.Op]) {
			return conntrackError(o.word, "Illegal option `--%s' with this command", o.name)
		}
	}
	return nil
}

// check finds what is missing, and what does not go together.
func (q *ConntrackRequest) check() error {
	f := &q.Filter
	switch {
	case q.Op == "":
		return conntrackError(0, "You need to supply a command")
	case q.Expect && slices.Contains([]string{"get", "delete", "create", "add", "update", "stats"}, q.Op):
		return conntrackError(0, "Can't do --%s on expectations", q.Op)
	case q.Expect && q.show.XML:
		return conntrackError(0, "expectations are not written as XML")
	case f.family() == 0:
		return conntrackError(0, "mismatched address family")
	case q.Op == "get" || q.makes():
		return q.whole()
	}
	return nil
}

// makes reports whether the command makes a connection.
func (q *ConntrackRequest) makes() bool { return q.Op == "create" || q.Op == "add" }

// whole finds what is missing of a connection that has to be named in full.
func (q *ConntrackRequest) whole() error {
	f := &q.Filter
	need := func(option string) error {
		return conntrackError(0, "You need to supply the `--%s' option for this command", option)
	}
	icmp := map[uint8]string{wire.ProtoICMP: "icmp", wire.ProtoICMPv6: "icmpv6"}[f.Proto]
	switch {
	case f.Proto == 0:
		return need("protonum")
	case !f.Prefixes[0].IsValid() || !f.Prefixes[1].IsValid():
		return conntrackError(0, "you have to specify `--src' and `--dst'")
	case !f.Prefixes[0].IsSingleIP():
		return conntrackError(0, "Illegal option `--mask-src' with this command")
	case !f.Prefixes[1].IsSingleIP():
		return conntrackError(0, "Illegal option `--mask-dst' with this command")
	case slices.Contains(withPorts, f.Proto) && (f.Ports[0] == nil || f.Ports[1] == nil):
		return conntrackError(0, "you have to specify `--sport' and `--dport'")
	case icmp != "" && f.ICMPType == nil:
		return need(icmp + "-type")
	case icmp != "" && f.ICMPCode == nil:
		return need(icmp + "-code")
	case f.Proto == 47 && (f.Ports[0] == nil || f.Ports[1] == nil):
		return conntrackError(0, "you have to specify `--srckey' and `--dstkey'")
	case q.makes() && f.Timeout == nil:
		return need("timeout")
	case q.makes() && conntrackStates[f.Proto] != nil && f.State == "":
		return need("state")
	case q.makes() && f.Proto == wire.ProtoSCTP && f.Tags[0] == nil:
		return need("orig-vtag")
	case q.makes() && f.Proto == wire.ProtoSCTP && f.Tags[1] == nil:
		return need("reply-vtag")
	}
	return nil
}
