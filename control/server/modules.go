package server

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/module"
)

func insmod() Handler {
	return Handle(control.Insmod(), func(ctx context.Context, e *Env, q control.InsmodRequest, _ func(control.Nothing) error) error {
		if _, ok := e.Kernel.Modules.Lookup(q.Name); !ok {
			return control.WordErrorf(1, 1, "insmod: ERROR: could not load module %s: No such file or directory", q.Name)
		}
		err := e.Kernel.Modules.Load(ctx, q.Name, q.Params...)
		if err == nil {
			return nil
		}
		var load *module.LoadError
		if errors.As(err, &load) {
			err = load.Err
		}
		if errors.Is(err, syscall.EEXIST) {
			err = errors.New("File exists")
		}
		return control.Errorf(1, "insmod: ERROR: could not insert module %s: %v", q.Name, err)
	})
}

func rmmod() Handler {
	return Handle(control.Rmmod(), func(ctx context.Context, e *Env, q control.RmmodRequest, emit func(control.RmmodReply) error) error {
		f := failures{tell: func(text string) error { return emit(control.RmmodReply{Error: text}) }}
		for _, name := range q.Names {
			err := e.Kernel.Modules.Unload(ctx, name)
			if err == nil {
				err = emit(control.RmmodReply{Name: name})
			} else {
				err = f.add("rmmod: ERROR: " + rmmodError(name, err))
			}
			if err != nil {
				return err
			}
		}
		return f.err()
	})
}

// rmmodError has rmmod's words.
func rmmodError(name string, err error) string {
	var inUse *module.InUseError
	var not *module.NotLoadedError
	if errors.As(err, &inUse) || errors.As(err, &not) {
		return err.Error()
	}
	return fmt.Sprintf("could not remove module %s: %v", name, err)
}

func modinfo() Handler {
	return Handle(control.Modinfo(), func(_ context.Context, e *Env, q control.ModinfoRequest, emit func(control.ModinfoReply) error) error {
		f := failures{tell: func(text string) error { return emit(control.ModinfoReply{Error: text}) }}
		for _, name := range q.Names {
			names, err := e.Kernel.Modules.Resolve(name)
			if err != nil {
				if err := f.add("modinfo: ERROR: " + err.Error() + "."); err != nil {
					return err
				}
			}
			for _, n := range names {
				if err := emit(modinfoOf(e.Kernel.Modules, n)); err != nil {
					return err
				}
			}
		}
		return f.err()
	})
}

func modinfoOf(modules *module.Registry, name string) control.ModinfoReply {
	r := control.ModinfoReply{Name: name}
	spec, _ := modules.Lookup(name)
	for _, f := range spec.Modinfo() {
		r.Fields = append(r.Fields, control.ModinfoField(f))
	}
	return r
}
