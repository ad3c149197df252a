package sysctl

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// An Entry is one setting.
type Entry struct {
	// Name has dots between its parts, as net.ipv4.ip_forward. A dot within a
	// part, as in the device eth0.100, is written as a slash.
	Name string

	// Get returns the value as text without a newline. It may be called
	// concurrently.
	Get func() string

	// Set parses text and takes it over, or changes nothing and returns an
	// error that wraps a syscall.Errno, EINVAL as a rule. nil makes the entry
	// read-only. It may be called concurrently.
	Set func(text string) error
}

// invalid is what a Set function returns for a text it does not take.
func invalid(text, want string) error {
	return fmt.Errorf("%w: %q, want %s", syscall.EINVAL, text, want)
}

// Int returns an entry for v, which Set keeps within min and max, inclusive.
func Int(name string, v *atomic.Int64, minimum, maximum int64) Entry {
	return Entry{
		Name: name,
		Get:  func() string { return strconv.FormatInt(v.Load(), 10) },
		Set: func(text string) error {
			n, err := ParseInt(strings.TrimSpace(text))
			if err != nil || n < minimum || n > maximum {
				return invalid(text, intRange(minimum, maximum))
			}
			v.Store(n)
			return nil
		},
	}
}

// intRange says which integers an entry takes.
func intRange(minimum, maximum int64) string {
	switch {
	case minimum == math.MinInt64 && maximum == math.MaxInt64:
		return "an integer"
	case maximum == math.MaxInt64:
		return fmt.Sprintf("an integer of at least %d", minimum)
	default:
		return fmt.Sprintf("an integer from %d to %d", minimum, maximum)
	}
}

// Bool returns an entry for v that reads and writes as 0 or 1.
func Bool(name string, v *atomic.Bool) Entry {
	return Entry{
		Name: name,
		Get: func() string {
			if v.Load() {
				return "1"
			}
			return "0"
		},
		Set: func(text string) error {
			n, err := ParseInt(strings.TrimSpace(text))
			if err != nil || n < 0 || n > 1 {
				return invalid(text, "0 or 1")
			}
			v.Store(n == 1)
			return nil
		},
	}
}

// String returns an entry behind a pair of functions; a nil set makes it
// read-only. set gets the text without surrounding space.
func String(name string, get func() string, set func(string) error) Entry {
	e := Entry{Name: name, Get: get}
	if set != nil {
		e.Set = func(text string) error { return set(strings.TrimSpace(text)) }
	}
	return e
}

// Uints returns an entry for a list of unsigned integers such as
// net.ipv4.tcp_rmem, written with spaces between them and read with tabs, as
// Linux does. As many as v has; a shorter text changes the first ones only.
// Each is kept within min and max, inclusive.
//
// check, unless it is nil, sees the whole new list before anything changes, so
// that it may demand an order among the numbers.
func Uints(name string, v []*atomic.Uint64, minimum, maximum uint64, check func([]uint64) error) Entry {
	load := func() []uint64 {
		list := make([]uint64, len(v))
		for i := range v {
			list[i] = v[i].Load()
		}
		return list
	}
	return Entry{
		Name: name,
		Get: func() string {
			words := make([]string, len(v))
			for i, n := range load() {
				words[i] = strconv.FormatUint(n, 10)
			}
			return strings.Join(words, "\t")
		},
		Set: func(text string) error {
			list := load()
			if err := ParseUints(list, text, minimum, maximum); err != nil {
				return err
			}
			if check != nil {
				if err := check(list); err != nil {
					return err
				}
			}
			for i, n := range list {
				v[i].Store(n)
			}
			return nil
		},
	}
}
