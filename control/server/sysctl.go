package server

import (
	"context"
	"errors"
	"strings"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/sysctl"
)

func sysctls() Handler {
	return Handle(control.Sysctl(), func(ctx context.Context, e *Env, q control.SysctlRequest, emit func(control.SysctlReply) error) error {
		f := failures{tell: func(text string) error { return emit(control.SysctlReply{Error: text}) }}
		for _, op := range q.Ops {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := sysctlOp(e, op, emit)
			var notFound *sysctl.NotFoundError
			var set *sysctl.SetError
			switch {
			case err == nil, op.AnyError, op.Ignore && errors.As(err, &notFound):
				continue
			case !errors.As(err, &notFound) && !errors.As(err, &set):
				return err // the caller has gone
			}
			if err := f.add("sysctl: " + err.Error()); err != nil {
				return err
			}
		}
		return f.err()
	})
}

// sysctlOp reads or writes.
func sysctlOp(e *Env, op control.SysctlOp, emit func(control.SysctlReply) error) error {
	table := e.Kernel.Sysctl
	if op.Set != nil {
		name := sysctl.Canonical(op.Name)
		if op.DryRun {
			if _, err := table.Get(name); err != nil {
				return err
			}
		} else if err := table.Set(name, *op.Set); err != nil {
			return err
		}
		return emit(control.SysctlReply{Name: name, Value: strings.Join(strings.Fields(*op.Set), "\t"), Wrote: true})
	}
	list := table.List(op.Name)
	if len(list) == 0 && op.Name != "" {
		return &sysctl.NotFoundError{Name: op.Name}
	}
	for _, s := range list {
		if err := emit(control.SysctlReply{Name: s.Name, Value: s.Value}); err != nil {
			return err
		}
	}
	return nil
}
