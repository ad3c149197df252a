package link

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Options reads the options of `ip link add`, for the New of a Kind. It notes the
// first one that is wrong; those that nobody asked for are wrong too.
type Options struct {
	kind   string
	values map[string]string
	known  []string
	err    error
}

// NewOptions returns a reader of the options of a kind of devices.
func NewOptions(kind string, values map[string]string) *Options {
	return &Options{kind: kind, values: maps.Clone(values)}
}

// String returns the option called name, or def without it.
func (o *Options) String(name, def string) string {
	o.known = append(o.known, name)
	v, ok := o.values[name]
	if !ok {
		return def
	}
	delete(o.values, name)
	return v
}

// Int returns a whole number from lo to hi.
func (o *Options) Int(name string, def, lo, hi int) int {
	text := o.String(name, strconv.Itoa(def))
	n, err := strconv.Atoi(text)
	if err != nil || n < lo || n > hi {
		o.wrong(name, text, fmt.Sprintf("%d to %d", lo, hi))
		return def
	}
	return n
}

// Bool returns whether the option is on.
func (o *Options) Bool(name string, def bool) bool {
	text := o.String(name, map[bool]string{true: "on", false: "off"}[def])
	switch text {
	case "on", "yes", "1", "true", "":
		return true
	case "off", "no", "0", "false":
		return false
	}
	o.wrong(name, text, "on or off")
	return def
}

// OneOf returns an option that is one of a few words.
func (o *Options) OneOf(name string, words ...string) string {
	text := o.String(name, words[0])
	if !slices.Contains(words, text) {
		o.wrong(name, text, strings.Join(words, " or "))
		return words[0]
	}
	return text
}

func (o *Options) wrong(name, text, want string) {
	if o.err == nil {
		o.err = fmt.Errorf("%s: %s %q: %w: want %s", o.kind, name, text, syscall.EINVAL, want)
	}
}

// Err returns what is wrong with the options, or nil. It is called last.
func (o *Options) Err() error {
	if o.err != nil || len(o.values) == 0 {
		return o.err
	}
	want := "no options"
	if len(o.known) > 0 {
		want = strings.Join(o.known, ", ")
	}
	return fmt.Errorf("%s: option %q: %w: want %s", o.kind, slices.Sorted(maps.Keys(o.values))[0], syscall.EINVAL, want)
}
