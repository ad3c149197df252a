package klog

import (
	"sync"
	"time"
)

// Linux's DEFAULT_RATELIMIT_INTERVAL and DEFAULT_RATELIMIT_BURST.
const (
	defaultInterval = 5 * time.Second
	defaultBurst    = 10
)

// A Limiter is a Logger that lets through at most Burst messages in each
// Interval, so that a stranger's packets cannot push everything else out of
// the log. The first message of the next interval says how many were held
// back, as Linux's printk_ratelimited does. It may be used concurrently.
type Limiter struct {
	g        *Logger
	interval time.Duration
	burst    int

	mu      sync.Mutex
	begin   time.Duration // of the running interval
	started bool
	passed  int
	held    int
}

// Limit returns a Limiter over g. Zero means Linux's defaults: 10 messages in
// 5 seconds.
func (g *Logger) Limit(interval time.Duration, burst int) *Limiter {
	if interval <= 0 {
		interval = defaultInterval
	}
	if burst <= 0 {
		burst = defaultBurst
	}
	return &Limiter{g: g, interval: interval, burst: burst}
}

// Printk adds a message unless the limit is reached; it does not format what
// it holds back.
func (m *Limiter) Printk(level Level, format string, args ...any) {
	if m.g.log == nil {
		return
	}
	ok, held := m.allow(m.g.log.clock())
	if held > 0 {
		m.g.Printk(Warning, "%d messages suppressed", held)
	}
	if ok {
		m.g.Printk(level, format, args...)
	}
}

// Warn is Printk with level Warning.
func (m *Limiter) Warn(format string, args ...any) { m.Printk(Warning, format, args...) }

// Info is Printk with level Info.
func (m *Limiter) Info(format string, args ...any) { m.Printk(Info, format, args...) }

// allow decides about one message at time now. held is how many the interval
// that just ended held back.
func (m *Limiter) allow(now time.Duration) (ok bool, held int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.started || now-m.begin >= m.interval {
		held, m.held, m.passed = m.held, 0, 0
		m.begin, m.started = now, true
	}
	if m.passed >= m.burst {
		m.held++
		return false, 0
	}
	m.passed++
	return true, held
}
