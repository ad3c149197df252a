package klog

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
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
	return prefix + strings.ReplaceAll(Printable(e.Text), "\n", "\n"+prefix)
}

// Printable writes control characters, and bytes that are not UTF-8, as \xNN, as
// dmesg does, so that a text that came from the network cannot steer the reader's
// terminal. Newlines and tabs stay.
func Printable(s string) string {
	if strings.IndexFunc(s, isControl) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if isControl(r) || r == utf8.RuneError && n == 1 {
			for _, c := range []byte(s[:n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// isControl reports whether r is one of the C0 or C1 controls, except newline
// and tab.
func isControl(r rune) bool {
	return r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0)
}
