package control

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/knitnet/knit/core/klog"
)

func printDmesg(c *Console, q DmesgRequest, replies iter.Seq[LogEntry]) error {
	if q.json {
		return printDmesgJSON(c, q, replies)
	}
	var last *LogEntry
	for e := range replies {
		e.Wall = e.Wall.Local()
		prefix := q.style.stamp(e, last)
		if q.decode {
			prefix = fmt.Sprintf("%-6s:%-6s: %s", e.Facility, e.Level, prefix)
		}
		for line := range strings.SplitSeq(e.message(), "\n") {
			if err := c.Print(prefix + line + "\n"); err != nil {
				return err
			}
		}
		last = &e
	}
	return nil
}

// message returns the text with its module's name before each line, and safe
// for a terminal.
func (e LogEntry) message() string {
	lines := strings.Split(klog.Entry{Module: e.Module, Text: e.Text}.String(), "\n")
	for i, line := range lines {
		_, lines[i], _ = strings.Cut(line, "] ") // the stamp, which klog writes
	}
	return strings.Join(lines, "\n")
}

// printDmesgJSON writes what util-linux's dmesg writes, spaces included.
func printDmesgJSON(c *Console, q DmesgRequest, replies iter.Seq[LogEntry]) error {
	if err := c.Print("{\n   \"dmesg\": ["); err != nil {
		return err
	}
	sep := "\n      {\n"
	for e := range replies {
		level, _ := klog.ParseLevel(e.Level)
		pri := fmt.Sprintf("         \"pri\": %d,\n", level)
		if q.decode {
			pri = fmt.Sprintf("         \"fac\": %q,\n         \"pri\": %q,\n", e.Facility, e.Level)
		}
		text := e.Text
		if e.Module != "" {
			text = e.Module + ": " + text
		}
		msg, err := safeJSON(text)
		if err != nil {
			return err
		}
		at := fmt.Sprintf("%5d.%06d", e.Time/time.Second, e.Time%time.Second/time.Microsecond)
		if err := c.Printf("%s%s         \"time\": %s,\n         \"msg\": %s\n      }", sep, pri, at, msg); err != nil {
			return err
		}
		sep = ",{\n"
	}
	return c.Print("\n   ]\n}\n")
}

// safeJSON returns a string of JSON without DEL and the C1 controls, which JSON
// allows but terminals obey.
func safeJSON(text string) (string, error) {
	raw, err := json.Marshal(text)
	var b strings.Builder
	for _, r := range string(raw) {
		if r >= 0x7f && r < 0xa0 {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String(), err
}
