package module

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// ParseArgs splits a line of module parameters, such as
// `port=80 greeting="hello world"`, at white space. As in Linux's parse_args,
// double quotes protect white space, around the value or around the whole
// word, and disappear, here also inside one; there is no escape. A quote that does not end is an
// error that wraps EINVAL.
func ParseArgs(line string) ([]string, error) {
	var args []string
	var word strings.Builder
	started, quoted := false, false
	for _, c := range []byte(line) {
		switch {
		case c == '"':
			quoted, started = !quoted, true
		case !quoted && isSpace(c):
			if started {
				args = append(args, word.String())
				word.Reset()
			}
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("module parameters: missing closing quote: %w", syscall.EINVAL)
	}
	if started {
		args = append(args, word.String())
	}
	return args, nil
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// FormatArgs is the inverse of ParseArgs for words without a double quote,
// which no line can hold.
func FormatArgs(args []string) string {
	var words []string
	for _, a := range args {
		if a == "" || slices.ContainsFunc([]byte(a), isSpace) {
			key, value, ok := strings.Cut(a, "=")
			if ok && !slices.ContainsFunc([]byte(key), isSpace) {
				a = key + `="` + value + `"`
			} else {
				a = `"` + a + `"`
			}
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
