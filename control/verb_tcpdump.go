package control

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/knitnet/knit/link/capture"
)

// TcpdumpRequest asks for what passes devices.
type TcpdumpRequest struct {
	Device    string `json:"device,omitempty"`    // "any": all; empty: the first that is up
	Filter    string `json:"filter,omitempty"`    // in the language of pcap-filter(7)
	Count     uint64 `json:"count,omitempty"`     // stop after so many packets; 0: never
	Snaplen   int    `json:"snaplen,omitempty"`   // bytes of a packet; 0: 262144
	Immediate bool   `json:"immediate,omitempty"` // send each packet at once
	Direction string `json:"direction,omitempty"` // "in", "out"; empty: both
	Nothing   bool   `json:"nothing,omitempty"`   // capture nothing: the packets are in a file

	read, write string
	show        dumpStyle
}

// dumpStyle is how packets are shown.
type dumpStyle struct {
	link    bool // -e
	verbose int  // -v
	quiet   bool // -q
	any     bool // name the interface and the direction
	raw     bool // -S: absolute sequence numbers
	number  bool // -#
	stamp   int  // how often -t was given
	bytes   dumpBytes
}

// dumpBytes is how the content of packets is shown.
type dumpBytes struct {
	hex, ascii, link bool
}

// A TcpdumpReply has one field set: Listening comes first and Statistics last.
type TcpdumpReply struct {
	Listening  []TcpdumpInterface `json:"listening,omitempty"`
	Frames     []TcpdumpFrame     `json:"frames,omitempty"`
	Statistics *TcpdumpStatistics `json:"statistics,omitempty"`
}

// A TcpdumpInterface is a device that is captured from.
type TcpdumpInterface struct {
	Name     string           `json:"name"`
	LinkType capture.LinkType `json:"link_type"` // LINKTYPE_*
}

// A TcpdumpFrame is one packet.
type TcpdumpFrame struct {
	Interface int               `json:"interface"` // index into Listening
	Time      time.Time         `json:"time"`
	Direction capture.Direction `json:"direction,omitempty"` // 1: in, 2: out
	Length    int               `json:"length"`              // before it was cut, in bytes
	Data      []byte            `json:"data"`
}

// A TcpdumpStatistics counts packets.
type TcpdumpStatistics struct {
	Captured uint64 `json:"captured"` // were sent
	Received uint64 `json:"received"` // passed the filter
	Dropped  uint64 `json:"dropped"`  // were lost, because who reads is slow
}

const tcpdumpUsage = `Usage: tcpdump [-AeqSltUvxX#] [-n] [-p] [-c count] [-i interface] [-Q in|out|inout]
               [-r file] [-s snaplen] [-w file] [--immediate-mode] [--number]
               [expression]

Show or store what passes the kernel's devices, or what is in a file.

 -i, --interface NAME      a device, or any for all of them
 -c COUNT                  end after COUNT packets
 -w FILE                   write a file, pcapng if its name ends so; - is standard output
 -r FILE                   read a pcap or pcapng file; needs no daemon
 -s, --snapshot-length N   bytes that are kept of a packet (262144)
 -Q, --direction WHICH     only what comes in, or goes out
 -e                        show the link layer's header
 -v                        show more; -vv even more
 -q                        show less
 -S                        sequence numbers of TCP as they are
 -#, --number              number the lines
 -t, -tt, -ttt, -tttt, -ttttt
                           no time, seconds since 1970, since the last packet,
                           with the date, since the first packet
 -x, -X, -A                the packets' bytes in hex, in hex and ASCII, in ASCII;
                           -xx, -XX with the link layer's header
 -l, -U, --immediate-mode  show each packet at once
 -n, -p                    accepted: names are not looked up, and modes of devices
                           not changed

The expression is that of pcap-filter(7).
`

// Tcpdump shows what passes devices.
func Tcpdump() *Verb[TcpdumpRequest, TcpdumpReply] {
	return &Verb[TcpdumpRequest, TcpdumpReply]{
		Info: Info{
			Name: "tcpdump", Group: Sockets, Summary: "show or store what passes devices", Usage: tcpdumpUsage,
			Stream: true,
		},
		Parse: parseTcpdump,
		Print: printTcpdump,
	}
}

// tcpdumpCommand is Tcpdump, which needs no daemon to read a file.
type tcpdumpCommand struct {
	*Verb[TcpdumpRequest, TcpdumpReply]
}

// Prepare implements Command.
func (t tcpdumpCommand) Prepare(c *Console, args []string) (*Prepared, error) {
	p, err := t.Verb.Prepare(c, args)
	if err != nil {
		return nil, err
	}
	p.Offline = p.Request.(TcpdumpRequest).Nothing
	return p, nil
}

func tcpdumpOptions() []option {
	return []option{
		{'i', "interface", needArg}, {'c', "", needArg}, {'w', "", needArg}, {'r', "", needArg},
		{'s', "snapshot-length", needArg}, {'Q', "direction", needArg}, {'B', "buffer-size", needArg},
		{'e', "", noArg}, {'v', "", noArg}, {'q', "", noArg}, {'S', "absolute-tcp-sequence-numbers", noArg},
		{'#', "number", noArg}, {'t', "", noArg}, {'x', "", noArg}, {'X', "", noArg}, {'A', "", noArg},
		{'l', "", noArg}, {'U', "packet-buffered", noArg}, {0, "immediate-mode", noArg},
		{'n', "", noArg}, {'p', "no-promiscuous-mode", noArg}, {'K', "dont-verify-checksums", noArg}, {'h', "help", noArg},
	}
}

func parseTcpdump(_ *Console, args []string) (q TcpdumpRequest, err error) {
	given, rest, err := getopt("tcpdump", 1, tcpdumpOptions(), args)
	if err != nil {
		return q, err
	}
	for _, o := range given {
		if err := q.set(o); err != nil {
			return q, err
		}
	}
	var words []string
	for _, o := range rest {
		words = append(words, o.text)
	}
	q.Filter = strings.Join(words, " ")
	q.Nothing = q.read != ""
	q.show.any = q.Device == "any"
	if q.Nothing && q.Device != "" {
		return q, Errorf(1, "tcpdump: -i and -r don't go together: a file says what it was captured from")
	}
	return q, nil
}

func (q *TcpdumpRequest) set(o setting) (err error) {
	switch o.name {
	case "help":
		return ErrHelp
	case "interface":
		q.Device = o.value
	case "w":
		q.write = o.value
	case "r":
		q.read = o.value
	case "immediate-mode", "l", "packet-buffered":
		q.Immediate = true
	case "c":
		if q.Count, err = strconv.ParseUint(o.value, 10, 31); err != nil || q.Count == 0 {
			return WordErrorf(o.word, 1, "tcpdump: invalid packet count %s", o.value)
		}
	case "snapshot-length":
		if q.Snaplen, err = strconv.Atoi(o.value); err != nil || q.Snaplen < 0 || q.Snaplen > maxSnaplen {
			return WordErrorf(o.word, 1, "tcpdump: invalid snaplen %s (must be >= 0 and <= %d)", o.value, maxSnaplen)
		}
	case "direction":
		switch o.value {
		case "in", "out":
			q.Direction = o.value
		case "inout":
			q.Direction = ""
		default:
			return WordErrorf(o.word, 1, "tcpdump: unknown capture direction `%s'", o.value)
		}
	default:
		q.show.set(o.name)
	}
	return nil
}

// maxSnaplen is the largest snapshot length, and what 0 stands for.
const maxSnaplen = 262144

func (s *dumpStyle) set(name string) {
	switch name {
	case "e":
		s.link = true
	case "v":
		s.verbose++
	case "q":
		s.quiet = true
	case "absolute-tcp-sequence-numbers":
		s.raw = true
	case "number":
		s.number = true
	case "t":
		s.stamp++
	case "x":
		s.bytes.link = s.bytes.link || s.bytes.hex
		s.bytes.hex = true
	case "X":
		s.bytes.link = s.bytes.link || s.bytes.hex && s.bytes.ascii
		s.bytes.hex, s.bytes.ascii = true, true
	case "A":
		s.bytes.link = s.bytes.link || s.bytes.ascii && !s.bytes.hex
		s.bytes.ascii = true
	}
}

// snaplen returns the snapshot length in bytes.
func (q *TcpdumpRequest) snaplen() int {
	if q.Snaplen == 0 {
		return maxSnaplen
	}
	return q.Snaplen
}

// errCounted ends the reading of a file after as many packets as were asked for.
var errCounted = errors.New("enough packets")
