package control

import (
	"iter"
	"net/netip"
	"strings"
)

// An SSRequest asks for sockets.
type SSRequest struct {
	// Protos are "tcp", "udp", "raw", "icmp"; others have no sockets here.
	Protos []string `json:"protos"`
	// Family is "inet", "inet6" or "" for both.
	Family string `json:"family,omitempty"`
	// States are words such as "ESTAB", "LISTEN" and "UNCONN".
	States []string `json:"states"`
	Filter *SSExpr  `json:"filter,omitempty"`
	// Kill ends the sockets that were found; those that could not be ended are not
	// in the reply.
	Kill bool `json:"kill,omitempty"`
	// Summary asks for numbers; the rest is answered too if Protos is not empty.
	Summary bool `json:"summary,omitempty"`

	format ssFormat
}

// An SSReply is the answer.
type SSReply struct {
	Sockets []Socket   `json:"sockets"`
	Summary *SSSummary `json:"summary,omitempty"`
}

// A Socket is one row of ss.
type Socket struct {
	Netid  string         `json:"netid"` // "tcp", "udp", "raw", "icmp"
	State  string         `json:"state"`
	RecvQ  int            `json:"recv_q"` // bytes, of a listener connections
	SendQ  int            `json:"send_q"`
	Local  netip.AddrPort `json:"local,omitzero"`
	Remote netip.AddrPort `json:"remote,omitzero"`
	// Dev is the device that the socket is bound to.
	Dev string `json:"dev,omitempty"`
	// Timer is "on", "keepalive", "timewait", "persist" or "", Expires its rest in
	// milliseconds.
	Timer       string `json:"timer,omitempty"`
	Expires     int64  `json:"expires_ms,omitempty"`
	Retransmits int    `json:"retransmits,omitempty"`
	Drops       uint64 `json:"drops,omitempty"`
	ID          uint64 `json:"id,omitempty"`
	// UID is the user that the socket belongs to, Mark what its packets are marked with.
	UID  uint32 `json:"uid,omitempty"`
	Mark uint32 `json:"mark,omitempty"`
	// V6Only says that a socket of IPv6 takes no IPv4.
	V6Only bool `json:"v6only,omitempty"`
	// Module is who opened the socket; "" is the program around the kernel, whose
	// process Process and PID are.
	Module  string   `json:"module,omitempty"`
	Process string   `json:"process,omitempty"`
	PID     int      `json:"pid,omitempty"`
	TCP     *TCPInfo `json:"tcp,omitempty"`
}

// TCPInfo is the state of a TCP connection. Times are in nanoseconds, windows in
// segments, the rest in bytes and numbers.
type TCPInfo struct {
	Options      []string `json:"options,omitempty"`
	Congestion   string   `json:"congestion,omitempty"`
	SndWScale    uint8    `json:"snd_wscale"`
	RcvWScale    uint8    `json:"rcv_wscale"`
	RTO          int64    `json:"rto"`
	ATO          int64    `json:"ato"`
	RTT          int64    `json:"rtt"`
	RTTVar       int64    `json:"rttvar"`
	MinRTT       int64    `json:"minrtt"`
	Backoff      int      `json:"backoff"`
	MSS          int      `json:"mss"`
	PMTU         int      `json:"pmtu"`
	RcvMSS       int      `json:"rcvmss"`
	AdvMSS       int      `json:"advmss"`
	Cwnd         int      `json:"cwnd"`
	Ssthresh     int      `json:"ssthresh"`
	BytesSent    uint64   `json:"bytes_sent"`
	BytesRetrans uint64   `json:"bytes_retrans"`
	BytesAcked   uint64   `json:"bytes_acked"`
	BytesRcvd    uint64   `json:"bytes_received"`
	SegsOut      uint64   `json:"segs_out"`
	SegsIn       uint64   `json:"segs_in"`
	DataSegsOut  uint64   `json:"data_segs_out"`
	DataSegsIn   uint64   `json:"data_segs_in"`
	LastSend     int64    `json:"lastsnd"`
	LastRecv     int64    `json:"lastrcv"`
	LastAck      int64    `json:"lastack"`
	Busy         int64    `json:"busy"`
	Delivered    uint64   `json:"delivered"`
	Unacked      int      `json:"unacked"`
	Retrans      uint64   `json:"retrans"`
	RetransTotal uint64   `json:"retrans_total"`
	Lost         uint64   `json:"lost"`
	Sacked       uint64   `json:"sacked"`
	RcvSpace     int      `json:"rcv_space"`
	RcvSsthresh  int      `json:"rcv_ssthresh"`
	NotSent      int      `json:"notsent"`
	SndWnd       int      `json:"snd_wnd"`
}

// An SSSummary counts sockets: by protocol of IPv4 and of IPv6, and TCP's by state.
type SSSummary struct {
	Raw [2]int `json:"raw"`
	UDP [2]int `json:"udp"`
	TCP [2]int `json:"tcp"`
	// Estab, Closed and TimeWait are TCP's; those in TIME-WAIT count as closed too.
	Estab    int `json:"estab"`
	Closed   int `json:"closed"`
	TimeWait int `json:"timewait"`
}

// ssFormat is how rows are printed.
type ssFormat struct {
	header, netid, state                   bool
	info, extended, memory, timer, oneline bool
	processes                              bool
	numeric                                bool
	services                               services
	table                                  bool // sockets are listed, not only counted
}

const ssUsage = `Usage: ss [ OPTIONS ] [ FILTER ]
   -h, --help          this text
   -V, --version       print the version
   -n, --numeric       print ports as numbers
   -r, --resolve       refused: addresses have no names here
   -a, --all           all sockets
   -l, --listening     listening sockets
   -o, --options       timers
   -e, --extended      numbers of sockets
   -m, --memory        memory
   -p, --processes     the module or the process that a socket belongs to
   -i, --info          what TCP knows
   -s, --summary       numbers
   -4, --ipv4          only IPv4
   -6, --ipv6          only IPv6
   -t, --tcp           only TCP
   -u, --udp           only UDP
   -w, --raw           only raw and ping sockets
   -x, --unix          only Unix domain sockets, of which there are none
   -f, --family=FAMILY FAMILY := {inet|inet6|unix}
   -K, --kill          close sockets that FILTER selects, print which
   -H, --no-header     no header
   -O, --oneline       one line a socket
FILTER := [ { state | exclude } STATE ]... [ EXPRESSION ]
   STATE := {all|connected|synchronized|bucket|big|established|syn-sent|syn-recv|fin-wait-{1,2}|
             time-wait|closed|close-wait|last-ack|listening|closing}
   EXPRESSION := {dport|sport} OP [ADDRESS]:PORT | {dst|src} [OP] PREFIX[:PORT] | dev NAME | autobound |
             not EXPRESSION | EXPRESSION {and|or} EXPRESSION | ( EXPRESSION )
   OP := {=|!=|<|>|<=|>=|eq|ne|lt|gt|le|ge}
`

var ssOptions = []option{
	{'h', "help", noArg}, {'V', "version", noArg}, {'n', "numeric", noArg}, {'r', "resolve", noArg}, {'a', "all", noArg},
	{'l', "listening", noArg}, {'o', "options", noArg}, {'e', "extended", noArg}, {'m', "memory", noArg},
	{'p', "processes", noArg}, {'i', "info", noArg}, {'s', "summary", noArg}, {'4', "ipv4", noArg}, {'6', "ipv6", noArg},
	{'t', "tcp", noArg}, {'u', "udp", noArg}, {'w', "raw", noArg}, {'x', "unix", noArg}, {'f', "family", needArg},
	{'K', "kill", noArg}, {'H', "no-header", noArg}, {'O', "oneline", noArg},
}

// SS lists sockets, as iproute2's ss does.
func SS() *Verb[SSRequest, SSReply] {
	return &Verb[SSRequest, SSReply]{
		Info:  Info{Name: "ss", Group: Sockets, Summary: "list and kill sockets", Usage: ssUsage},
		Parse: parseSS,
		Print: printSS,
	}
}

// printSS writes the table.
func printSS(c *Console, q SSRequest, replies iter.Seq[SSReply]) error {
	for r := range replies {
		var b strings.Builder
		if r.Summary != nil {
			r.Summary.print(&b)
		}
		if q.format.table {
			printSockets(&b, &q.format, r.Sockets)
		}
		if err := c.Print(b.String()); err != nil {
			return err
		}
	}
	return nil
}
