package control

import "github.com/knitnet/knit/core/module"

// ModinfoRequest asks for the metadata of modules.
type ModinfoRequest struct {
	Names []string `json:"names"` // modules or aliases

	field string // only this one
	null  bool
}

// A ModinfoReply is the metadata of one module.
type ModinfoReply struct {
	Name   string         `json:"name"`
	Fields []ModinfoField `json:"fields,omitempty"`
	Error  string         `json:"error,omitempty"`
}

// A ModinfoField is one line of it.
type ModinfoField struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

const modinfoUsage = `Usage:
	modinfo [options] modulename [modulename...]
Options:
	-a, --author                Print only 'author'
	-d, --description           Print only 'description'
	-l, --license               Print only 'license'
	-p, --parameters            Print only 'parm'
	-n, --filename              Print only 'filename'
	-0, --null                  Use \0 instead of \n
	-m, --modname               Accepted: arguments are module names or aliases
	-F, --field=FIELD           Print only provided FIELD
	-h, --help                  Show this help
`

// Modinfo shows the metadata of modules, loaded or not.
func Modinfo() *Verb[ModinfoRequest, ModinfoReply] {
	return &Verb[ModinfoRequest, ModinfoReply]{
		Info:  Info{Name: "modinfo", Group: Modules, Summary: "show what a module says of itself", Usage: modinfoUsage, Offline: true},
		Parse: parseModinfo,
		Print: Each(printModinfo),
	}
}

func parseModinfo(_ *Console, args []string) (q ModinfoRequest, err error) {
	given, rest, err := getopt("modinfo", 1, []option{
		{'a', "author", noArg}, {'d', "description", noArg}, {'l', "license", noArg}, {'p', "parameters", noArg},
		{'n', "filename", noArg}, {'0', "null", noArg}, {'m', "modname", noArg}, {'F', "field", needArg}, {'h', "help", noArg},
	}, args)
	if err != nil {
		return q, err
	}
	for _, o := range given {
		switch o.name {
		case "help":
			return q, ErrHelp
		case "null":
			q.null = true
		case "modname":
		case "field":
			q.field = o.value
		case "parameters":
			q.field = "parm"
		default:
			q.field = o.name
		}
	}
	if len(rest) == 0 {
		return q, Errorf(1, "modinfo: ERROR: missing module or filename.")
	}
	for _, o := range rest {
		q.Names = append(q.Names, o.text)
	}
	return q, nil
}

func printModinfo(c *Console, q ModinfoRequest, r ModinfoReply) error {
	if r.Error != "" {
		c.Warn("%s", r.Error)
		return nil
	}
	var fields []module.Field
	for _, f := range r.Fields {
		fields = append(fields, module.Field(f))
	}
	switch {
	case q.field != "" && q.null:
		return c.Print(module.FormatModinfoField(fields, q.field, 0))
	case q.field != "":
		return c.Print(module.FormatModinfoField(fields, q.field, '\n'))
	case q.null:
		return c.Print(module.FormatModinfo0(fields))
	}
	return c.Print(module.FormatModinfo(fields))
}
