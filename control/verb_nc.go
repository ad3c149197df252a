package control

import (
	"iter"
	"strconv"
	"time"
)

// NcRequest asks for a connection, or for one to arrive.
type NcRequest struct {
	Host    string        `json:"host,omitempty"`
	Port    string        `json:"port"`
	Listen  bool          `json:"listen,omitempty"`
	Keep    bool          `json:"keep,omitempty"` // listen for another one after each
	UDP     bool          `json:"udp,omitempty"`
	Scan    bool          `json:"scan,omitempty"`    // connect and say so, without data
	Half    bool          `json:"half,omitempty"`    // close our side at the end of the input
	Timeout time.Duration `json:"timeout,omitempty"` // to connect, and of silence
	Quit    time.Duration `json:"quit,omitempty"`    // how long after the end of the input to go on
	QuitSet bool          `json:"quit_set,omitempty"`
	Version int           `json:"version,omitempty"`
	Source  string        `json:"source,omitempty"` // local address
	From    int           `json:"from,omitempty"`   // local port

	verbose bool
}

// A NcReply is received data, or a remark for those who asked for them.
type NcReply struct {
	Data   []byte `json:"data,omitempty"`
	Remark string `json:"remark,omitempty"`
}

const ncUsage = `
usage: nc [-46klNuvz] [-p source_port] [-q seconds] [-s sourceaddr] [-w timeout] [destination] [port]
	Command Summary:
		-4		Use IPv4
		-6		Use IPv6
		-k		Keep inbound sockets open for multiple connects
		-l		Listen mode, for inbound connects
		-N		Shutdown the network socket after EOF on stdin
		-n		Accepted: addresses are never looked up
		-p port		Specify local port for remote connects
		-q secs		quit after EOF on stdin and delay of secs
		-s sourceaddr	Local source address
		-u		UDP mode
		-v		Verbose
		-w timeout	Timeout for connects and final net reads
		-z		Zero-I/O mode [used for scanning]
`

// Nc copies standard input to a connection and what comes to standard output, as
// OpenBSD's nc does.
func Nc() *Verb[NcRequest, NcReply] {
	return &Verb[NcRequest, NcReply]{
		Info:  Info{Name: "nc", Group: Sockets, Summary: "arbitrary TCP and UDP connections and listens", Usage: ncUsage, Stdin: true},
		Parse: parseNc,
		Print: printNc,
	}
}

func ncOptions() []option {
	return []option{
		{'4', "", noArg}, {'6', "", noArg}, {'k', "", noArg}, {'l', "", noArg}, {'N', "", noArg}, {'n', "", noArg},
		{'p', "", needArg}, {'q', "", needArg}, {'s', "", needArg}, {'u', "", noArg}, {'v', "", noArg}, {'w', "", needArg},
		{'z', "", noArg}, {'h', "help", noArg},
	}
}

func parseNc(_ *Console, args []string) (q NcRequest, err error) {
	given, rest, err := getopt("nc", 1, ncOptions(), args)
	if err != nil {
		return q, err
	}
	for _, o := range given {
		if err := q.set(o); err != nil {
			return q, err
		}
	}
	switch {
	case q.Listen && len(rest) == 0 && q.From != 0:
		q.Port = strconv.Itoa(q.From)
	case q.Listen && len(rest) == 1:
		q.Port = rest[0].text
	case len(rest) == 2:
		q.Host, q.Port = rest[0].text, rest[1].text
	default:
		return q, Errorf(1, "nc: want a destination and a port, or -l and a port%s", ncUsage)
	}
	if _, err := strconv.ParseUint(q.Port, 10, 16); err != nil {
		return q, WordErrorf(rest[len(rest)-1].word, 1, "nc: port number invalid: %s: want 0 to 65535", q.Port)
	}
	if q.Keep && !q.Listen {
		return q, Errorf(1, "nc: must use -l with -k")
	}
	return q, nil
}

func (q *NcRequest) set(o setting) (err error) {
	switch o.name {
	case "help":
		return ErrHelp
	case "4", "6":
		q.Version = int(o.name[0] - '0')
	case "k":
		q.Keep = true
	case "l":
		q.Listen = true
	case "N":
		q.Half = true
	case "p":
		port, err := strconv.ParseUint(o.value, 10, 16)
		if err != nil {
			return WordErrorf(o.word, 1, "nc: port number invalid: %s: want 0 to 65535", o.value)
		}
		q.From = int(port)
	case "q":
		q.Quit, err = ncSeconds(o)
		q.QuitSet = true
	case "s":
		q.Source = o.value
	case "u":
		q.UDP = true
	case "v":
		q.verbose = true
	case "w":
		q.Timeout, err = ncSeconds(o)
	case "z":
		q.Scan = true
	}
	return err
}

func ncSeconds(o setting) (time.Duration, error) {
	n, err := strconv.ParseUint(o.value, 10, 31)
	if err != nil {
		return 0, WordErrorf(o.word, 1, "nc: -%s %q: want seconds", o.name, o.value)
	}
	return time.Duration(n) * time.Second, nil
}

func printNc(c *Console, q NcRequest, replies iter.Seq[NcReply]) error {
	for r := range replies {
		if r.Remark != "" && q.verbose {
			c.Warn("%s", r.Remark)
		}
		if _, err := c.stdout().Write(r.Data); err != nil {
			return err
		}
	}
	return nil
}
