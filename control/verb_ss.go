package control

import (
	"iter"
	"net/netip"
	"slices"
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
	Timer       string   `json:"timer,omitempty"`
	Expires     int64    `json:"expires_ms,omitempty"`
	Retransmits int      `json:"retransmits,omitempty"`
	Drops       uint64   `json:"drops,omitempty"`
	ID          uint64   `json:"id,omitempty"`
	TCP         *TCPInfo `json:"tcp,omitempty"`
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
	header, netid, state                         bool
	info, extended, memory, timer, oneline, kill bool
	numeric                                      bool
	services                                     services
	table                                        bool // sockets are listed, not only counted
}

const ssUsage = `Usage: ss [ OPTIONS ] [ FILTER ]
   -h, --help          this text
   -V, --version       print the version
   -n, --numeric       print ports as numbers
   -r, --resolve       accepted; addresses are printed as numbers
   -a, --all           all sockets
   -l, --listening     listening sockets
   -o, --options       timers
   -e, --extended      numbers of sockets
   -m, --memory        memory
   -p, --processes     accepted; sockets belong to the kernel's modules
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

// An ssParser collects what the options say.
type ssParser struct {
	q            SSRequest
	waiting      []string // the states of -a or -l, the last one counts
	chosen       bool     // protocols were named
	chosenStates bool
}

func parseSS(c *Console, args []string) (SSRequest, error) {
	p := &ssParser{q: SSRequest{format: ssFormat{header: true, table: true}}}
	given, rest, err := getopt("ss", 255, ssOptions, args)
	if err != nil {
		return p.q, err
	}
	for _, o := range given {
		if err := p.option(o); err != nil {
			return p.q, err
		}
	}
	p.q.format.services = readServices(c, p.q.format.numeric)
	if err := p.filter(c, rest); err != nil {
		return p.q, err
	}
	p.finish()
	return p.q, nil
}

func (p *ssParser) option(o setting) error {
	f := &p.q.format
	switch o.name {
	case "help":
		return ErrHelp
	case "version":
		return &Error{Text: "ss utility, knit", help: true}
	case "numeric":
		f.numeric = true
	case "all":
		p.waiting = ssStates("all")
	case "listening":
		p.waiting = []string{"UNCONN", "LISTEN"}
	case "options":
		f.timer = true
	case "extended":
		f.extended = true
	case "memory":
		f.memory = true
	case "info":
		f.info = true
	case "summary":
		p.q.Summary = true
	case "kill":
		p.q.Kill = true
	case "no-header":
		f.header = false
	case "oneline":
		f.oneline = true
	case "ipv4":
		p.q.Family = "inet"
	case "ipv6":
		p.q.Family = "inet6"
	case "family":
		return p.family(o)
	case "tcp":
		p.proto("tcp")
	case "udp":
		p.proto("udp")
	case "raw":
		p.proto("raw", "icmp")
	case "unix":
		p.proto("unix")
	}
	return nil
}

func (p *ssParser) proto(names ...string) {
	p.chosen = true
	p.q.Protos = append(p.q.Protos, names...)
}

func (p *ssParser) family(o setting) error {
	switch o.value {
	case "inet", "inet6":
		p.q.Family = o.value
	case "unix":
		p.proto("unix")
	default:
		return WordErrorf(o.word, 255, "ss: %s is invalid family\nWant: inet, inet6 or unix", inQuotes(o.value))
	}
	return nil
}

// finish fills in what was not said.
func (p *ssParser) finish() {
	q := &p.q
	q.format.table = p.chosen || !q.Summary
	if !p.chosen && q.format.table {
		q.Protos = []string{"raw", "icmp", "udp", "tcp"}
	}
	slices.SortFunc(q.Protos, func(a, b string) int { return strings.Index(ssOrder, a) - strings.Index(ssOrder, b) })
	q.Protos = slices.Compact(q.Protos)
	q.format.netid = q.format.table && len(slices.DeleteFunc(slices.Clone(q.Protos), func(s string) bool { return s == "icmp" })) != 1 ||
		slices.Contains(q.Protos, "unix")
	if p.chosenStates = q.States != nil; !p.chosenStates {
		q.States = p.defaultStates()
	}
	q.format.state = len(p.visible()) != 1
}

// ssOrder is the order in which ss asks for protocols.
const ssOrder = "unix raw icmp udp tcp"

// defaultStates are those of connected sockets.
func (p *ssParser) defaultStates() []string {
	if p.waiting != nil {
		return p.waiting
	}
	return slices.DeleteFunc(ssStates("connected"), func(s string) bool { return s == "SYN-RECV" || s == "TIME-WAIT" })
}

// visible are the states that rows can have: without -a and -l sockets of datagrams
// are those that are connected.
func (p *ssParser) visible() []string {
	stateful := slices.Contains(p.q.Protos, "tcp") || slices.Contains(p.q.Protos, "unix")
	if stateful || p.chosenStates || p.waiting != nil {
		return p.q.States
	}
	return []string{"ESTAB"}
}

// allStates are ss's words for its states, in the order of the kernel's numbers.
var allStates = []struct{ word, name string }{
	{"ESTAB", "established"}, {"SYN-SENT", "syn-sent"}, {"SYN-RECV", "syn-recv"}, {"FIN-WAIT-1", "fin-wait-1"},
	{"FIN-WAIT-2", "fin-wait-2"}, {"TIME-WAIT", "time-wait"}, {"UNCONN", "unconnected"}, {"CLOSE-WAIT", "close-wait"},
	{"LAST-ACK", "last-ack"}, {"LISTEN", "listening"}, {"CLOSING", "closing"},
}

// ssStates returns the states that a name of a filter means, nil for none such.
func ssStates(name string) (out []string) {
	without := map[string][]string{
		"all": {}, "connected": {"UNCONN", "LISTEN"}, "synchronized": {"UNCONN", "LISTEN", "SYN-SENT"}, "big": {"SYN-RECV", "TIME-WAIT"},
	}
	switch name {
	case "bucket":
		return []string{"SYN-RECV", "TIME-WAIT"}
	case "closed":
		return []string{"UNCONN"}
	case "listen":
		return []string{"LISTEN"}
	}
	not, group := without[name]
	for _, s := range allStates {
		if group && !slices.Contains(not, s.word) || s.name == name {
			out = append(out, s.word)
		}
	}
	return out
}

// filter reads what stands behind the options: states first, then an expression.
func (p *ssParser) filter(c *Console, rest []operand) error {
	for len(rest) > 0 && (abbreviates(rest[0].text, "state") || abbreviates(rest[0].text, "exclude")) && len(rest[0].text) > 2 {
		if len(rest) == 1 {
			return WordErrorf(rest[0].word, 255, "Command line is not complete. Try option \"help\"\nWant: a state behind %s", rest[0].text)
		}
		states := ssStates(rest[1].text)
		if states == nil {
			return WordErrorf(rest[1].word, 255, "ss: wrong state name: %s", rest[1].text)
		}
		if strings.HasPrefix(rest[0].text, "e") {
			if p.q.States == nil {
				p.q.States = ssStates("all")
			}
			p.q.States = slices.DeleteFunc(p.q.States, func(s string) bool { return slices.Contains(states, s) })
		} else {
			p.q.States = append(p.q.States, states...)
		}
		rest = rest[2:]
	}
	if len(rest) == 0 {
		return nil
	}
	var words []string
	for _, r := range rest {
		words = append(words, r.text)
	}
	e, err := parseSSFilter(strings.Join(words, " "), p.names(c))
	if err != nil {
		err.Word = rest[0].word
		return err
	}
	p.q.Filter = e
	return nil
}

// names returns the table that names of ports in filters are looked up in.
func (p *ssParser) names(c *Console) services {
	if p.q.format.numeric {
		return readServices(c, false)
	}
	return p.q.format.services
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
