package sysctl

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// ParseInt parses a number as Linux's proc_dointvec does: decimal, 0x hexadecimal
// or 0 octal, with a minus or without a sign. The error is EINVAL.
func ParseInt(text string) (int64, error) {
	if !plain(strings.TrimPrefix(text, "-")) {
		return 0, syscall.EINVAL
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		return 0, syscall.EINVAL
	}
	return n, nil
}

// plain reports whether digits have none of what strconv understands and Linux
// does not: a sign, underscores, 0b and 0o.
func plain(digits string) bool {
	lower := strings.ToLower(digits)
	return !strings.ContainsAny(digits, "+-_") && !strings.HasPrefix(lower, "0b") && !strings.HasPrefix(lower, "0o")
}

// ParseUints overwrites the first elements of list with the numbers in text, which
// are separated by white space and of ParseInt's form, each from minimum to
// maximum. There must be one, and not more than list has. The error wraps EINVAL.
func ParseUints(list []uint64, text string, minimum, maximum uint64) error {
	want := fmt.Sprintf("up to %d integers from %d to %d", len(list), minimum, maximum)
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > len(list) {
		return invalid(text, want)
	}
	for i, w := range words {
		digits, minus := strings.CutPrefix(w, "-")
		n, err := strconv.ParseUint(digits, 0, 64)
		if err != nil || !plain(digits) || minus && n != 0 || n < minimum || n > maximum {
			return invalid(text, want)
		}
		list[i] = n
	}
	return nil
}
