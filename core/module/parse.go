package module

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Parse translates text to the parameter's Go type (see Kind). The error
// wraps nothing: it is up to the caller to name the module.
func (p Param) Parse(text string) (any, error) {
	v, err := p.parse(text)
	if err == nil && !p.inRange(v) {
		err = errRange
	}
	if err != nil {
		return nil, fmt.Errorf("%q: want %s", text, p.want())
	}
	return v, nil
}

var (
	errRange  = errors.New("out of range")
	errSyntax = errors.New("malformed")
)

func (p Param) parse(text string) (any, error) {
	switch p.kind {
	case KindBool:
		return parseBool(text)
	case KindInt:
		return parseInteger(text, strconv.ParseInt)
	case KindUint:
		return parseInteger(text, strconv.ParseUint)
	case KindString:
		if strings.ContainsRune(text, 0) {
			return nil, errSyntax
		}
		return text, nil
	case KindDuration:
		return parseDuration(text)
	case KindAddr:
		if text == "" {
			return netip.Addr{}, nil
		}
		return netip.ParseAddr(text)
	case KindPrefix:
		if text == "" {
			return netip.Prefix{}, nil
		}
		return netip.ParsePrefix(text)
	case KindList:
		return parseList(text), nil
	}
	return nil, errSyntax
}

// parseBool takes what Linux's kstrtobool takes, written out.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "1", "y", "yes", "t", "true", "on":
		return true, nil
	case "0", "n", "no", "f", "false", "off":
		return false, nil
	}
	return false, errSyntax
}

// parseInteger parses decimal, 0x hexadecimal and 0 octal numbers as Linux's
// kstrtoll does; Go's underscores, 0b and 0o are not among them.
func parseInteger[T int64 | uint64](text string, parse func(string, int, int) (T, error)) (T, error) {
	digits, plus := strings.CutPrefix(text, "+")
	unsigned := digits
	if !plus {
		unsigned = strings.TrimPrefix(digits, "-")
	}
	lower := strings.ToLower(unsigned)
	if strings.ContainsAny(lower, "+-_") || strings.HasPrefix(lower, "0b") || strings.HasPrefix(lower, "0o") {
		return 0, errSyntax
	}
	return parse(digits, 0, 64)
}

// parseDuration takes Go's form or plain seconds.
func parseDuration(text string) (time.Duration, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > math.MaxInt64/int64(time.Second) || n < math.MinInt64/int64(time.Second) {
			return 0, errRange
		}
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(text)
}

// parseList splits at commas; the empty text is the empty list.
func parseList(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// format writes a value so that parse reads it back.
func (p Param) format(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "Y"
		}
		return "N"
	case netip.Addr:
		if !v.IsValid() {
			return ""
		}
	case netip.Prefix:
		if !v.IsValid() {
			return ""
		}
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(v)
}

// want says what the parameter takes.
func (p Param) want() string {
	s := map[Kind]string{
		KindBool: "y or n", KindInt: "an integer", KindUint: "an unsigned integer", KindString: "a text",
		KindDuration: "a duration such as 1m30s", KindAddr: "an IP address", KindPrefix: "an IP prefix such as 10.0.0.0/8",
		KindList: "a list with commas",
	}[p.kind]
	if p.lo != nil {
		s += fmt.Sprintf(" from %v to %v", p.lo, p.hi)
	}
	return s
}

// inRange reports whether v lies within the bounds, if there are any.
func (p Param) inRange(v any) bool {
	if p.lo == nil {
		return true
	}
	low, ok1 := compare(p.lo, v)
	high, ok2 := compare(v, p.hi)
	return ok1 && ok2 && low <= 0 && high <= 0
}

// compare orders two values of the same ordered type.
func compare(a, b any) (order int, ok bool) {
	switch a := a.(type) {
	case int64:
		b, ok := b.(int64)
		return cmp.Compare(a, b), ok
	case uint64:
		b, ok := b.(uint64)
		return cmp.Compare(a, b), ok
	case time.Duration:
		b, ok := b.(time.Duration)
		return cmp.Compare(a, b), ok
	}
	return 0, false
}
