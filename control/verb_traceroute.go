package control

import (
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
)

// TracerouteRequest asks for the way to a host. Zero values are traceroute's
// defaults.
type TracerouteRequest struct {
	Host         string        `json:"host"`
	Version      int           `json:"version,omitempty"` // 4, 6, or 0 for either
	Method       string        `json:"method"`            // "default", "udp", "icmp" or "tcp"
	First        int           `json:"first"`             // hop to begin with
	Max          int           `json:"max"`               // hops
	Queries      int           `json:"queries"`           // a hop
	Squeries     int           `json:"squeries"`          // at once
	Wait         time.Duration `json:"wait"`              // for an answer
	Port         int           `json:"port,omitempty"`
	Source       string        `json:"source,omitempty"`    // address
	Device       string        `json:"interface,omitempty"` // interface
	TOS          int           `json:"tos,omitempty"`
	Length       int           `json:"length,omitempty"` // of packets in bytes, with the IP header
	DontFragment bool          `json:"dont_fragment,omitempty"`
}

// A TracerouteReply is the beginning, or one probe. Probes come in order.
type TracerouteReply struct {
	Addr   string `json:"addr,omitempty"`   // of the host, in the beginning
	Length int    `json:"length,omitempty"` // of packets, in the beginning
	Hop    int    `json:"hop,omitempty"`    // from 1 on
	// From is who answered; empty if nobody did in time.
	From string        `json:"from,omitempty"`
	RTT  time.Duration `json:"rtt,omitempty"`
	// Note is what the answer says beside that the time was exceeded: "!H".
	Note string `json:"note,omitempty"`
}

const tracerouteUsage = `Usage:
  traceroute [ -46nFITU ] [ -f first_ttl ] [ -i device ] [ -m max_ttl ] [ -N squeries ] [ -p port ] [ -t tos ] [ -w MAX ] [ -q nqueries ] [ -s src_addr ] host [ packetlen ]
Options:
  -4                          Use IPv4
  -6                          Use IPv6
  -F  --dont-fragment         Do not fragment packets
  -f first_ttl  --first=first_ttl
                              Start from the first_ttl hop (instead from 1)
  -I  --icmp                  Use ICMP ECHO for tracerouting
  -T  --tcp                   Use TCP SYN for tracerouting (default port is 80)
  -i device  --interface=device
                              Specify a network interface to operate with
  -m max_ttl  --max-hops=max_ttl
                              Set the max number of hops (max TTL to be
                              reached). Default is 30
  -N squeries  --sim-queries=squeries
                              Set the number of probes to be tried
                              simultaneously (default is 16)
  -n                          Accepted: addresses are never looked up
  -p port  --port=port        Set the destination port to use. It is either
                              initial udp port value for "default" method
                              (incremented by each probe, default is 33434), or
                              initial seq for "icmp" (incremented as well,
                              default from 1), or some constant destination
                              port for other methods (with default of 80 for
                              "tcp", 53 for "udp")
  -t tos  --tos=tos           Set the TOS (IPv4 type of service) or TC (IPv6
                              traffic class) value for outgoing packets
  -w MAX  --wait=MAX          Wait for a probe no more than MAX (default 5.0)
                              seconds (float point values allowed too)
  -q nqueries  --queries=nqueries
                              Set the number of probes per each hop. Default is
                              3
  -s src_addr  --source=src_addr
                              Use source src_addr for outgoing packets
  -U  --udp                   Use UDP to particular port for tracerouting
                              (instead of increasing the port per each probe),
                              default port is 53
  --help                      Read this help and exit

Arguments:
+     host          The host to traceroute to
      packetlen     The full packet length (default is the length of an IP
                    header plus 40). Can be ignored or increased to a minimal
                    allowed value
`

// Traceroute shows the routers on the way to a host, as traceroute(1) of Debian does.
func Traceroute() *Verb[TracerouteRequest, TracerouteReply] {
	return &Verb[TracerouteRequest, TracerouteReply]{
		Info: Info{
			Name: "traceroute", Group: Sockets, Summary: "print the route packets trace to a network host",
			Usage: tracerouteUsage, Stream: true,
		},
		Parse: parseTraceroute,
		Print: printTraceroute,
	}
}

func tracerouteOptions() []option {
	return []option{
		{'4', "", noArg}, {'6', "", noArg}, {'F', "dont-fragment", noArg}, {'f', "first", needArg}, {'I', "icmp", noArg},
		{'T', "tcp", noArg}, {'U', "udp", noArg}, {'i', "interface", needArg}, {'m', "max-hops", needArg},
		{'N', "sim-queries", needArg}, {'n', "", noArg}, {'p', "port", needArg}, {'t', "tos", needArg},
		{'w', "wait", needArg}, {'q', "queries", needArg}, {'s', "source", needArg}, {0, "help", noArg},
	}
}

func parseTraceroute(_ *Console, args []string) (q TracerouteRequest, err error) {
	given, rest, err := getopt("traceroute", 2, tracerouteOptions(), args)
	if err != nil {
		return q, err
	}
	q = TracerouteRequest{Method: "default", First: 1, Max: 30, Queries: 3, Squeries: 16, Wait: 5 * time.Second}
	for _, o := range given {
		if err := q.set(o); err != nil {
			return q, err
		}
	}
	switch {
	case len(rest) == 0 && len(args) == 0:
		return q, ErrHelp
	case len(rest) == 0:
		return q, Errorf(2, "Specify \"host\" missing argument.")
	case len(rest) > 2:
		return q, WordErrorf(rest[2].word, 2, "Extra arg `%s' (position 3, argc %d)", rest[2].text, rest[2].word)
	case q.First > q.Max:
		return q, Errorf(2, "first hop out of range")
	}
	q.Host = rest[0].text
	if len(rest) == 2 {
		n, err := strconv.Atoi(rest[1].text)
		if err != nil {
			return q, WordErrorf(rest[1].word, 2, "Cannot handle \"packetlen\" cmdline arg `%s' on position 2 (argc %d)", rest[1].text, rest[1].word)
		}
		if n < 0 || n > 65000 {
			return q, WordErrorf(rest[1].word, 2, "too big packetlen %d specified", n)
		}
		q.Length = n
	}
	return q, nil
}

func (q *TracerouteRequest) set(o setting) (err error) {
	switch o.name {
	case "help":
		return ErrHelp
	case "4", "6":
		q.Version = int(o.name[0] - '0')
	case "dont-fragment":
		q.DontFragment = true
	case "icmp", "tcp", "udp":
		q.Method = o.name
	case "interface":
		q.Device = o.value
	case "source":
		q.Source = o.value
	case "n":
	case "wait":
		max, _, _ := strings.Cut(o.value, ",")
		v, err := strconv.ParseFloat(max, 64)
		if err != nil || !(v >= 0) || v > math.MaxInt32 {
			return q.cannot(o, "bad wait specifications `%s' used", o.value)
		}
		q.Wait = time.Duration(v * float64(time.Second))
	default:
		return q.setNumber(o)
	}
	return nil
}

func (*TracerouteRequest) cannot(o setting, format string, args ...any) error {
	return WordErrorf(o.word, 2, format, args...)
}

func (q *TracerouteRequest) setNumber(o setting) error {
	n, err := strconv.Atoi(o.value)
	if err != nil {
		return q.cannot(o, "Cannot handle `--%s' option with arg `%s' (argc %d)", o.name, o.value, o.word)
	}
	switch o.name {
	case "first":
		q.First = n
		if n < 1 || n > 255 {
			return q.cannot(o, "first hop out of range")
		}
	case "max-hops":
		q.Max = n
		if n < 1 || n > 255 {
			return q.cannot(o, "max hops cannot be more than 255")
		}
	case "sim-queries":
		q.Squeries = n
		if n < 1 || n > 255*10 {
			return q.cannot(o, "too many or too few probes at once: %d", n)
		}
	case "queries":
		q.Queries = n
		if n < 1 || n > 10 {
			return q.cannot(o, "no more than 10 probes per hop")
		}
	case "port":
		q.Port = n
		if n < 1 || n > 65535 {
			return q.cannot(o, "bad port number %d", n)
		}
	case "tos":
		q.TOS = n
		if n < 0 || n > 255 {
			return q.cannot(o, "bad tos value %d", n)
		}
	}
	return nil
}

// printTraceroute prints each probe when its turn has come.
func printTraceroute(c *Console, q TracerouteRequest, replies iter.Seq[TracerouteReply]) error {
	hop, last := 0, ""
	for r := range replies {
		var text string
		switch {
		case r.Addr != "":
			text = fmt.Sprintf("traceroute to %s (%s), %d hops max, %d byte packets", q.Host, r.Addr, q.Max, r.Length)
		default:
			if r.Hop != hop {
				hop, last = r.Hop, ""
				text = fmt.Sprintf("\n%2d ", hop)
			}
			text += r.text(&last)
		}
		if err := c.Print(text); err != nil {
			return err
		}
	}
	return c.Print("\n")
}

// text is a probe; last is who answered the one before.
func (r TracerouteReply) text(last *string) (text string) {
	if r.From == "" {
		return " *"
	}
	if r.From != *last {
		text = " " + r.From
		*last = r.From
	}
	text += fmt.Sprintf("  %s ms", ms(r.RTT))
	if r.Note != "" {
		text += " " + r.Note
	}
	return text
}
