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

const conntrackUsage = `Usage: conntrack COMMAND [TABLE] [FILTER...]

Shows, changes and watches the connections that the firewall follows. TABLE is
conntrack, which is meant if none is named, or expect.

Commands:
  -L    show the entries            -G    show the one entry that FILTER names in full
  -E    tell of changes until ^C    -D    delete entries
  -I    make an entry               -U    change an entry's mark, labels or timeout
  -F    delete all                  -C    count them
  -S    statistics for each core

Which entries, by what their first packet looked like:
  -s, --src, --orig-src ADDRESS[/PREFIX]      -d, --dst, --orig-dst ADDRESS[/PREFIX]
      --sport, --orig-port-src PORT               --dport, --orig-port-dst PORT
      --icmp-type, --icmp-code, --icmp-id N
by what the answer looks like:
  -r, --reply-src ADDRESS[/PREFIX]            -q, --reply-dst ADDRESS[/PREFIX]
      --reply-port-src PORT                       --reply-port-dst PORT
and by what is known of them:
  -f, --family ipv4|ipv6                      -p, --protonum PROTOCOL
  -m, --mark MARK[/MASK]                      -w, --zone ZONE
  -n, --src-nat   -g, --dst-nat   -j, --any-nat: with such a translation
  -u, --status ASSURED|SEEN_REPLY|CONFIRMED|FIXED_TIMEOUT|UNSET[,...]
      --state STATE: of TCP                   -i, --id ID
  -t, --timeout SECONDS

Output:
  -o, --output extended|id|timestamp|labels[,...]
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
