package lang

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var durationUnits = [...]struct {
	name string
	d    time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// parseDuration reads 1d2h3m4s5ms; without a unit, seconds.
func parseDuration(s string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, true
	}
	var sum time.Duration
	if s == "" {
		return 0, false
	}
	for s != "" {
		n := 0
		for n < len(s) && digit(s[n]) {
			n++
		}
		v, err := strconv.ParseUint(s[:n], 10, 32)
		if err != nil {
			return 0, false
		}
		s = s[n:]
		n = 0
		for n < len(s) && letter(s[n]) {
			n++
		}
		found := false
		for _, u := range durationUnits {
			if u.name == s[:n] {
				found = true
				if time.Duration(v) > (1<<62)/u.d {
					return 0, false
				}
				sum += time.Duration(v) * u.d
			}
		}
		if !found || sum < 0 {
			return 0, false
		}
		s = s[n:]
	}
	return sum, true
}

// durationString writes a span of time as nft does.
func durationString(d time.Duration) string {
	if d < time.Millisecond {
		return "0s"
	}
	var b strings.Builder
	for _, u := range durationUnits {
		if n := d / u.d; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.d
		}
	}
	return b.String()
}
