package control

import (
	"strconv"
	"strings"
	"time"
)

// ModprobeRequest asks to load or unload modules with what they need.
type ModprobeRequest struct {
	Names  []string `json:"names"`            // modules or aliases
	Params []string `json:"params,omitempty"` // name=value, for a single module

	Remove     bool          `json:"remove,omitempty"`
	Wait       time.Duration `json:"wait,omitempty"` // for users to go, when removing; nanoseconds
	Holders    bool          `json:"holders,omitempty"`
	FirstTime  bool          `json:"first_time,omitempty"` // what is done already is an error
	DryRun     bool          `json:"dry_run,omitempty"`
	Verbose    bool          `json:"verbose,omitempty"`
	ResolveAll bool          `json:"resolve,omitempty"` // only say which modules the names stand for
	Quiet      bool          `json:"quiet,omitempty"`   // no messages about errors
}

// A ModprobeReply is one thing that was done, or would be.
type ModprobeReply struct {
	// Line is "insmod NAME PARAMS", "rmmod NAME", or a name that was asked for.
	Line string `json:"line,omitempty"`
	// Error is what went wrong with one of several names.
	Error string `json:"error,omitempty"`
}

const modprobeUsage = `Usage:
	modprobe [options] modulename [name=value...]
	modprobe [options] -a modulename [modulename...]
	modprobe [options] -r modulename [modulename...]
Management Options:
	-a, --all                   Consider every non-argument to
	                            be a module name to be inserted
	                            or removed (-r)
	-r, --remove                Remove modules instead of inserting
	    --remove-holders        Also remove module holders (use together with -r)
	-w, --wait <MSEC>           When removing a module, wait up to MSEC for
	                            module's refcount to become 0 so it can be
	                            removed (use together with -r)
	    --first-time            Fail if module already inserted or removed
	-i, --ignore-install        Accepted: there are no install commands
	-b, --use-blacklist         Accepted: the blacklist always applies to aliases

Query Options:
	-R, --resolve-alias         Only lookup and print alias and exit
	-D, --show-depends          Only print module dependencies and exit

General Options:
	-n, --dry-run               Do not execute operations, just print out
	-n, --show                  Same as --dry-run
	-q, --quiet                 disable messages
	-v, --verbose               enables more messages
	-h, --help                  show this help
`

// Modprobe loads modules and what they need, or unloads them and what nobody
// needs any more.
func Modprobe() *Verb[ModprobeRequest, ModprobeReply] {
	return &Verb[ModprobeRequest, ModprobeReply]{
		Info:  Info{Name: "modprobe", Group: Modules, Summary: "load or unload a module with what it needs", Usage: modprobeUsage},
		Parse: parseModprobe,
		Print: Each(func(c *Console, q ModprobeRequest, r ModprobeReply) error {
			if r.Error != "" {
				if !q.Quiet {
					c.Warn("%s", r.Error)
				}
				return nil
			}
			return c.Print(r.Line + "\n")
		}),
	}
}

func parseModprobe(_ *Console, args []string) (q ModprobeRequest, err error) {
	given, rest, err := getopt("modprobe", 1, []option{
		{'a', "all", noArg}, {'r', "remove", noArg}, {0, "remove-holders", noArg}, {'w', "wait", needArg},
		{0, "first-time", noArg}, {'i', "ignore-install", noArg}, {'b', "use-blacklist", noArg},
		{'R', "resolve-alias", noArg}, {'D', "show-depends", noArg}, {'n', "dry-run", noArg}, {0, "show", noArg},
		{'q', "quiet", noArg}, {'v', "verbose", noArg}, {'h', "help", noArg},
	}, args)
	if err != nil {
		return q, err
	}
	all := false
	for _, o := range given {
		switch o.name {
		case "help":
			return q, ErrHelp
		case "all":
			all = true
		case "wait":
			ms, err := strconv.ParseUint(o.value, 10, 31)
			if err != nil {
				return q, WordErrorf(o.word, 1, "modprobe: ERROR: unexpected wait value '%s': want milliseconds.", o.value)
			}
			q.Wait = time.Duration(ms) * time.Millisecond
		default:
			q.set(o.name)
		}
	}
	if len(rest) == 0 {
		return q, Errorf(1, "modprobe: ERROR: missing parameters. See -h.")
	}
	return q, q.operands(rest, all)
}

func (q *ModprobeRequest) set(name string) {
	switch name {
	case "remove":
		q.Remove = true
	case "remove-holders":
		q.Holders = true
	case "first-time":
		q.FirstTime = true
	case "resolve-alias":
		q.ResolveAll = true
	case "show-depends":
		q.DryRun, q.Verbose = true, true
	case "dry-run", "show":
		q.DryRun = true
	case "verbose":
		q.Verbose = true
	case "quiet":
		q.Quiet = true
	}
}

// operands takes what is no option: names, or one name and its parameters.
func (q *ModprobeRequest) operands(rest []operand, all bool) error {
	for i, o := range rest {
		switch {
		case all || q.Remove || i == 0:
			if o.text == "" || strings.Contains(o.text, "=") {
				return WordErrorf(o.word, 1, "modprobe: ERROR: '%s' is no module name", o.text)
			}
			q.Names = append(q.Names, o.text)
		default:
			q.Params = append(q.Params, o.text)
		}
	}
	return nil
}
