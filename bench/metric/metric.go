// Package metric holds the benchmarks. Each is an ordinary Go benchmark over
// the interfaces of package system, and is the same code for every stack.
package metric

import (
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/bench/system"
)

// An Env is what a benchmark runs on.
type Env struct {
	System  system.System
	Options system.Options

	// Conns is how many connections Idle opens. Zero means 1,000.
	Conns int
	// Transfer is how long one transfer of Iperf lasts, in whole seconds. Zero
	// means one.
	Transfer time.Duration
}

// A Metric is one column of truth: a benchmark and the figure taken from it.
type Metric struct {
	Name  string // as in "BenchmarkName" without the prefix
	Title string // what is measured, for the head of a table
	Unit  string // of the figure

	// Higher is set if a higher figure is better.
	Higher bool

	// Packets is how many packets one operation of the benchmark stands for.
	// Allocations are reported per packet. Zero means that they are not.
	Packets float64

	// Once is set if a run measures the same however often it loops, so that it
	// should not be repeated to fill a benchmark's time.
	Once bool

	// Bench measures and reports the figure as a metric named Unit.
	Bench func(*testing.B, Env) error
}

// All returns every metric in the order in which it should be read.
func All() []Metric {
	return []Metric{
		Stream(), RoundTrip(), Connect(), Datagram(), Forward(), Setup(), ConnMemory(), Replace(10000), Lookup(1000000), Idle(), IperfIn(), IperfOut(),
	}
}

// The units of the figures.
const (
	megabytes    = "MB/s" // millions of bytes a second
	microseconds = "us"
	kiloPackets  = "kpps" // thousands of packets a second
	bytesPerEnd  = "B/end"
)

// Cores is the name of the extra metric that says how many processors were kept
// busy, by user code and by the kernel on its behalf.
const Cores = "cores"

// A meter measures the time of a benchmark's loop and the processor time of the
// process in it.
type meter struct {
	wall time.Time
	cpu  time.Duration
}

func start() meter { return meter{wall: time.Now(), cpu: processorTime()} }

// stop reports Cores and returns the seconds since start.
func (m meter) stop(b *testing.B) float64 {
	elapsed := time.Since(m.wall).Seconds()
	b.ReportMetric((processorTime()-m.cpu).Seconds()/elapsed, Cores)
	return elapsed
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
