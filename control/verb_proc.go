package control

// ProcRequest asks for files of the kernel.
type ProcRequest struct {
	Paths []string `json:"paths,omitempty"` // none: the list of files
}

// A ProcReply is the content of one file, or the list of all.
type ProcReply struct {
	Content string   `json:"content,omitempty"`
	List    []string `json:"list,omitempty"`
	Error   string   `json:"error,omitempty"`
}

const procUsage = `Usage: proc [PATH...]
Print files of the kernel, such as /proc/net/tcp or net/dev; without PATH, or
for a directory, the names of those there are.
`

// Proc prints files of the kernel, as cat does those of /proc.
func Proc() *Verb[ProcRequest, ProcReply] {
	return &Verb[ProcRequest, ProcReply]{
		Info: Info{Name: "proc", Group: Kernel, Summary: "print files such as /proc/net/tcp", Usage: procUsage},
		Parse: func(_ *Console, args []string) (q ProcRequest, err error) {
			given, rest, err := getopt("proc", 1, []option{{'h', "help", noArg}}, args)
			if err != nil {
				return q, err
			}
			if len(given) > 0 {
				return q, ErrHelp
			}
			for _, o := range rest {
				q.Paths = append(q.Paths, o.text)
			}
			return q, nil
		},
		Print: Each(func(c *Console, _ ProcRequest, r ProcReply) error {
			if r.Error != "" {
				c.Warn("%s", r.Error)
			}
			for _, path := range r.List {
				if err := c.Print("/proc/" + path + "\n"); err != nil {
					return err
				}
			}
			return c.Print(r.Content)
		}),
	}
}
