package control

// InsmodRequest asks to load one module whose dependencies are there.
type InsmodRequest struct {
	Name   string   `json:"name"`
	Params []string `json:"params,omitempty"` // name=value
}

// Nothing is the reply of verbs that have none to give.
type Nothing struct{}

const insmodUsage = `Usage:
	insmod modulename [name=value...]
Options:
	-h, --help        show this help
`

// Insmod loads one module.
func Insmod() *Verb[InsmodRequest, Nothing] {
	return &Verb[InsmodRequest, Nothing]{
		Info: Info{Name: "insmod", Group: Modules, Summary: "load one module", Usage: insmodUsage},
		Parse: func(_ *Console, args []string) (q InsmodRequest, err error) {
			given, rest, err := getopt("insmod", 1, []option{{'h', "help", noArg}}, args)
			switch {
			case err != nil:
				return q, err
			case len(given) > 0:
				return q, ErrHelp
			case len(rest) == 0 || rest[0].text == "":
				return q, Errorf(1, "insmod: ERROR: missing filename.")
			}
			q.Name = rest[0].text
			for _, o := range rest[1:] {
				q.Params = append(q.Params, o.text)
			}
			return q, nil
		},
		Print: Silent[InsmodRequest, Nothing],
	}
}

// RmmodRequest asks to unload modules.
type RmmodRequest struct {
	Names []string `json:"names"`

	verbose bool
}

// A RmmodReply says what became of one module.
type RmmodReply struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
}

const rmmodUsage = `Usage:
	rmmod [options] modulename ...
Options:
	-v, --verbose     enables more messages
	-h, --help        show this help
`

// Rmmod unloads modules, each on its own.
func Rmmod() *Verb[RmmodRequest, RmmodReply] {
	return &Verb[RmmodRequest, RmmodReply]{
		Info: Info{Name: "rmmod", Group: Modules, Summary: "unload modules", Usage: rmmodUsage},
		Parse: func(_ *Console, args []string) (q RmmodRequest, err error) {
			given, rest, err := getopt("rmmod", 1, []option{{'v', "verbose", noArg}, {'h', "help", noArg}}, args)
			if err != nil {
				return q, err
			}
			for _, o := range given {
				if o.name == "help" {
					return q, ErrHelp
				}
				q.verbose = true
			}
			if len(rest) == 0 {
				return q, Errorf(1, "rmmod: ERROR: missing module name.")
			}
			for _, o := range rest {
				q.Names = append(q.Names, o.text)
			}
			return q, nil
		},
		Print: Each(func(c *Console, q RmmodRequest, r RmmodReply) error {
			switch {
			case r.Error != "":
				c.Warn("%s", r.Error)
			case q.verbose:
				return c.Print("rmmod " + r.Name + "\n")
			}
			return nil
		}),
	}
}
