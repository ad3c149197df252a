package main

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit/bench/metric"
	"github.com/knitnet/knit/bench/report"
)

// fakeRunner notes the order of measurements and makes them by f.
func fakeRunner(s settings, f func(cell) (outcome, error)) (*runner, *[]string) {
	var order []string
	r := &runner{settings: s, began: time.Now(), hung: map[string]bool{}}
	r.start = func(c cell) (outcome, error) {
		order = append(order, c.String())
		return f(c)
	}
	return r, &order
}

func good(c cell) (outcome, error) {
	return outcome{Sample: report.Sample{N: 1, Metrics: map[string]float64{c.contest.Unit: 5}}}, nil
}

func twoContests() []contest {
	return []contest{
		{
			Heading:    report.Heading{Name: "T", Unit: "us"},
			contenders: []contender{{label: "a"}, {label: "b"}, {label: "c"}},
		},
		{
			Heading: report.Heading{Name: "O", Unit: "B"}, metric: metric.Metric{Once: true},
			contenders: []contender{{label: "a"}},
		},
	}
}

// TestRoundsAreInterleaved defends that no contender has a machine to itself that
// another has not, and that none is always the first.
func TestRoundsAreInterleaved(t *testing.T) {
	r, order := fakeRunner(settings{rounds: 3, onceRounds: 2, limit: time.Hour}, good)
	tables := r.run(twoContests())
	want := []string{"T/a", "T/b", "T/c", "O/a", "T/b", "T/c", "T/a", "O/a", "T/c", "T/a", "T/b"}
	if !slices.Equal(*order, want) {
		t.Errorf("measured %v, want %v", *order, want)
	}
	for _, row := range tables[0].Rows {
		if len(row.Samples) != 3 {
			t.Errorf("%s has %d samples, want 3", row.Label, len(row.Samples))
		}
	}
	if r.failure() != nil || r.total != len(want) {
		t.Errorf("failure %v, %d announced, want %d", r.failure(), r.total, len(want))
	}
}

// TestTroubleIsKeptToItsRow defends that what cannot be measured or hangs is tried
// once, that what fails is tried again, and that the failures are counted.
func TestTroubleIsKeptToItsRow(t *testing.T) {
	r, order := fakeRunner(settings{rounds: 2, limit: time.Hour}, func(c cell) (outcome, error) {
		switch c.contender.label {
		case "a":
			return outcome{Missing: "no device"}, nil
		case "b":
			return outcome{}, errHung
		}
		return outcome{}, errors.New("connection refused")
	})
	tables := r.run(twoContests()[:1])
	if want := []string{"T/a", "T/b", "T/c", "T/c"}; !slices.Equal(*order, want) {
		t.Errorf("measured %v, want %v", *order, want)
	}
	rows := tables[0].Rows
	if rows[0].Missing != "no device" || rows[1].Failed != errHung.Error() || rows[2].Failed != "connection refused" {
		t.Errorf("rows %+v", rows)
	}
	if err := r.failure(); err == nil || r.failures != 3 {
		t.Errorf("failure %v, %d counted, want 3", err, r.failures)
	}
}

// TestRunEndsAtItsLimit defends that a run stops in time and keeps what it has.
func TestRunEndsAtItsLimit(t *testing.T) {
	r, order := fakeRunner(settings{rounds: 1000, limit: time.Hour}, good)
	r.start = func(c cell) (outcome, error) {
		*order = append(*order, c.String())
		if len(*order) == 2 {
			r.began = r.began.Add(-time.Hour) // the hour is over
		}
		return good(c)
	}
	tables := r.run(twoContests())
	if len(*order) != 2 || len(tables[0].Rows[0].Samples) != 1 {
		t.Errorf("measured %v, samples %v", *order, tables[0].Rows)
	}
}
