package klog

import (
	"fmt"
	"strings"
	"time"
)

// String returns the entry as dmesg prints it: "[    0.000000] text", with the
// module's name and a colon before the text. Each line of the text gets its
// own stamp.
func (e Entry) String() string { return e.format(stamp(e.Time)) }

// Human returns the entry as `dmesg -T` prints it, with the wall-clock time.
func (e Entry) Human() string { return e.format(e.Wall.Format("[Mon Jan _2 15:04:05 2006]")) }

// stamp is the time since boot in seconds, as printk prints it.
func stamp(t time.Duration) string {
	us := t.Microseconds()
	return fmt.Sprintf("[%5d.%06d]", us/1e6, us%1e6)
}

func (e Entry) format(stamp string) string {
	prefix := stamp + " "
	if e.Module != "" {
		prefix += e.Module + ": "
	}
	return prefix + strings.ReplaceAll(printable(e.Text), "\n", "\n"+prefix)
}

// printable writes control characters as \xNN, as dmesg does, so that a text
// that came from the network cannot steer the reader's terminal.
func printable(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !isControl(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(string(r)) {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// isControl reports whether r is one of the C0 or C1 controls, except newline
// and tab.
func isControl(r rune) bool {
	return r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0)
}
