package lang

// A source is one call of Parse: all files of it.
type source struct {
	opts   Options
	errs   Errors
	bytes  int
	files  int
	parsed []*command
	vars   *vars
}

// A command is a command that is not checked yet.
type command struct {
	Command
	check func(*evaluator) error
}

func newSource(opts Options) *source { return &source{opts: opts} }

func (s *source) fail(at Span, msg string) { s.errs = append(s.errs, &Error{At: at, Msg: msg}) }

// parse reads a file and checks its commands.
func (s *source) parse(f *File) ([]Command, error) {
	s.read(f, 0)
	if len(s.errs) > 0 {
		return nil, s.errs
	}
	ev := newEvaluator(s)
	out := make([]Command, 0, len(s.parsed))
	for _, c := range s.parsed {
		if c.check != nil {
			if err := c.check(ev); err != nil {
				s.errs = append(s.errs, err.(*Error))
				if len(s.errs) == maxErrors {
					break
				}
				continue
			}
		}
		ev.apply(&c.Command)
		out = append(out, c.Command)
	}
	if len(s.errs) > 0 {
		return nil, s.errs
	}
	return out, nil
}
