package control

import (
	"encoding/json"

	"github.com/knitnet/knit/core/module"
)

// LsmodRequest asks for the loaded modules.
type LsmodRequest struct {
	JSON bool `json:"-"`
}

// A Module is one loaded module.
type Module struct {
	Name    string   `json:"name"`
	Size    int      `json:"size"` // bytes
	Refs    int      `json:"refs"`
	Holders []string `json:"holders"`
	State   string   `json:"state"`
	Version string   `json:"version,omitempty"`
	// Params are the values in use, by name.
	Params map[string]string `json:"params,omitempty"`
}

// Lsmod lists the loaded modules, newest first.
func Lsmod() *Verb[LsmodRequest, []Module] {
	return &Verb[LsmodRequest, []Module]{
		Info: Info{Name: "lsmod", Group: Modules, Summary: "list the loaded modules", Usage: "Usage: lsmod [-j]\n"},
		Parse: func(_ *Console, args []string) (q LsmodRequest, err error) {
			given, rest, err := getopt("lsmod", 1, []option{{'j', "json", noArg}, {'h', "help", noArg}}, args)
			if err != nil {
				return q, err
			}
			for _, o := range given {
				if o.name == "help" {
					return q, ErrHelp
				}
				q.JSON = true
			}
			if len(rest) > 0 {
				return q, WordErrorf(rest[0].word, 1, "Error: too many arguments, none expected.\nUsage: lsmod [-j]")
			}
			return q, nil
		},
		Print: Each(printLsmod),
	}
}

func printLsmod(c *Console, q LsmodRequest, list []Module) error {
	if q.JSON {
		return json.NewEncoder(c.stdout()).Encode(list)
	}
	var infos []module.Info
	for _, m := range list {
		infos = append(infos, module.Info{Name: m.Name, Size: m.Size, Refs: m.Refs, Holders: m.Holders})
	}
	return c.Print(module.FormatLsmod(infos))
}
