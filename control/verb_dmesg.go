package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/knitnet/knit/core/klog"
)

// DmesgRequest asks for the kernel's log.
type DmesgRequest struct {
	Levels     []string `json:"levels,omitempty"`     // only these
	Facilities []string `json:"facilities,omitempty"` // only these
	Follow     bool     `json:"follow,omitempty"`     // and wait for more
	New        bool     `json:"new,omitempty"`        // without those that are there
	Clear      bool     `json:"clear,omitempty"`      // afterwards
	Silent     bool     `json:"silent,omitempty"`     // no entries at all

	style  dmesgStyle
	decode bool
	json   bool
}

// dmesgStyle is how the time of an entry is shown.
type dmesgStyle uint8

const (
	styleRaw dmesgStyle = iota
	styleNone
	styleCtime
	styleISO
	styleDelta
	styleRelative
)

// A LogEntry is one message of the kernel's log.
type LogEntry struct {
	Seq      uint64        `json:"seq"`
	Time     time.Duration `json:"time"` // since boot, nanoseconds
	Wall     time.Time     `json:"wall"`
	Level    string        `json:"level"`
	Facility string        `json:"facility"`
	Module   string        `json:"module,omitempty"`
	Text     string        `json:"text"`
}

const dmesgUsage = `Usage:
 dmesg [options]

Display or control the kernel's log.

Options:
 -C, --clear                 clear the log
 -c, --read-clear            read and clear all messages
 -d, --show-delta            show time delta between printed messages
 -e, --reltime               show local time and time delta in readable format
 -f, --facility <list>       restrict output to defined facilities
 -H, --human                 human readable output
 -J, --json                  use JSON output format
 -k, --kernel                display kernel messages
 -l, --level <list>          restrict output to defined levels
 -P, --nopager               accepted: there is no pager
 -T, --ctime                 show human-readable timestamp
 -t, --notime                don't show any timestamp with messages
     --time-format <format>  show timestamp using the given format:
                               [delta|reltime|ctime|notime|iso|raw]
 -w, --follow                wait for new messages
 -W, --follow-new            wait and print only new messages
 -x, --decode                decode facility and level to readable string
 -h, --help                  display this help
`

// Dmesg shows the kernel's log.
func Dmesg() *Verb[DmesgRequest, LogEntry] {
	return &Verb[DmesgRequest, LogEntry]{
		Info: Info{
			Name: "dmesg", Group: Kernel, Summary: "print or control the kernel's log", Usage: dmesgUsage,
			Stream: true,
		},
		Parse: parseDmesg,
		Print: printDmesg,
	}
}

func dmesgOptions() []option {
	return []option{
		{'C', "clear", noArg}, {'c', "read-clear", noArg}, {'d', "show-delta", noArg}, {'e', "reltime", noArg},
		{'f', "facility", needArg}, {'H', "human", noArg}, {'J', "json", noArg}, {'k', "kernel", noArg},
		{'l', "level", needArg}, {'P', "nopager", noArg}, {'T', "ctime", noArg}, {'t', "notime", noArg},
		{0, "time-format", needArg}, {'w', "follow", noArg}, {'W', "follow-new", noArg}, {'x', "decode", noArg},
		{'h', "help", noArg}, {'L', "color", mayArg},
	}
}

func parseDmesg(_ *Console, args []string) (q DmesgRequest, err error) {
	given, rest, err := getopt("dmesg", 1, dmesgOptions(), args)
	if err != nil {
		e := asError(err)
		e.Text += "\nTry 'dmesg --help' for more information."
		return q, e
	}
	if len(rest) > 0 {
		return q, WordErrorf(rest[0].word, 1, "dmesg: bad usage\nTry 'dmesg --help' for more information.")
	}
	for _, o := range given {
		if err := q.set(o); err != nil {
			return q, err
		}
	}
	if q.Clear && q.Follow {
		return q, Errorf(1, "dmesg: --clear and --read-clear do not go with --follow")
	}
	return q, nil
}

func (q *DmesgRequest) set(o setting) error {
	switch o.name {
	case "help":
		return ErrHelp
	case "clear":
		q.Clear, q.Silent = true, true
	case "read-clear":
		q.Clear = true
	case "json":
		q.json = true
	case "follow":
		q.Follow = true
	case "follow-new":
		q.Follow, q.New = true, true
	case "decode":
		q.decode = true
	case "kernel":
		q.Facilities = append(q.Facilities, klog.Kern.String())
	case "level":
		for l := range strings.SplitSeq(o.value, ",") {
			if _, ok := klog.ParseLevel(l); !ok {
				return WordErrorf(o.word, 1, "dmesg: unknown level '%s'", l)
			}
			q.Levels = append(q.Levels, l)
		}
	case "facility":
		for f := range strings.SplitSeq(o.value, ",") {
			if !slices.Contains(facilities[:], f) {
				return WordErrorf(o.word, 1, "dmesg: unknown facility '%s'", f)
			}
			q.Facilities = append(q.Facilities, f)
		}
	default:
		return q.setStyle(o)
	}
	return nil
}

// facilities are the names of RFC 5424 §6.2.1 that dmesg knows. All messages
// here are the kernel's.
var facilities = [...]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

func (q *DmesgRequest) setStyle(o setting) error {
	name := o.name
	if name == "time-format" {
		name = o.value
	}
	switch name {
	case "raw":
		q.style = styleRaw
	case "notime":
		q.style = styleNone
	case "ctime":
		q.style = styleCtime
	case "iso":
		q.style = styleISO
	case "delta", "show-delta":
		q.style = styleDelta
	case "human", "reltime":
		q.style = styleRelative
	case "color", "nopager":
	default:
		return WordErrorf(o.word, 1, "dmesg: unknown time format: %s", name)
	}
	return nil
}

// stamp returns what stands before a message; last is the entry before it.
func (s dmesgStyle) stamp(e LogEntry, last *LogEntry) string {
	seconds := func(d time.Duration) string {
		return fmt.Sprintf("%d.%06d", d/time.Second, d%time.Second/time.Microsecond)
	}
	var delta time.Duration
	if last != nil {
		delta = max(e.Time-last.Time, 0)
	}
	switch s {
	case styleNone:
		return ""
	case styleCtime:
		return e.Wall.Format("[Mon Jan _2 15:04:05 2006] ")
	case styleISO:
		return e.Wall.Format("2006-01-02T15:04:05,000000-07:00 ")
	case styleDelta:
		return fmt.Sprintf("[%12s <%12s>] ", seconds(e.Time), seconds(delta))
	case styleRelative:
		const minute = "Jan_2 15:04"
		if at := e.Wall.Format(minute); last == nil || last.Wall.Format(minute) != at {
			return "[" + at + "] "
		}
		return fmt.Sprintf("[%11s] ", "+"+seconds(delta))
	}
	return fmt.Sprintf("[%12s] ", seconds(e.Time))
}
