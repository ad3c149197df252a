package clock_test

import (
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
)

func BenchmarkNow(b *testing.B) {
	c := clock.NewReal()
	for b.Loop() {
		c.Now()
	}
}

func BenchmarkTimeSince(b *testing.B) {
	start := time.Now()
	for b.Loop() {
		_ = time.Since(start)
	}
}

func benchTimer(b *testing.B, step func(tm *clock.Timer, now clock.Time)) {
	c := clock.NewReal()
	defer c.Close()
	for i := range 10_000 {
		c.AfterFunc(time.Hour+time.Duration(i)*time.Second, func(clock.Time) {})
	}
	var tm clock.Timer
	tm.Init(c, func(clock.Time) {})
	now := c.Now()
	for b.Loop() {
		now++
		step(&tm, now)
	}
}

// BenchmarkPostpone is what TCP does with each segment.
func BenchmarkPostpone(b *testing.B) {
	benchTimer(b, func(tm *clock.Timer, now clock.Time) { tm.Reset(now.Add(time.Second)) })
}

// BenchmarkStopReset is what TCP does with each segment that is acknowledged
// before the next one.
func BenchmarkStopReset(b *testing.B) {
	benchTimer(b, func(tm *clock.Timer, now clock.Time) {
		tm.Reset(now.Add(time.Second))
		tm.Stop()
	})
}

// BenchmarkStopResetFar takes the lock each time.
func BenchmarkStopResetFar(b *testing.B) {
	benchTimer(b, func(tm *clock.Timer, now clock.Time) {
		tm.Reset(now.Add(time.Minute))
		tm.Stop()
	})
}

// BenchmarkStopResetFarParallel shows what the single lock costs when all
// processors want it.
func BenchmarkStopResetFarParallel(b *testing.B) {
	c := clock.NewReal()
	defer c.Close()
	b.RunParallel(func(pb *testing.PB) {
		var tm clock.Timer
		tm.Init(c, func(clock.Time) {})
		at := c.Now().Add(time.Minute)
		for pb.Next() {
			tm.Reset(at)
			tm.Stop()
		}
	})
}
