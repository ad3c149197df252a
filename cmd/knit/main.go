// Command knit is the daemon that runs a kernel, and all the tools that talk to
// it: "knit up" starts a kernel, "knit lsmod" or "knit ip addr" look at it and
// change it, "knit run" gives a program a network of its own. A link to it by the
// name of a command, such as lsmod, is that command.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/internal/sandbox"
)

func main() {
	sandbox.MaybeChild()
	os.Exit(run(control.OS(), os.Args))
}

// A status is an exit status whose reason has been told.
type status int

func (status) Error() string { return "" }

// run runs a command line and returns the exit status.
func run(c *control.Console, args []string) int {
	words := args[1:]
	if name := filepath.Base(args[0]); isVerb(name) {
		words = args
		words[0] = name
	}
	root := newRoot(c)
	root.SetArgs(words)
	err := root.ExecuteContext(context.Background())
	var s status
	switch {
	case errors.As(err, &s):
		return int(s)
	case err != nil:
		return c.Report(prefixed(err))
	}
	return 0
}

// prefixed gives complaints of the command tree the program's name; errors of
// commands have a name already, and who was interrupted says nothing.
func prefixed(err error) error {
	var e *control.Error
	var s *control.ScriptError
	var n *control.NoDaemonError
	if errors.As(err, &e) || errors.As(err, &s) || errors.As(err, &n) || errors.Is(err, context.Canceled) {
		return err
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return control.Errorf(1, "knit: %s", text)
}

func isVerb(name string) bool {
	_, ok := control.Lookup(name)
	return ok
}

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP ends;
// the second one ends the process as if nobody listened.
func interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// newRoot returns the tree of commands.
func newRoot(c *control.Console) *cobra.Command {
	root := &cobra.Command{
		Use:              "knit",
		Short:            "a network kernel in user space",
		Long:             "knit is a network kernel in user space whose parts load and unload while it runs.",
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true,
		Args:             cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return control.Errorf(1, "knit: unknown command %q: want one of those that \"knit help\" lists", args[0])
			}
			return cmd.Help()
		},
	}
	root.SetIn(c.Stdin)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	var socket string
	root.PersistentFlags().StringVar(&socket, "socket", control.SocketPath(), "control `SOCKET` of the daemon; also "+control.SocketVar)
	const life = "life"
	root.AddGroup(&cobra.Group{ID: life, Title: "A kernel's life:"})
	for _, cmd := range []*cobra.Command{runCommand(c, &socket), upCommand(c, &socket), versionCommand(c)} {
		cmd.GroupID = life
		root.AddCommand(cmd)
	}
	addVerbs(root, c, &socket)
	return root
}
