package control

import (
	"context"
	"errors"
	"strings"
)

// A Script is a boot script whose commands have all been understood.
type Script struct {
	file  string
	lines []string
	steps []step
}

type step struct {
	words    []Word
	prepared *Prepared
}

// notInScripts are verbs that make no sense in a boot script.
var notInScripts = [...]string{"down"}

// NewScript parses a boot script and every command in it, so that a mistake in
// the last line is found before the first one runs. Errors are *ScriptError.
func NewScript(c *Console, file, text string) (*Script, error) {
	commands, err := ParseScript(file, text)
	if err != nil {
		return nil, err
	}
	s := &Script{file: file, lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")}
	for _, words := range commands {
		var args []string
		for _, w := range words {
			args = append(args, w.Text)
		}
		var p *Prepared
		err := error(nil)
		for _, no := range notInScripts {
			if args[0] == no {
				err = Errorf(1, "%s is not for boot scripts", no)
			}
		}
		if err == nil {
			p, err = Prepare(c, args)
		}
		if err != nil {
			return nil, s.at(words, err)
		}
		s.steps = append(s.steps, step{words, p})
	}
	return s, nil
}

// Run runs the commands in order and stops at the first one that fails, with a
// *ScriptError. The end of ctx ends it between two commands, with its error.
func (s *Script) Run(ctx context.Context, to Caller, c *Console) error {
	for _, st := range s.steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := st.prepared.Do(ctx, to, c); err != nil {
			return s.at(st.words, err)
		}
	}
	return ctx.Err()
}

// at says where a command failed.
func (s *Script) at(words []Word, err error) error {
	var se *ScriptError
	if errors.As(err, &se) {
		return err
	}
	e := asError(err)
	w := words[0]
	if e.Word > 0 && e.Word < len(words) {
		w = words[e.Word]
	}
	return &ScriptError{s.file, w.Line, w.Column, s.lines[w.Line-1], e.Error(), max(e.Status, 1)}
}
