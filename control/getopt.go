package control

import (
	"slices"
	"strings"
)

// An argKind says whether an option has an argument.
type argKind uint8

const (
	noArg argKind = iota
	needArg
	mayArg // only as --name=ARG or -nARG
)

// An option is one that a verb knows: -s, --long, or both.
type option struct {
	short byte // 0: none
	long  string
	arg   argKind
}

// A setting is one option that was given. Name is the long name if there is
// one, else the letter.
type setting struct {
	name  string
	value string
	word  int // index in the arguments, from 1
}

// An operand is a word that is no option.
type operand struct {
	text string
	word int
}

func (o option) name() string {
	if o.long != "" {
		return o.long
	}
	return string(o.short)
}

// getopt splits args into options and operands, as getopt_long does: letters
// cluster, long names may be shortened, operands may come between, and -- ends
// the options. Complaints are those of the GNU C library with prog in front, and
// status as their exit status.
func getopt(prog string, status int, known []option, args []string) (given []setting, rest []operand, err error) {
	g := getopts{prog: prog, status: status, known: known, args: args}
	for g.i < len(args) {
		a := args[g.i]
		g.i++
		switch {
		case a == "--":
			for ; g.i < len(args); g.i++ {
				g.rest = append(g.rest, operand{args[g.i], g.i + 1})
			}
		case strings.HasPrefix(a, "--"):
			err = g.long(a[2:])
		case len(a) > 1 && a[0] == '-':
			err = g.short(a[1:])
		default:
			g.rest = append(g.rest, operand{a, g.i})
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return g.given, g.rest, nil
}

type getopts struct {
	prog   string
	status int
	known  []option
	args   []string
	i      int // the next word
	given  []setting
	rest   []operand
}

func (g *getopts) fail(format string, args ...any) error {
	return WordErrorf(g.i, g.status, g.prog+": "+format, args...)
}

// next takes the next word as an option's argument.
func (g *getopts) next() (string, bool) {
	if g.i >= len(g.args) {
		return "", false
	}
	g.i++
	return g.args[g.i-1], true
}

func (g *getopts) long(text string) error {
	name, value, hasValue := strings.Cut(text, "=")
	o, err := g.find(name)
	if err != nil {
		return err
	}
	word := g.i
	switch {
	case hasValue && o.arg == noArg:
		return g.fail("option '--%s' doesn't allow an argument", o.long)
	case !hasValue && o.arg == needArg:
		if value, hasValue = g.next(); !hasValue {
			return g.fail("option '--%s' requires an argument", o.long)
		}
	}
	g.given = append(g.given, setting{o.long, value, word})
	return nil
}

// find returns the option with that long name, or the only one it begins.
func (g *getopts) find(name string) (option, error) {
	var found []option
	for _, o := range g.known {
		if o.long == name && name != "" {
			return o, nil
		}
		if name != "" && strings.HasPrefix(o.long, name) {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return option{}, g.fail("unrecognized option '--%s'", name)
	}
	var names []string
	for _, o := range found {
		names = append(names, "'--"+o.long+"'")
	}
	return option{}, g.fail("option '--%s' is ambiguous; possibilities: %s", name, strings.Join(names, " "))
}

func (g *getopts) short(letters string) error {
	word := g.i
	for letters != "" {
		c := letters[0]
		letters = letters[1:]
		i := slices.IndexFunc(g.known, func(o option) bool { return o.short == c })
		if i < 0 || c == 0 {
			return g.fail("invalid option -- '%c'", c)
		}
		o, value := g.known[i], ""
		if o.arg != noArg {
			value, letters = letters, ""
		}
		if o.arg == needArg && value == "" {
			var ok bool
			if value, ok = g.next(); !ok {
				return g.fail("option requires an argument -- '%c'", c)
			}
		}
		g.given = append(g.given, setting{o.name(), value, word})
	}
	return nil
}
