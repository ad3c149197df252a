package control

import (
	"fmt"
	"iter"

	"github.com/knitnet/knit/netfilter"
)

// A ConntrackRequest is one call of conntrack.
type ConntrackRequest struct {
	// Op is list, stats, count, delete, flush, get, create, add, update or event. add is
	// create, and no failure if the entry is there.
	Op     string `json:"op"`
	Expect bool   `json:"expect,omitempty"` // of the table of expectations
	// Filter chooses connections; for create it says what the connection is.
	Filter ConntrackFilter `json:"filter"`
	// Kinds are the events to tell of; 0: all.
	Kinds netfilter.EventKind `json:"kinds,omitempty"`
	// Zero sets counters to 0 while they are listed (-z).
	Zero bool `json:"zero,omitempty"`

	show netfilter.ViewOptions
	save bool // -o save
}

// A ConntrackReply is a connection, an expectation, or numbers.
type ConntrackReply struct {
	Conn   *netfilter.ConnView     `json:"conn,omitempty"`
	Expect *ConntrackExpect        `json:"expect,omitempty"`
	Count  *int                    `json:"count,omitempty"`
	Stats  *netfilter.TrackerStats `json:"stats,omitempty"`
}

// A ConntrackExpect is an expectation as the tools show it.
type ConntrackExpect struct {
	Tuple, Mask, Master netfilter.Tuple
	Timeout             int64 // seconds
	Helper              string
	Event               netfilter.EventKind `json:",omitempty"` // of an event, at At
	At                  int64               `json:",omitempty"`
}

// line is the expectation in conntrack's words.
func (x *ConntrackExpect) line(o netfilter.ViewOptions) string {
	t, m, a := &x.Tuple, &x.Mask, &x.Master
	line := netfilter.EventPrefix(x.Event, x.At, o.Timestamp) + fmt.Sprintf("%d proto=%d src=%v dst=%v sport=%d dport=%d "+
		"mask-src=%v mask-dst=%v sport=%d dport=%d master-src=%v master-dst=%v sport=%d dport=%d class=0", x.Timeout, t.Proto,
		t.SrcAddr(), t.DstAddr(), t.SrcPort, t.DstPort, m.SrcAddr(), m.DstAddr(), m.SrcPort, m.DstPort,
		a.SrcAddr(), a.DstAddr(), a.SrcPort, a.DstPort)
	if x.Helper != "" {
		line += " helper=" + x.Helper
	}
	return line
}

const conntrackUsage = `Usage: conntrack COMMAND [TABLE] [FILTER...]

Shows, changes and watches the connections that the firewall follows. TABLE is
conntrack, which is meant if none is named, or expect.

Commands:
  -L    show the entries            -G    show the one entry that FILTER names in full
  -E    tell of changes until ^C    -D    delete entries
  -I    make an entry               -A    make an entry, unless it is there
  -U    change an entry's mark, labels or timeout
  -F    delete all                  -C    count them
  -S    statistics for each core

Which entries, by what their first packet looked like:
  -s, --src, --orig-src ADDRESS[/PREFIX]      -d, --dst, --orig-dst ADDRESS[/PREFIX]
      --sport, --orig-port-src PORT               --dport, --orig-port-dst PORT
      --icmp-type, --icmp-code, --icmp-id N       --srckey, --dstkey KEY: of GRE
by what the answer looks like:
  -r, --reply-src ADDRESS[/PREFIX]            -q, --reply-dst ADDRESS[/PREFIX]
      --reply-port-src PORT                       --reply-port-dst PORT
and by what is known of them:
  -f, --family ipv4|ipv6                      -p, --protonum PROTOCOL
  -m, --mark MARK[/MASK]                      -w, --zone ZONE
  -n, --src-nat [ADDRESS]   -g, --dst-nat [ADDRESS]   -j, --any-nat [ADDRESS]
                                              with such a translation
  -l, --label BIT[,...]
  -u, --status ASSURED|SEEN_REPLY|FIXED_TIMEOUT|EXPECTED|OFFLOAD|UNSET[,...]
      --state STATE: of TCP, SCTP                 -i, --id ID
  -t, --timeout SECONDS                       --orig-vtag, --reply-vtag TAG: of SCTP

Output:
  -o, --output extended|id|timestamp|ktimestamp|labels|xml|save[,...]
  -z, --zero    set counters to zero while they are listed
      --label-add, --label-del BIT[,...]: what -U changes
  -e, --event-mask ALL|NEW|UPDATES|DESTROY[,...]

Examples:
  conntrack -L -p tcp --dport 443
  conntrack -D -s 10.0.0.5
  conntrack -E -e NEW,DESTROY -o timestamp
`

// conntrackName is in front of what the tool says.
const conntrackName = "conntrack v1.4.7 (conntrack-tools): "

// Conntrack shows and changes the table of connections, as conntrack(8).
func Conntrack() *Verb[ConntrackRequest, ConntrackReply] {
	return &Verb[ConntrackRequest, ConntrackReply]{
		Info:  Info{Name: "conntrack", Group: Network, Summary: "show, change and watch tracked connections", Usage: conntrackUsage, Stream: true},
		Parse: parseConntrack,
		Print: printConntrack,
	}
}

// conntrackDone says what is done, in the words that the tool ends with.
var conntrackDone = map[string]string{
	"list": "shown", "get": "shown", "delete": "deleted", "create": "created", "add": "added", "update": "updated",
}

func printConntrack(c *Console, q ConntrackRequest, replies iter.Seq[ConntrackReply]) error {
	n := 0
	whole := q.show.XML && q.Op != "delete" // a document, not an element
	for r := range replies {
		line := ""
		if whole && n == 0 {
			line = netfilter.XMLBegin
		}
		switch {
		case r.Stats != nil:
			line = statsLine(r.Stats)
		case r.Count != nil:
			line = fmt.Sprint(*r.Count)
		case r.Expect != nil:
			line, n = r.Expect.line(q.show), n+1
		case r.Conn != nil:
			if n++; q.makes() {
				continue
			}
			if q.save {
				line = r.Conn.Save()
				break
			}
			line += r.Conn.Line(q.show)
		}
		if err := c.Print(line + "\n"); err != nil {
			return err
		}
	}
	if whole && n > 0 {
		if err := c.Print(netfilter.XMLEnd); err != nil {
			return err
		}
	}
	return q.done(c, n)
}

// done says how much was done.
func (q *ConntrackRequest) done(c *Console, n int) error {
	what, events := "flow entries", "flow"
	if q.Expect {
		what, events = "expectations", "expectation"
	}
	switch {
	case q.Op == "flush" && q.Expect:
		c.Warn(conntrackName + "expectation table has been emptied.")
	case q.Op == "flush":
		c.Warn(conntrackName + "connection tracking table has been emptied.")
	case q.Op == "event":
		c.Warn(conntrackName+"%d %s events have been shown.", n, events)
	case conntrackDone[q.Op] != "":
		c.Warn(conntrackName+"%d %s have been %s.", n, what, conntrackDone[q.Op])
	}
	if n == 0 && (q.Op == "delete" || q.Op == "update") {
		return &Error{Status: 1}
	}
	return nil
}

func statsLine(s *netfilter.TrackerStats) string {
	return fmt.Sprintf("cpu=0   \tfound=0 invalid=%d insert=%d insert_failed=%d drop=%d early_drop=%d error=%d search_restart=%d clash_resolve=%d chaintoolong=0 ",
		s.Invalid, s.Insert, s.InsertFailed, s.Drop, s.EarlyDrop, s.Error, s.SearchRestart, s.ClashResolved)
}
