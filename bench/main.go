// Command bench measures knit beside gVisor's netstack and Linux, in one run, and
// prints a table for each thing measured. README.md says how to run and read it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/knitnet/knit/bench/report"
)

// settings says how long to measure.
type settings struct {
	rounds     int
	onceRounds int           // for metrics that do not vary with time
	length     time.Duration // of one timed measurement
	transfer   time.Duration // of one iperf3
	conns      int           // idle connections
	limit      time.Duration // for the whole run
}

// The two ways to run: to publish, and to look.
var (
	full  = settings{rounds: 5, onceRounds: 3, length: 700 * time.Millisecond, transfer: 2 * time.Second, conns: 8000, limit: 8 * time.Minute}
	quick = settings{rounds: 3, onceRounds: 1, length: 150 * time.Millisecond, transfer: time.Second, conns: 2000, limit: 90 * time.Second}
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		isQuick = flag.Bool("quick", false, "measure for under 90 seconds; keep no results")
		pick    = flag.String("run", "", "measure only what matches this `regexp`, as in Stream1500/gvisor")
		dir     = flag.String("o", "results", "keep raw results in this `directory`; empty keeps none")
		list    = flag.Bool("list", false, "print the names of all measurements and stop")
		one     = flag.String("cell", "", "make one `measurement` and print its outcome as JSON; the run uses this itself")
	)
	flag.Parse()
	s := full
	if *isQuick {
		s, *dir = quick, ""
	}
	if *one != "" {
		return runCell(*one, s)
	}
	pattern, err := regexp.Compile(*pick)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	contests := choose(plan(), pattern)
	if len(contests) == 0 {
		return fmt.Errorf("-run %s matches no measurement; -list prints them", *pick)
	}
	if *list {
		for _, c := range cells(contests) {
			fmt.Println(c)
		}
		return nil
	}
	return compete(contests, s, *isQuick, *dir)
}

// compete runs the contests, prints the tables and keeps the results.
func compete(contests []contest, s settings, isQuick bool, dir string) error {
	machine, err := report.Describe()
	if err != nil {
		return err
	}
	r, err := newRunner(s, isQuick)
	if err != nil {
		return err
	}
	tables := r.run(contests)
	if err := report.Print(os.Stdout, machine, tables); err != nil {
		return err
	}
	if dir == "" {
		return r.failure()
	}
	path := filepath.Join(dir, machine.FileName())
	if err := report.Save(path, machine, tables); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "kept", path)
	return r.failure()
}

// choose returns the contests with the contenders that match.
func choose(all []contest, pattern *regexp.Regexp) (chosen []contest) {
	for _, t := range all {
		matching := t
		matching.contenders = nil
		for _, e := range t.contenders {
			if pattern.MatchString((cell{t, e}).String()) {
				matching.contenders = append(matching.contenders, e)
			}
		}
		if len(matching.contenders) > 0 {
			chosen = append(chosen, matching)
		}
	}
	return chosen
}

func cells(contests []contest) (all []cell) {
	for _, t := range contests {
		for _, e := range t.contenders {
			all = append(all, cell{t, e})
		}
	}
	return all
}
