package control

import (
	"fmt"
	"iter"
	"slices"

	"github.com/knitnet/knit/netfilter"
)

// A ConntrackRequest is one call of conntrack.
type ConntrackRequest struct {
	// Op is list, dump-stats, count, delete, flush, get, create, update or event.
	Op     string `json:"op"`
	Expect bool   `json:"expect,omitempty"` // of the table of expectations
	// Filter chooses connections; for create it says what the connection is.
	Filter ConntrackFilter `json:"filter"`
	// Kinds are the events to tell of; 0: all.
	Kinds netfilter.EventKind `json:"kinds,omitempty"`

	show netfilter.ViewOptions
}

// A ConntrackReply is a connection, an expectation, or numbers.
type ConntrackReply struct {
	Conn   *netfilter.ConnView     `json:"conn,omitempty"`
	Event  string                  `json:"event,omitempty"` // NEW, UPDATE or DESTROY
	Expect string                  `json:"expect,omitempty"`
	Count  *int                    `json:"count,omitempty"`
	Stats  *netfilter.TrackerStats `json:"stats,omitempty"`
}

const conntrackUsage = `Command line interface for the connection tracking system.
Usage: conntrack [commands] [options]

Commands:
  -L [table] [options]          List conntrack or expectation table
  -G [table] parameters         Get conntrack
  -D [table] parameters         Delete conntrack
  -I [table] parameters         Create a conntrack
  -U [table] parameters         Update a conntrack: its mark and timeout
  -E [table] [options]          Show events
  -F [table]                    Flush table
  -C [table]                    Show counter
  -S                            Show statistics

Tables: conntrack, expect

Conntrack parameters and options:
  -n, --src-nat                 Only those whose source is translated
  -g, --dst-nat                 Only those whose destination is translated
  -j, --any-nat                 Only those that are translated
  -m, --mark mark[/mask]        Mark
  -e, --event-mask eventmask    Events: ALL, NEW, UPDATES, DESTROY
  -o, --output type[,...]       Output format: extended, id, timestamp, labels

Common parameters and options:
  -s, --src, --orig-src ip      Source address from original direction
  -d, --dst, --orig-dst ip      Destination address from original direction
  -r, --reply-src ip            Source address from reply direction
  -q, --reply-dst ip            Destination address from reply direction
  -p, --protonum proto          Layer 4 protocol
  -f, --family proto            Layer 3 protocol: ipv4, ipv6
  -t, --timeout timeout         Timeout in seconds
  -u, --status status           Status: ASSURED, SEEN_REPLY, CONFIRMED, FIXED_TIMEOUT, UNSET
  -w, --zone value              Zone
  -i, --id id                   ID
      --sport, --dport, --orig-port-src, --orig-port-dst, --reply-port-src, --reply-port-dst port
      --icmp-type, --icmp-code, --icmp-id value
      --state state             TCP state
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
	"list": "shown", "get": "shown", "delete": "deleted", "create": "created", "update": "updated",
}

func printConntrack(c *Console, q ConntrackRequest, replies iter.Seq[ConntrackReply]) error {
	n := 0
	for r := range replies {
		line := ""
		switch {
		case r.Stats != nil:
			line = statsLine(r.Stats)
		case r.Count != nil:
			line = fmt.Sprint(*r.Count)
		case r.Expect != "":
			line, n = r.Expect, n+1
		case r.Conn != nil:
			if n++; q.Op == "create" {
				continue
			}
			line = r.Conn.Line(r.Event, q.show)
		}
		if err := c.Print(line + "\n"); err != nil {
			return err
		}
	}
	what := "flow entries"
	switch {
	case q.Op == "flush" && q.Expect:
		c.Warn(conntrackName + "expectation table has been emptied.")
	case q.Op == "flush":
		c.Warn(conntrackName + "connection tracking table has been emptied.")
	case q.Op == "event":
		c.Warn(conntrackName+"%d flow events have been shown.", n)
	case slices.Contains([]string{"list", "get", "delete", "create", "update"}, q.Op):
		if q.Expect {
			what = "expectations"
		}
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
