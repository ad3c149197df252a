package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
	"github.com/knitnet/knit/std"
)

// addVerbs adds the table of verbs to the tree, by groups. Their words are their
// own, as the Linux tools read them.
func addVerbs(root *cobra.Command, c *control.Console, socket *string) {
	known := make(map[string]bool)
	for _, v := range control.Verbs() {
		info := v.About()
		if !known[info.Group] {
			known[info.Group] = true
			root.AddGroup(&cobra.Group{ID: info.Group, Title: info.Group + ":"})
		}
		cmd := &cobra.Command{
			Use:                info.Name,
			Short:              info.Summary,
			GroupID:            info.Group,
			DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error {
				if info.Name == "nft" && control.IsNFTTest(args) {
					return runCases(cmd.Context(), c, args)
				}
				return runVerb(cmd.Context(), c, *socket, v, args)
			},
		}
		cmd.SetHelpFunc(func(*cobra.Command, []string) { c.Print(info.Usage) })
		root.AddCommand(cmd)
	}
}

// runVerb runs one verb on the daemon.
func runVerb(ctx context.Context, c *control.Console, socket string, v control.Command, args []string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	words := append([]string{v.About().Name}, args...)
	if s := control.Run(ctx, &caller{client: control.NewClient(socket)}, c, words...); s != 0 {
		return status(s)
	}
	if v.About().Name == "down" && len(args) == 0 { // else it printed help
		return waitGone(socket)
	}
	return nil
}

// patience is longer than a daemon takes to end in order.
const patience = 30 * time.Second

// waitGone waits until the daemon has ended.
func waitGone(socket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.Wait(ctx, socket); err != nil {
		return control.Errorf(1, "down: the daemon does not end: %v", err)
	}
	return nil
}

// A caller reaches the daemon, or for verbs that need none a kernel with nothing
// in it.
type caller struct{ client *control.Client }

// Call implements control.Caller.
func (d *caller) Call(ctx context.Context, call control.Call) error {
	err := d.client.Call(ctx, call)
	var none *control.NoDaemonError
	if !call.Offline || !errors.As(err, &none) {
		return err
	}
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		return err
	}
	defer k.Close()
	return server.New(k, server.Config{}).Call(ctx, call)
}
