package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/knitnet/knit/control"
)

func procs() Handler {
	return Handle(control.Proc(), func(_ context.Context, e *Env, q control.ProcRequest, emit func(control.ProcReply) error) error {
		table := e.Kernel.Proc
		if len(q.Paths) == 0 {
			return emit(control.ProcReply{List: table.List("")})
		}
		f := failures{tell: func(text string) error { return emit(control.ProcReply{Error: text}) }}
		for _, path := range q.Paths {
			var r control.ProcReply
			content, err := table.Read(path)
			if errors.Is(err, fs.ErrNotExist) {
				if r.List = table.List(path); len(r.List) > 0 {
					err = nil
				}
			}
			if err != nil {
				err = f.add("proc: " + procError(path, err))
			} else {
				r.Content = string(content)
				err = emit(r)
			}
			if err != nil {
				return err
			}
		}
		return f.err()
	})
}

// procError has cat's words.
func procError(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return path + ": No such file or directory"
	}
	return fmt.Sprintf("%s: %v", path, err)
}
