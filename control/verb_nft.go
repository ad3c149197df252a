package control

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/knitnet/knit/netfilter"
)

// NFTRequest is one call of nft.
type NFTRequest struct {
	Text string `json:"text"`           // commands
	Name string `json:"name,omitempty"` // of the file they are from; empty: the command line
	// Files are the files that include statements mean, by the pattern as written.
	Files  map[string][]NFTFile `json:"files,omitempty"`
	Define map[string]string    `json:"define,omitempty"`
	// Monitor: events are asked for, until the call ends.
	Monitor bool `json:"monitor,omitempty"`

	Check           bool `json:"check,omitempty"`
	JSON            bool `json:"json,omitempty"`
	Handles         bool `json:"handles,omitempty"`
	Stateless       bool `json:"stateless,omitempty"`
	Terse           bool `json:"terse,omitempty"`
	Numeric         bool `json:"numeric,omitempty"`
	NumericPriority bool `json:"numeric_priority,omitempty"`
	NumericProtocol bool `json:"numeric_protocol,omitempty"`
	NumericTime     bool `json:"numeric_time,omitempty"`
	GUID            bool `json:"guid,omitempty"`
	Services        bool `json:"services,omitempty"`
	ReverseDNS      bool `json:"reverse_dns,omitempty"`
	Echo            bool `json:"echo,omitempty"`
}

// An NFTFile is an included file.
type NFTFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// NFTReply is a piece of what nft prints.
type NFTReply struct {
	Text string `json:"text"`
}

// Included returns the files that an include statement means, or nft's complaint.
func (q *NFTRequest) Included(pattern string) (files []netfilter.NFTFile, err error) {
	found, ok := q.Files[pattern]
	if !ok {
		return nil, fmt.Errorf("File not found: %s", pattern)
	}
	for _, f := range found {
		files = append(files, netfilter.NFTFile(f))
	}
	return files, nil
}

const nftUsage = `Usage: nft [OPTION...] COMMAND...
       nft [OPTION...] -f FILE

Reads and writes the packet filter in nftables' own language, see nft(8). What
one call carries is one transaction: all of it happens, or nothing.

Where the commands come from:
  -f, --file FILE          a file; - is standard input
  -D, --define NAME=VALUE  a variable, as if the input defined it
  -I, --includepath DIR    search DIR, too, for what the input includes; last of all /etc
  -c, --check              say what is wrong with them, and change nothing

How rules are shown:
  -a, --handle             with the handles by which delete, replace and insert name them
  -s, --stateless          without counters and other things that packets change
  -t, --terse              without the elements of sets and maps
  -j, --json               as JSON
  -e, --echo               what was added, with its handles
  -S, --service            ports by their names
  -N, --reversedns         taken, and without effect: no nameserver is asked
  -u, --guid               users and groups by their names
  -n, --numeric            numbers only; these are parts of it:
  -y, --numeric-priority     of chains
  -p, --numeric-protocol     of transport protocols
  -T, --numeric-time         of days and hours

  -v, --version            the release of nftables whose language this is
  -h, --help               this text

Examples:
  nft -f gateway.nft
  nft add rule inet filter input tcp dport { 22, 80 } accept
  nft -a list ruleset
  nft monitor trace
`

// NFT reads and changes the packet filter's rules.
func NFT() *Verb[NFTRequest, NFTReply] {
	return &Verb[NFTRequest, NFTReply]{
		Info:  Info{Name: "nft", Group: Network, Summary: "packet filter: rules, sets, NAT", Usage: nftUsage, Stream: true},
		Parse: parseNFT,
		Print: Each(func(c *Console, _ NFTRequest, r NFTReply) error { return c.Print(r.Text) }),
	}
}

var nftOptions = []option{
	{'h', "help", noArg}, {'v', "version", noArg}, {'f', "file", needArg}, {'D', "define", needArg}, {'I', "includepath", needArg},
	{'c', "check", noArg}, {'a', "handle", noArg}, {'s', "stateless", noArg}, {'t', "terse", noArg}, {'S', "service", noArg},
	{'N', "reversedns", noArg}, {'u', "guid", noArg}, {'n', "numeric", noArg}, {'y', "numeric-priority", noArg},
	{'p', "numeric-protocol", noArg}, {'T', "numeric-time", noArg}, {'e', "echo", noArg}, {'j', "json", noArg},
	{'V', "", noArg}, {'i', "interactive", noArg}, {'o', "optimize", noArg}, {'d', "debug", needArg},
}

// nftAbsent are the options of nft that are refused, and why.
var nftAbsent = map[string]string{
	"interactive": "nft: interactive CLI not supported in this build",
	"optimize":    "nft: optimize: rules are compiled as they are, and never rewritten",
	"debug":       "nft: debug: there is nothing to debug in this build",
}

// leadingOptions splits nft's words where the commands begin: what is behind belongs
// to them, whatever it looks like.
func leadingOptions(args []string) (n int) {
	for n < len(args) && len(args[n]) > 1 && args[n][0] == '-' {
		if n++; args[n-1] == "--" {
			break
		}
		if nftOptionWants(args[n-1]) {
			n++
		}
	}
	return min(n, len(args))
}

// nftOptionWants reports whether the next word is the argument of an option, or of the last
// of several letters.
func nftOptionWants(word string) bool {
	if name, long := strings.CutPrefix(word, "--"); long {
		o, err := (&getopts{known: nftOptions}).find(name)
		return err == nil && o.arg == needArg
	}
	for i := 1; i < len(word); i++ {
		if at := slices.IndexFunc(nftOptions, func(o option) bool { return o.short == word[i] }); at >= 0 && nftOptions[at].arg == needArg {
			return i == len(word)-1
		}
	}
	return false
}

// nftVersion is the release whose language this is.
const nftVersion = "nftables v1.0.6 (Lester Gooch #5)"

// nftFeatures is what `nft -V` says, too.
const nftFeatures = "\n  cli:\t\tno\n  json:\t\tyes\n  minigmp:\tno\n  libxtables:\tno"

// nftLateOption complains of an option behind the commands. As with nft there are none
// behind an opening brace: a priority may be negative.
func nftLateOption(words []string, n int) error {
	column := len("nft ")
	for i, w := range words {
		if i >= n && strings.HasPrefix(w, "{") {
			return nil
		}
		if i >= n && strings.HasPrefix(w, "-") {
			return WordErrorf(i+1, 1, "Error: syntax error, options must be specified before commands\nnft %s \n   ^%s~~\n",
				strings.Join(words, " "), strings.Repeat(" ", column-len("nft ")))
		}
		column += len(w) + 1
	}
	return nil
}

func parseNFT(c *Console, args []string) (q NFTRequest, err error) {
	n := leadingOptions(args)
	given, _, err := getopt("nft", 1, nftOptions, args[:n])
	if err != nil {
		return q, err
	}
	q.Define = map[string]string{}
	var file *string
	dirs, line := []string(nil), ""
	for _, o := range given {
		switch o.name {
		case "help":
			return q, ErrHelp
		case "version":
			return q, &Error{Text: nftVersion, help: true}
		case "V":
			return q, &Error{Text: nftVersion + nftFeatures, help: true}
		case "file":
			file = &o.value
		case "includepath":
			dirs = append(dirs, o.value)
		case "define":
			if line, err = q.define(o.value, line); err != nil {
				return q, err
			}
		default:
			if why, ok := nftAbsent[o.name]; ok {
				return q, Errorf(1, "%s", why)
			}
			q.flag(o.name)
		}
	}
	if err := nftLateOption(args, n); err != nil {
		return q, err
	}
	if err := q.commands(c, args[n:], file); err != nil {
		return q, err
	}
	q.Files = map[string][]NFTFile{}
	q.includes(c, q.Text, append(dirs, "/etc"), 0)
	return q, nil
}

// define takes over a variable, name=value. Line is all that were given before, as nft reads
// them.
func (q *NFTRequest) define(text, line string) (string, error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return line, Errorf(1, "Failed to define variable '%s'", text)
	}
	at := len(line) + len("define ")
	line += "define " + text + "; "
	if _, again := q.Define[name]; again {
		return line, Errorf(1, "Error: redefinition of symbol '%s'\n%s\n%s%s", name, line, strings.Repeat(" ", at), strings.Repeat("^", len(name)))
	}
	q.Define[name] = value
	return line, nil
}

// commands takes over the words of a command line or, if there are none, a file.
func (q *NFTRequest) commands(c *Console, words []string, file *string) error {
	switch {
	case len(words) > 0 && len(q.Define) > 0 && file == nil:
		return Errorf(1, "Error: -D/--define can only be used with -f/--filename")
	case len(words) > 0:
		q.Text = strings.Join(words, " ") + "\n"
		q.Monitor = words[0] == "monitor"
	case file != nil:
		text, err := c.ReadFile(*file)
		if err != nil {
			return nftOpenError(*file, err)
		}
		q.Text, q.Name = string(text), *file
		if *file == "-" {
			q.Name = "/dev/stdin"
		}
	default:
		return Errorf(1, "nft: no command specified")
	}
	return nil
}

func nftOpenError(file string, err error) error {
	reason := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		reason = "No such file or directory"
	}
	return Errorf(1, "internal:0:0-0: Error: Could not open file \"%s\": %s\n\n\n", file, reason)
}

func (q *NFTRequest) flag(name string) {
	flags := map[string]*bool{
		"check": &q.Check, "handle": &q.Handles, "stateless": &q.Stateless, "terse": &q.Terse, "service": &q.Services,
		"reversedns": &q.ReverseDNS, "guid": &q.GUID, "numeric": &q.Numeric, "numeric-priority": &q.NumericPriority,
		"numeric-protocol": &q.NumericProtocol, "numeric-time": &q.NumericTime, "echo": &q.Echo, "json": &q.JSON,
	}
	if f := flags[name]; f != nil {
		*f = true
	}
}

// maxIncludes bounds included files in each other.
const maxIncludes = 16

// includes collects the files that a text includes, or seems to: they are the user's, and
// the daemon does not look for them.
func (q *NFTRequest) includes(c *Console, text string, dirs []string, depth int) {
	if depth == maxIncludes {
		return
	}
	for _, m := range regexp.MustCompile(`\binclude\s+"([^"\n]*)"`).FindAllStringSubmatch(text, -1) {
		pattern := m[1]
		if _, done := q.Files[pattern]; done {
			continue
		}
		q.Files[pattern] = nil
		for _, f := range c.find(pattern, dirs) {
			b, err := c.ReadFile(f)
			if err != nil {
				continue
			}
			q.Files[pattern] = append(q.Files[pattern], NFTFile{f, string(b)})
			q.includes(c, string(b), dirs, depth+1)
		}
		if len(q.Files[pattern]) == 0 && !strings.ContainsAny(pattern, "*?[") {
			delete(q.Files, pattern) // the ruleset's reader complains, at the right place
		}
	}
}

// find returns the files that a pattern means: as it is if it is absolute or begins
// with a dot, else in one of dirs.
func (c *Console) find(pattern string, dirs []string) []string {
	var places []string
	if !path.IsAbs(pattern) && !strings.HasPrefix(pattern, "./") && !strings.HasPrefix(pattern, "../") {
		for _, d := range dirs {
			places = append(places, path.Join(d, pattern))
		}
	} else {
		places = []string{pattern}
	}
	for _, p := range places {
		if strings.ContainsAny(p, "*?[") {
			if c.Glob == nil {
				continue
			}
			if list, err := c.Glob(p); err == nil && len(list) > 0 {
				return asWritten(list, p)
			}
			continue
		}
		if _, err := c.ReadFile(p); err == nil {
			return []string{p}
		}
	}
	return nil
}

// asWritten puts the `./` of a pattern back in front of the files that it means.
func asWritten(files []string, pattern string) []string {
	if !strings.HasPrefix(pattern, "./") {
		return files
	}
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = "./" + strings.TrimPrefix(f, "./")
	}
	return out
}
