package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/knitnet/knit/bench/netns"
	"github.com/knitnet/knit/bench/report"
)

// patience is how long one measurement may take before it is stopped and counts
// as failed; longest is how long one takes that goes well.
const (
	patience = 25 * time.Second
	longest  = 3 * time.Second
)

// errHung says that a measurement was stopped. It is not tried again.
var errHung = errors.New("not done in time, and not tried again")

// A runner makes measurements, one process each, and gathers the outcomes.
type runner struct {
	settings settings
	quick    bool
	program  string // this executable
	isolate  bool
	start    func(cell) (outcome, error) // makes a measurement
	began    time.Time
	hung     map[string]bool // the cells that are not tried again
	done     int
	total    int
	failures int
}

func newRunner(s settings, quick bool) (*runner, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	r := &runner{settings: s, quick: quick, program: program, isolate: true, began: time.Now(), hung: map[string]bool{}}
	r.start = r.startProcess
	if err := netns.Allowed(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v; only what needs none is measured\n", err)
		r.isolate = false
	}
	return r, nil
}

// run measures every contender of every contest in each round, starting with
// another contender each time, until the rounds or the time are used up.
func (r *runner) run(contests []contest) []report.Table {
	tables := make([]report.Table, len(contests))
	for i, t := range contests {
		tables[i] = report.Table{Heading: t.Heading}
		for _, e := range t.contenders {
			tables[i].Rows = append(tables[i].Rows, report.Row{Label: e.label})
		}
		r.total += len(t.contenders) * r.rounds(t)
	}
	for round := range r.settings.rounds {
		for i, t := range contests {
			if round >= r.rounds(t) {
				continue
			}
			for k := range t.contenders {
				if r.late() {
					return tables
				}
				k = (k + round) % len(t.contenders)
				r.measure(cell{t, t.contenders[k]}, &tables[i].Rows[k])
			}
		}
	}
	return tables
}

func (r *runner) rounds(t contest) int {
	if t.metric.Once {
		return min(r.settings.rounds, r.settings.onceRounds)
	}
	return r.settings.rounds
}

// late reports whether the next measurement might end after the limit.
func (r *runner) late() bool {
	return time.Since(r.began)+longest > r.settings.limit
}

// measure makes one measurement and adds it to a row, unless the row is one that
// cannot be measured.
func (r *runner) measure(c cell, row *report.Row) {
	r.done++
	if row.Missing != "" || r.hung[c.String()] {
		return
	}
	out, err := r.start(c)
	if err != nil {
		out.Failed = err.Error()
		r.hung[c.String()] = errors.Is(err, errHung)
	}
	var says string
	switch {
	case out.Failed != "":
		r.failures++
		row.Failed = cmp.Or(row.Failed, out.Failed)
		says = "FAILED: " + out.Failed
	case out.Missing != "":
		row.Missing = out.Missing
		says = "left out: " + out.Missing
	default:
		row.Samples = append(row.Samples, out.Sample)
		says = fmt.Sprintf("%.4g %s", out.Sample.Metrics[c.contest.Unit], c.contest.Unit)
	}
	fmt.Fprintf(os.Stderr, "[%3d/%d %3.0fs] %-34v %s\n", r.done, r.total, time.Since(r.began).Seconds(), c, says)
}

// startProcess runs the process of a cell.
func (r *runner) startProcess(c cell) (out outcome, err error) {
	left := max(r.settings.limit-time.Since(r.began), longest)
	ctx, cancel := context.WithTimeout(context.Background(), min(patience, left))
	defer cancel()
	args := []string{"-cell", c.String()}
	if r.quick {
		args = append(args, "-quick")
	}
	cmd := exec.CommandContext(ctx, r.program, args...)
	cmd.WaitDelay = time.Second
	if r.isolate {
		netns.Isolate(cmd)
	}
	text, err := cmd.Output()
	if ctx.Err() != nil {
		return out, errHung
	}
	if err != nil {
		return out, errors.Join(err, firstLine(err))
	}
	return out, json.Unmarshal(text, &out)
}

// firstLine returns the first line of what a failed process wrote to its standard
// error, or nil.
func firstLine(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return nil
	}
	for i, b := range exit.Stderr {
		if b == '\n' {
			return errors.New(string(exit.Stderr[:i]))
		}
	}
	return nil
}

// failure says how many measurements went wrong; nil if none did.
func (r *runner) failure() error {
	if r.failures == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d measurements failed", r.failures, r.done)
}
