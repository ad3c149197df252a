package control

// DownRequest asks the daemon to end.
type DownRequest struct{}

// Down ends the daemon in order. The request is answered before that: who wants
// to know when it is done waits for its lock (server.Wait).
func Down() *Verb[DownRequest, Nothing] {
	return &Verb[DownRequest, Nothing]{
		Info:  Info{Name: "down", Group: Kernel, Summary: "end the kernel and its daemon", Usage: "Usage: down\n"},
		Parse: func(_ *Console, args []string) (q DownRequest, err error) { return q, none("down", args) },
		Print: Silent[DownRequest, Nothing],
	}
}

// none complains about words where none are wanted.
func none(prog string, args []string) error {
	given, rest, err := getopt(prog, 1, []option{{'h', "help", noArg}}, args)
	switch {
	case err != nil:
		return err
	case len(given) > 0:
		return ErrHelp
	case len(rest) > 0:
		return WordErrorf(rest[0].word, 1, "%s: %q: want nothing more", prog, rest[0].text)
	}
	return nil
}

// SaveRequest asks for a boot script.
type SaveRequest struct{}

// A SaveReply is a boot script that makes the kernel as it is.
type SaveReply struct {
	Script string `json:"script"`
	// Missing says what the script does not make again; it has comments in place.
	Missing []string `json:"missing,omitempty"`
}

// Save writes a boot script that makes a kernel like this one.
func Save() *Verb[SaveRequest, SaveReply] {
	return &Verb[SaveRequest, SaveReply]{
		Info:  Info{Name: "save", Group: Kernel, Summary: "print a boot script that makes this kernel again", Usage: "Usage: save\n"},
		Parse: func(_ *Console, args []string) (q SaveRequest, err error) { return q, none("save", args) },
		Print: Each(func(c *Console, _ SaveRequest, r SaveReply) error {
			for _, text := range r.Missing {
				c.Warn("save: %s", text)
			}
			return c.Print(r.Script)
		}),
	}
}
