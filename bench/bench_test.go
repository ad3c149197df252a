package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/knitnet/knit/bench/netns"
	"github.com/knitnet/knit/bench/system"
)

// TestMain starts the tests over in a network namespace of their own, so that no
// device, address or packet of theirs is in that of the machine.
func TestMain(m *testing.M) {
	if netns.Inside() {
		os.Exit(m.Run())
	}
	if err := netns.Allowed(); err != nil {
		fmt.Println(err)
		os.Exit(m.Run()) // what needs a namespace says so
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	netns.Isolate(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// Benchmark runs every measurement as a Go benchmark, for profiles and for
// benchstat. The table comes from the program.
func Benchmark(b *testing.B) {
	for _, t := range plan() {
		b.Run(t.Name, func(b *testing.B) {
			for _, e := range t.contenders {
				b.Run(e.label, func(b *testing.B) {
					b.ReportAllocs()
					err := cell{t, e}.bench(b, quick)
					if errors.Is(err, system.ErrUnsupported) {
						b.Skip(err)
					} else if err != nil {
						b.Fatal(err)
					}
				})
			}
		})
	}
}
