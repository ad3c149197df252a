package server

import (
	"context"

	"github.com/knitnet/knit/control"
)

func lsmod() Handler {
	return Handle(control.Lsmod(), func(_ context.Context, e *Env, _ control.LsmodRequest, emit func([]control.Module) error) error {
		list := []control.Module{}
		for _, m := range e.Kernel.Modules.Modules() {
			row := control.Module{
				Name: m.Name, Size: m.Size, Refs: m.Refs, Holders: append([]string{}, m.Holders...),
				State: m.State.String(), Version: m.Version,
			}
			for _, p := range m.Params {
				if row.Params == nil {
					row.Params = make(map[string]string)
				}
				row.Params[p.Name] = p.Value
			}
			list = append(list, row)
		}
		return emit(list)
	})
}
