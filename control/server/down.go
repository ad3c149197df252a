package server

import (
	"context"

	"github.com/knitnet/knit/control"
)

func down() Handler {
	return Handle(control.Down(), func(_ context.Context, e *Env, _ control.DownRequest, _ func(control.Nothing) error) error {
		if e.config.Shutdown == nil {
			return control.Errorf(1, "down: this kernel belongs to a program that does not end it")
		}
		e.config.Shutdown()
		return nil
	})
}
