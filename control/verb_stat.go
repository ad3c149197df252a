package control

import (
	"encoding/json"
	"path"

	"github.com/knitnet/knit/core/stat"
)

// StatRequest asks for counters.
type StatRequest struct {
	// Patterns choose counters by name, with * and ? as in a shell; none is all.
	Patterns []string `json:"patterns,omitempty"`
	Zeros    bool     `json:"zeros,omitempty"` // also those that are 0

	json bool
}

// A StatReply is the counters of the kernel and why packets were dropped.
type StatReply struct {
	Counters []Counter      `json:"counters"`
	Drops    []stat.Dropped `json:"drops"`
}

// A Counter is one number, called as nstat calls it: IpInReceives.
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

const statUsage = `Usage: stat [OPTION] [ PATTERN... ]
   -h, --help           this message
   -j, --json           format output in JSON
   -z, --zeros          show entries with zero activity
Patterns choose names of counters and of reasons, with * and ?.
`

// Stat shows counters as nstat does, and the reasons for which packets were
// dropped.
func Stat() *Verb[StatRequest, StatReply] {
	return &Verb[StatRequest, StatReply]{
		Info:  Info{Name: "stat", Group: Kernel, Summary: "show counters and why packets were dropped", Usage: statUsage},
		Parse: parseStat,
		Print: Each(printStat),
	}
}

func parseStat(_ *Console, args []string) (q StatRequest, err error) {
	given, rest, err := getopt("stat", 1, []option{
		{'h', "help", noArg}, {'j', "json", noArg}, {'z', "zeros", noArg}, {'a', "ignore", noArg}, {'s', "noupdate", noArg},
	}, args)
	if err != nil {
		return q, err
	}
	for _, o := range given {
		switch o.name {
		case "help":
			return q, ErrHelp
		case "json":
			q.json = true
		case "zeros":
			q.Zeros = true
		}
	}
	for _, o := range rest {
		if _, err := path.Match(o.text, ""); err != nil {
			return q, WordErrorf(o.word, 1, "stat: %q is no pattern: a [ is never closed", o.text)
		}
		q.Patterns = append(q.Patterns, o.text)
	}
	return q, nil
}

func printStat(c *Console, q StatRequest, r StatReply) error {
	if q.json {
		return printStatJSON(c, r)
	}
	if err := c.Print("#kernel\n"); err != nil {
		return err
	}
	for _, n := range r.Counters {
		if err := c.Printf("%-32s%d\n", n.Name, n.Value); err != nil {
			return err
		}
	}
	if len(r.Drops) == 0 {
		return nil
	}
	if err := c.Print("#drop\n"); err != nil {
		return err
	}
	for _, d := range r.Drops {
		if err := c.Printf("%-47s %d\n", d.Reason, d.Count); err != nil {
			return err
		}
	}
	return nil
}

// printStatJSON has nstat's form: an object with the names as keys.
func printStatJSON(c *Console, r StatReply) error {
	var out struct {
		Kernel map[string]uint64 `json:"kernel"`
		Drop   map[string]uint64 `json:"drop"`
	}
	out.Kernel, out.Drop = make(map[string]uint64), make(map[string]uint64)
	for _, n := range r.Counters {
		out.Kernel[n.Name] = n.Value
	}
	for _, d := range r.Drops {
		out.Drop[d.Reason] = d.Count
	}
	return json.NewEncoder(c.stdout()).Encode(out)
}
