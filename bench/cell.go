package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/knitnet/knit/bench/metric"
	"github.com/knitnet/knit/bench/report"
	"github.com/knitnet/knit/bench/system"
)

// A cell is one measurement: of one contender, in one contest. It has a process
// of its own, so that neither the heap nor a crash of one stack touches another.
type cell struct {
	contest   contest
	contender contender
}

func (c cell) String() string { return c.contest.Name + "/" + c.contender.label }

// find returns the cell of that name.
func find(contests []contest, name string) (cell, error) {
	for _, t := range contests {
		for _, e := range t.contenders {
			if c := (cell{t, e}); c.String() == name {
				return c, nil
			}
		}
	}
	return cell{}, fmt.Errorf("no measurement is called %q", name)
}

// An outcome is what a cell's process writes to its standard output.
type outcome struct {
	Sample report.Sample
	// Missing says why the stack cannot be measured here, Failed what went wrong.
	Missing, Failed string `json:",omitempty"`
}

// runCell measures and writes the outcome.
func runCell(name string, s settings) error {
	c, err := find(plan(), name)
	if err != nil {
		return err
	}
	var out outcome
	out.Sample, err = c.measure(s)
	switch {
	case errors.Is(err, system.ErrUnsupported):
		out.Missing = strings.TrimPrefix(err.Error(), system.ErrUnsupported.Error()+": ")
	case err != nil:
		out.Failed = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func (c cell) measure(s settings) (report.Sample, error) {
	testing.Init()
	length := s.length.String()
	if c.contest.metric.Once {
		length = "1x"
	}
	if err := flag.Set("test.benchtime", length); err != nil {
		return report.Sample{}, err
	}
	var failure error
	result := testing.Benchmark(func(b *testing.B) {
		failure = c.bench(b, s)
		if failure != nil {
			b.FailNow()
		}
	})
	if failure != nil {
		return report.Sample{}, failure
	}
	return sample(result, c.contest.metric), nil
}

// bench runs the benchmark once.
func (c cell) bench(b *testing.B, s settings) error {
	return c.contest.metric.Bench(b, metric.Env{
		System: c.contender.system, Options: c.contender.options, Conns: s.conns, Transfer: s.transfer,
	})
}

func sample(r testing.BenchmarkResult, m metric.Metric) report.Sample {
	s := report.Sample{N: r.N, Nanos: r.T.Nanoseconds(), Metrics: r.Extra}
	if m.Packets > 0 {
		packets := m.Packets * float64(r.N)
		s.Metrics[report.Allocs] = float64(r.MemAllocs) / packets
		s.Metrics[report.Bytes] = float64(r.MemBytes) / packets
	}
	return s
}
