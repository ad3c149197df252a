// Package report turns samples into tables for people and into the benchmark
// format of Go for programs such as benchstat.
package report

import "slices"

// Names of metrics that every table shows beside its figure, if they are there.
const (
	Allocs = "allocs/packet"
	Bytes  = "B/packet"
	Cores  = "cores"
	Lost   = "lost"
)

// A Sample is one measurement.
type Sample struct {
	N       int   // operations
	Nanos   int64 // that they took
	Metrics map[string]float64
}

// A Heading says what a table shows.
type Heading struct {
	Name   string // as in "BenchmarkName"
	Title  string
	Unit   string // the metric of a Sample that is the figure
	Higher bool   // a higher figure is better
	Goal   float64
}

// A Row is a contender and its samples. Missing says why it has none, Failed what
// first went wrong in measuring it.
type Row struct {
	Label           string
	Samples         []Sample
	Missing, Failed string
}

// A Table is a heading and its contenders, of which the first is the one that the
// others are compared with.
type Table struct {
	Heading
	Rows []Row
}

// figures returns the values of a metric, in ascending order.
func (r Row) figures(name string) []float64 {
	var all []float64
	for _, s := range r.Samples {
		if v, ok := s.Metrics[name]; ok {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return all
}

// Median returns the median of a metric, and whether any sample has it.
func (r Row) Median(name string) (float64, bool) {
	all := r.figures(name)
	n := len(all)
	switch {
	case n == 0:
		return 0, false
	case n%2 == 0:
		return (all[n/2-1] + all[n/2]) / 2, true
	}
	return all[n/2], true
}

// Ratio returns how many times better base is than r: above one if base wins.
func (h Heading) Ratio(base, r float64) float64 {
	if h.Higher {
		return base / r
	}
	return r / base
}

// Met reports whether a figure reaches the goal.
func (h Heading) Met(v float64) bool {
	if h.Higher {
		return v >= h.Goal
	}
	return v <= h.Goal
}
