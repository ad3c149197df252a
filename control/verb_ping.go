package control

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
)

// PingRequest asks for echo requests to a host. Durations are in nanoseconds; zero
// values are ping's defaults.
type PingRequest struct {
	Host      string        `json:"host"`
	Version   int           `json:"version,omitempty"`   // 4, 6, or 0 for either
	Count     int           `json:"count,omitempty"`     // 0: until told to finish
	Interval  time.Duration `json:"interval,omitempty"`  // between requests
	Timeout   time.Duration `json:"timeout,omitempty"`   // for the last reply
	Deadline  time.Duration `json:"deadline,omitempty"`  // for everything; 0: none
	Size      int           `json:"size"`                // of the payload in bytes
	TTL       int           `json:"ttl,omitempty"`       // hop limit
	TOS       int           `json:"tos,omitempty"`       // type of service
	Source    string        `json:"source,omitempty"`    // interface or address
	Discover  string        `json:"discover,omitempty"`  // do, want or dont
	Pattern   []byte        `json:"pattern,omitempty"`   // what fills the payload
	Flood     bool          `json:"flood,omitempty"`     // as fast as replies come
	Broadcast bool          `json:"broadcast,omitempty"` // allowed

	quiet, stamps bool
}

// A PingReply is one event; exactly one field is set.
type PingReply struct {
	Start *PingStart `json:"start,omitempty"`
	Sent  *PingSent  `json:"sent,omitempty"` // of a flood
	Echo  *PingEcho  `json:"echo,omitempty"`
	Error *PingError `json:"error,omitempty"`
	Stats *PingStats `json:"stats,omitempty"`
}

// A PingStart says who is pinged.
type PingStart struct {
	Addr   string `json:"addr"`
	Source string `json:"source"`
	Device string `json:"device,omitempty"` // if one was asked for
}

// A PingSent is a request that was sent.
type PingSent struct {
	Seq int `json:"seq"`
}

// A PingEcho is a reply.
type PingEcho struct {
	Seq       int           `json:"seq"`
	From      string        `json:"from"`
	Bytes     int           `json:"bytes"` // of the ICMP message
	TTL       int           `json:"ttl"`
	RTT       time.Duration `json:"rtt"`
	Wall      time.Time     `json:"wall"`
	Duplicate bool          `json:"duplicate,omitempty"`
	// Wrong is the offset of the first payload byte that is not as it was sent, if
	// there is one.
	Wrong *int `json:"wrong,omitempty"`
}

// A PingError is an ICMP error about a request, or why one could not be sent.
type PingError struct {
	Seq  int    `json:"seq"`
	From string `json:"from,omitempty"`
	Type int    `json:"type"`
	Code int    `json:"code"`
	Info uint32 `json:"info,omitempty"` // MTU or pointer
	// Local is why a request could not be sent; then the rest is not set.
	Local string `json:"local,omitempty"`
}

// PingStats are what ping ends with.
type PingStats struct {
	Sent       int           `json:"sent"`
	Received   int           `json:"received"`
	Duplicates int           `json:"duplicates,omitempty"`
	Wrong      int           `json:"wrong,omitempty"`
	Errors     int           `json:"errors,omitempty"`
	Time       time.Duration `json:"time"`
	Min        time.Duration `json:"min"`
	Avg        time.Duration `json:"avg"`
	Max        time.Duration `json:"max"`
	Mdev       time.Duration `json:"mdev"`
	EWMA       time.Duration `json:"ewma"`
	Pipe       int           `json:"pipe,omitempty"` // requests under way at once
}

const pingUsage = `
Usage
  ping [options] <destination>

Options:
  <destination>      name or IP address
  -4                 use IPv4
  -6                 use IPv6
  -b                 allow pinging broadcast
  -c <count>         stop after <count> replies
  -D                 print timestamps
  -f                 flood ping
  -h                 print help and exit
  -I <interface>     either interface name or address
  -i <interval>      seconds between sending each packet
  -M <pmtud opt>     define mtu discovery, can be one of <do|dont|want>
  -n                 accepted: addresses are never looked up
  -p <pattern>       contents of padding byte
  -q                 quiet output
  -Q <tclass>        use quality of service <tclass> bits
  -s <size>          use <size> as number of data bytes to be sent
  -t <ttl>           define time to live
  -w <deadline>      reply wait <deadline> in seconds
  -W <timeout>       time to wait for response
`

// Ping sends ICMP echo requests, as ping(8) does.
func Ping() *Verb[PingRequest, PingReply] {
	return &Verb[PingRequest, PingReply]{
		Info: Info{
			Name: "ping", Group: Sockets, Summary: "send ICMP ECHO_REQUEST to network hosts", Usage: pingUsage, Stream: true,
		},
		Parse: parsePing,
		Print: printPing,
	}
}

func pingOptions() []option {
	return []option{
		{'4', "", noArg}, {'6', "", noArg}, {'b', "", noArg}, {'c', "", needArg}, {'D', "", noArg}, {'f', "", noArg},
		{'h', "help", noArg}, {'I', "", needArg}, {'i', "", needArg}, {'M', "", needArg}, {'n', "", noArg}, {'p', "", needArg},
		{'q', "", noArg}, {'Q', "", needArg}, {'s', "", needArg}, {'t', "", needArg}, {'w', "", needArg}, {'W', "", needArg},
	}
}

func parsePing(_ *Console, args []string) (q PingRequest, err error) {
	given, rest, err := getopt("ping", 2, pingOptions(), args)
	if err != nil {
		e := asError(err)
		e.Text += "\n" + pingUsage
		return q, e
	}
	q.Size, q.Interval = 56, time.Second
	timed := false
	for _, o := range given {
		if err := q.set(o); err != nil {
			return q, err
		}
		timed = timed || o.name == "i"
	}
	if q.Flood && !timed {
		q.Interval = 0
	}
	switch len(rest) {
	case 0:
		return q, Errorf(2, "ping: usage error: Destination address required")
	case 1:
		q.Host = rest[0].text
		return q, nil
	}
	return q, WordErrorf(rest[1].word, 2, "ping: %s: want one destination", rest[1].text)
}

func (q *PingRequest) set(o setting) (err error) {
	switch o.name {
	case "help":
		return ErrHelp
	case "4", "6":
		v := int(o.name[0] - '0')
		if q.Version != 0 && q.Version != v {
			return WordErrorf(o.word, 2, "ping: only one -4 or -6 option may be specified")
		}
		q.Version = v
	case "b":
		q.Broadcast = true
	case "D":
		q.stamps = true
	case "f":
		q.Flood = true
	case "q":
		q.quiet = true
	case "n":
	case "I":
		q.Source = o.value
	case "M":
		q.Discover = o.value
		if o.value != "do" && o.value != "want" && o.value != "dont" {
			return WordErrorf(o.word, 2, "ping: invalid -M argument: %s", o.value)
		}
	case "p":
		q.Pattern, err = pingPattern(o)
	default:
		return q.setNumber(o)
	}
	return err
}

func (q *PingRequest) setNumber(o setting) (err error) {
	switch o.name {
	case "c":
		q.Count, err = pingNumber(o, 1, math.MaxInt64)
	case "s":
		q.Size, err = pingNumber(o, 0, math.MaxInt32)
	case "t":
		q.TTL, err = pingNumber(o, 0, 255)
	case "Q":
		q.TOS, err = pingNumber(o, 0, 255)
	case "w":
		var n int
		n, err = pingNumber(o, 0, math.MaxInt32)
		q.Deadline = time.Duration(n) * time.Second
	case "i":
		q.Interval, err = pingSeconds(o)
	case "W":
		q.Timeout, err = pingSeconds(o)
	}
	return err
}

func pingNumber(o setting, lo, hi int64) (int, error) {
	base := 10
	if o.name == "Q" {
		base = 0
	}
	n, err := strconv.ParseInt(o.value, base, 64)
	switch {
	case err != nil:
		return 0, WordErrorf(o.word, 1, "ping: invalid argument: '%s'", o.value)
	case n < lo || n > hi:
		return 0, WordErrorf(o.word, 1, "ping: invalid argument: '%s': out of range: %d <= value <= %d", o.value, lo, hi)
	}
	return int(n), nil
}

func pingSeconds(o setting) (time.Duration, error) {
	v, err := strconv.ParseFloat(o.value, 64)
	if err != nil || math.IsNaN(v) {
		return 0, WordErrorf(o.word, 1, "ping: option argument contains garbage: %s", o.value)
	}
	if v < 0 || v > math.MaxInt32 {
		return 0, WordErrorf(o.word, 2, "ping: bad timing interval: %s", o.value)
	}
	return time.Duration(v * float64(time.Second)), nil
}

func pingPattern(o setting) ([]byte, error) {
	text := o.value
	if len(text)%2 == 1 { // the last digit is a byte of its own
		text = text[:len(text)-1] + "0" + text[len(text)-1:]
	}
	b, err := hex.DecodeString(strings.ToLower(text))
	if err != nil || len(b) == 0 {
		return nil, WordErrorf(o.word, 2, "ping: patterns must be specified as hex digits: %s", o.value)
	}
	return b[:min(len(b), 16)], nil
}
