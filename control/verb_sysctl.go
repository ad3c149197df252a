package control

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
)

// SysctlRequest asks to read and write settings, in order.
type SysctlRequest struct {
	Ops []SysctlOp `json:"ops"`

	style string // "names", "values", "binary" or "" for both
	quiet bool
	match *regexp.Regexp
}

// A SysctlOp reads, or with Set writes, one setting.
type SysctlOp struct {
	Name   string  `json:"name"` // also a prefix, to read; "" is all
	Set    *string `json:"set,omitempty"`
	Ignore bool    `json:"ignore,omitempty"`  // it is no failure if it is not there
	DryRun bool    `json:"dry_run,omitempty"` // do not write
	// AnyError makes every error harmless: a line of a file that begins with -.
	AnyError bool `json:"any_error,omitempty"`
}

// A SysctlReply is a setting that was read or written, or one that could not be.
type SysctlReply struct {
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
	Wrote bool   `json:"wrote,omitempty"`
	Error string `json:"error,omitempty"`
}

const sysctlUsage = `
Usage:
 sysctl [options] [variable[=value] ...]

Options:
  -a, --all            display all variables
  -A                   alias of -a
  -X                   alias of -a
      --dry-run        Print the key and values but do not write
  -b, --binary         print value without new line
  -e, --ignore         ignore unknown variables errors
  -N, --names          print variable names without values
  -n, --values         print only values of the given variable(s)
  -p, --load[=<file>]  read values from file
  -f                   alias of -p
  -r, --pattern <expression>
                       select setting that match expression
  -q, --quiet          do not echo variable set
  -w, --write          enable writing a value to variable

  -h, --help     display this help and exit
`

// Sysctl reads and writes settings.
func Sysctl() *Verb[SysctlRequest, SysctlReply] {
	return &Verb[SysctlRequest, SysctlReply]{
		Info:  Info{Name: "sysctl", Group: Kernel, Summary: "read and change settings", Usage: sysctlUsage},
		Parse: parseSysctl,
		Print: Each(printSysctl),
	}
}

// A sysctlLine is what the words of a sysctl command say.
type sysctlLine struct {
	SysctlRequest
	all, ignore, write, dryRun, load bool
	files                            []string
}

func parseSysctl(c *Console, args []string) (q SysctlRequest, err error) {
	given, rest, err := getopt("sysctl", 1, []option{
		{'a', "all", noArg}, {'A', "", noArg}, {'X', "", noArg}, {0, "dry-run", noArg}, {'b', "binary", noArg},
		{'e', "ignore", noArg}, {'N', "names", noArg}, {'n', "values", noArg}, {'p', "load", mayArg}, {'f', "", mayArg},
		{'r', "pattern", needArg}, {'q', "quiet", noArg}, {'w', "write", noArg}, {'h', "help", noArg}, {'d', "", noArg},
	}, args)
	if err != nil {
		e := asError(err)
		e.Text += "\n" + sysctlUsage
		return q, e
	}
	var l sysctlLine
	for _, o := range given {
		if err := l.option(o); err != nil {
			return q, err
		}
	}
	switch {
	case l.load:
		for _, o := range rest {
			l.files = append(l.files, o.text)
		}
		if len(l.files) == 0 {
			l.files = []string{"/etc/sysctl.conf"}
		}
		for _, f := range l.files {
			if err := l.file(c, f); err != nil {
				return q, err
			}
		}
	case l.all:
		l.Ops = append(l.Ops, SysctlOp{})
	case len(rest) == 0:
		return q, Errorf(1, "%s", sysctlUsage)
	}
	if !l.load {
		for _, o := range rest {
			if err := l.operand(o); err != nil {
				return q, err
			}
		}
	}
	return l.SysctlRequest, nil
}

func (l *sysctlLine) option(o setting) error {
	switch o.name {
	case "help", "d":
		return ErrHelp
	case "all", "A", "X":
		l.all = true
	case "dry-run":
		l.dryRun = true
	case "ignore":
		l.ignore = true
	case "binary", "names", "values":
		l.style = o.name
	case "quiet":
		l.quiet = true
	case "write":
		l.write = true
	case "load", "f":
		l.load = true
		if o.value != "" {
			l.files = append(l.files, o.value)
		}
	case "pattern":
		re, err := regexp.Compile(o.value)
		if err != nil {
			return WordErrorf(o.word, 1, "sysctl: invalid pattern: %v", err)
		}
		l.match = re
	}
	return nil
}

// operand takes NAME or NAME=VALUE.
func (l *sysctlLine) operand(o operand) error {
	name, value, set := strings.Cut(o.text, "=")
	op := SysctlOp{Name: strings.TrimSpace(name), Ignore: l.ignore, DryRun: l.dryRun}
	switch {
	case set && op.Name != "":
		value = strings.TrimSpace(value)
		op.Set = &value
	case set || l.write || op.Name == "":
		return WordErrorf(o.word, 1, "sysctl: %q: invalid syntax: want name=value", o.text)
	}
	l.Ops = append(l.Ops, op)
	return nil
}

// file takes the lines of a sysctl.conf(5).
func (l *sysctlLine) file(c *Console, name string) error {
	text, err := c.ReadFile(name)
	if err != nil {
		var path *fs.PathError
		reason := err
		if errors.As(err, &path) {
			reason = path.Err
		}
		if errors.Is(err, fs.ErrNotExist) {
			reason = errors.New("No such file or directory")
		}
		return Errorf(1, "sysctl: cannot open \"%s\": %v", name, reason)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		line, anyError := strings.CutPrefix(line, "-")
		key, value, set := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !set || key == "" {
			return Errorf(1, "sysctl: %s(%d): invalid syntax: want name = value", name, n)
		}
		l.Ops = append(l.Ops, SysctlOp{Name: key, Set: &value, Ignore: l.ignore, DryRun: l.dryRun, AnyError: anyError})
	}
	return nil
}

func printSysctl(c *Console, q SysctlRequest, r SysctlReply) error {
	switch {
	case r.Error != "":
		c.Warn("%s", r.Error)
		return nil
	case r.Wrote && q.quiet, q.match != nil && !q.match.MatchString(r.Name):
		return nil
	}
	switch q.style {
	case "names":
		return c.Print(r.Name + "\n")
	case "values":
		return c.Print(r.Value + "\n")
	case "binary":
		return c.Print(r.Value)
	}
	return c.Print(r.Name + " = " + r.Value + "\n")
}
