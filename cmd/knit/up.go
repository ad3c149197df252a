package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
	"github.com/knitnet/knit/std"
)

// An up is what `knit up` was told.
type up struct {
	console    *control.Console
	socket     string
	boot       string // file name of the boot script; "": none
	foreground bool
	readyFD    int // where the process in the background says that it is ready; 0: nowhere
}

func upCommand(c *control.Console, socket *string) *cobra.Command {
	u := up{console: c}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "start a kernel as a daemon",
		Long: "Start a kernel that the other commands talk to. It prints nothing, and returns when\n" +
			"the kernel is ready and its boot script, if any, has run without an error.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u.socket = *socket
			if u.foreground {
				return u.serve(cmd.Context())
			}
			return u.background(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&u.boot, "boot", "", "run the commands in `FILE` first, - for standard input")
	f.BoolVar(&u.foreground, "foreground", false, "stay in the foreground")
	f.IntVar(&u.readyFD, readyFlag, 0, "descriptor to write to when ready")
	f.MarkHidden(readyFlag)
	return cmd
}

const readyFlag = "ready-fd"

// serve is the daemon: it runs until a signal or `knit down` ends it.
func (u *up) serve(ctx context.Context) (err error) {
	script, err := u.script()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		return err
	}
	s := server.New(k, server.Config{Shutdown: stop})
	l, err := s.Listen(u.socket)
	if err != nil {
		return errors.Join(err, k.Close())
	}
	defer l.Release()
	defer func() { err = errors.Join(err, l.Close(), k.Close()) }() // callers first, then what they call
	if err := script.Run(ctx, s, u.console); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	if err := u.ready(); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return nil
	}
}

// script reads the boot script; without one it is empty.
func (u *up) script() (*control.Script, error) {
	if u.boot == "" {
		return &control.Script{}, nil
	}
	text, err := u.console.ReadFile(u.boot)
	if err != nil {
		return nil, err
	}
	name := u.boot
	if name == "-" {
		name = "stdin"
	}
	return control.NewScript(u.console, name, string(text))
}

// ready tells whoever started the daemon that it serves.
func (u *up) ready() error {
	if err := notify(os.Getenv("NOTIFY_SOCKET"), "READY=1"); err != nil {
		return err
	}
	if u.readyFD > 0 {
		return detach(u.readyFD)
	}
	return nil
}
