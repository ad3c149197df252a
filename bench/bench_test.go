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

// The measurements as Go benchmarks, one for each contest of the plan, for profiles
// and for benchstat. The table comes from the program.

func BenchmarkStream1500(b *testing.B)     { benchmark(b) }
func BenchmarkStreamOffload(b *testing.B)  { benchmark(b) }
func BenchmarkStreamLoopback(b *testing.B) { benchmark(b) }
func BenchmarkRoundTrip(b *testing.B)      { benchmark(b) }
func BenchmarkConnect(b *testing.B)        { benchmark(b) }
func BenchmarkDatagram(b *testing.B)       { benchmark(b) }
func BenchmarkForward(b *testing.B)        { benchmark(b) }
func BenchmarkForwardUDP(b *testing.B)     { benchmark(b) }
func BenchmarkForwardRules(b *testing.B)   { benchmark(b) }
func BenchmarkShareFlow(b *testing.B)      { benchmark(b) }
func BenchmarkShareMap(b *testing.B)       { benchmark(b) }
func BenchmarkShareNAT(b *testing.B)       { benchmark(b) }
func BenchmarkSetupNAT(b *testing.B)       { benchmark(b) }
func BenchmarkConnMemory(b *testing.B)     { benchmark(b) }
func BenchmarkReplace(b *testing.B)        { benchmark(b) }
func BenchmarkLookup(b *testing.B)         { benchmark(b) }
func BenchmarkIdle(b *testing.B)           { benchmark(b) }
func BenchmarkIperfIn(b *testing.B)        { benchmark(b) }
func BenchmarkIperfOut(b *testing.B)       { benchmark(b) }

// benchmark runs the contest that the benchmark is named after.
func benchmark(b *testing.B) {
	for _, t := range plan() {
		if "Benchmark"+t.Name != b.Name() {
			continue
		}
		for _, e := range t.contenders {
			b.Run(e.label, func(b *testing.B) { benchmarkCell(b, cell{t, e}) })
		}
		return
	}
	b.Fatal("the plan has no such contest")
}

func benchmarkCell(b *testing.B, c cell) {
	b.ReportAllocs()
	err := c.bench(b, quick)
	if errors.Is(err, system.ErrUnsupported) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
}
