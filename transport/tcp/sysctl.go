package tcp

import (
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
)

// sysctlSymbol is the kernel's table.
const sysctlSymbol = "sysctl"

// registerSysctls publishes the settings under Linux's names. A change counts
// for connections that open after it.
func (t *tcp) registerSysctls(c *module.Context) error {
	table, err := module.Import[*sysctl.Table](c, sysctlSymbol)
	if err != nil {
		return err
	}
	s := &t.settings
	entries := []sysctl.Entry{
		t.congestionEntry(), t.availableEntry(),
		s.bytes("net.ipv4.tcp_rmem", func(c *tcb.Config) *tcb.Range { return &c.RcvBuf }),
		s.bytes("net.ipv4.tcp_wmem", func(c *tcb.Config) *tcb.Range { return &c.SndBuf }),
		s.flag("net.ipv4.tcp_sack", func(c *tcb.Config) *bool { return &c.NoSACK }),
		s.flag("net.ipv4.tcp_timestamps", func(c *tcb.Config) *bool { return &c.NoTimestamps }),
		s.flag("net.ipv4.tcp_window_scaling", func(c *tcb.Config) *bool { return &c.NoWindowScale }),
		s.number("net.ipv4.tcp_syn_retries", 1, 127, func(c *tcb.Config) *int { return &c.SynRetries }),
		s.number("net.ipv4.tcp_synack_retries", 1, 127, func(c *tcb.Config) *int { return &c.SynAckRetries }),
		s.number("net.ipv4.tcp_retries1", 1, 255, func(c *tcb.Config) *int { return &c.Retries1 }),
		s.number("net.ipv4.tcp_retries2", 1, 255, func(c *tcb.Config) *int { return &c.Retries2 }),
		s.number("net.ipv4.tcp_orphan_retries", 1, 255, func(c *tcb.Config) *int { return &c.OrphanRetries }),
		s.seconds("net.ipv4.tcp_fin_timeout", func(c *tcb.Config) *time.Duration { return &c.FinWait2 }),
		sysctl.Int("net.ipv4.tcp_syncookies", &s.synCookies, 0, 2),
		sysctl.Int("net.ipv4.tcp_max_syn_backlog", &s.synBacklog, 1, 1<<30),
		sysctl.Int("net.core.somaxconn", &s.somaxconn, 1, 1<<30),
		sysctl.Int("net.ipv4.tcp_fwmark_accept", &s.markAccept, 0, 1),
		t.waits.maxEntry(),
		sysctl.Bool("net.ipv4.tcp_l3mdev_accept", &s.l3mdevAccept),
		sysctl.Int("net.ipv4.tcp_keepalive_time", &s.keepTime, 1, 32767),
		sysctl.Int("net.ipv4.tcp_keepalive_intvl", &s.keepInterval, 1, 32767),
		sysctl.Int("net.ipv4.tcp_keepalive_probes", &s.keepProbes, 1, 127),
	}
	for _, e := range entries {
		if err := c.Register(table.Register(e)); err != nil {
			return err
		}
	}
	return nil
}

// settings is the configuration of new connections.
type settings struct {
	change sync.Mutex // serialises changes of tcb
	tcb    atomic.Pointer[tcb.Config]

	synCookies atomic.Int64 // 0: never, 1: when crowded, 2: always
	synBacklog atomic.Int64
	somaxconn  atomic.Int64
	markAccept atomic.Int64 // tcp_fwmark_accept

	// l3mdevAccept: sockets that are not bound take what comes in by any VRF.
	l3mdevAccept atomic.Bool

	keepTime, keepInterval, keepProbes atomic.Int64 // seconds, seconds, number
}

func (s *settings) init() {
	s.tcb.Store(tcb.Config{}.Defaults())
	s.synCookies.Store(1)
	s.synBacklog.Store(1024)
	s.somaxconn.Store(4096)
	s.keepTime.Store(7200)
	s.keepInterval.Store(75)
	s.keepProbes.Store(9)
}

// keepAlive returns the defaults of TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT.
func (s *settings) keepAlive() tcb.KeepAlive {
	return tcb.KeepAlive{
		Idle:     time.Duration(s.keepTime.Load()) * time.Second,
		Interval: time.Duration(s.keepInterval.Load()) * time.Second, Count: int(s.keepProbes.Load()),
	}
}

// edit replaces the machine's configuration by a changed copy.
func (s *settings) edit(f func(*tcb.Config)) {
	s.change.Lock()
	defer s.change.Unlock()
	next := *s.tcb.Load()
	f(&next)
	s.tcb.Store(next.Defaults())
}

// bytes is a triple of buffer sizes: minimum, default, maximum.
func (s *settings) bytes(name string, field func(*tcb.Config) *tcb.Range) sysctl.Entry {
	return sysctl.String(name, func() string {
		r := field(s.tcb.Load())
		return formatInts(r.Min, r.Default, r.Max)
	}, func(text string) error {
		n, err := parseInts(text, 3)
		if err != nil || n[0] < 1 || n[0] > n[1] || n[1] > n[2] || n[2] > 1<<30 {
			return invalid("three sizes in bytes, min <= default <= max <= 1073741824")
		}
		s.edit(func(c *tcb.Config) {
			*field(c) = tcb.Range{Min: n[0], Default: n[1], Max: n[2]}
			if strings.HasSuffix(name, "rmem") {
				c.WindowClamp = n[2]
			}
		})
		return nil
	})
}

// flag is a switch that the configuration holds inverted.
func (s *settings) flag(name string, field func(*tcb.Config) *bool) sysctl.Entry {
	return sysctl.String(name, func() string {
		if *field(s.tcb.Load()) {
			return "0"
		}
		return "1"
	}, func(text string) error {
		if text != "0" && text != "1" {
			return invalid("0 or 1")
		}
		s.edit(func(c *tcb.Config) { *field(c) = text == "0" })
		return nil
	})
}

func (s *settings) number(name string, lo, hi int, field func(*tcb.Config) *int) sysctl.Entry {
	return sysctl.String(name, func() string { return formatInts(*field(s.tcb.Load())) }, func(text string) error {
		n, err := parseInts(text, 1)
		if err != nil || n[0] < lo || n[0] > hi {
			return invalid("a number from " + formatInts(lo) + " to " + formatInts(hi))
		}
		s.edit(func(c *tcb.Config) { *field(c) = n[0] })
		return nil
	})
}

func (s *settings) seconds(name string, field func(*tcb.Config) *time.Duration) sysctl.Entry {
	return sysctl.String(name, func() string { return formatInts(int(*field(s.tcb.Load()) / time.Second)) }, func(text string) error {
		n, err := parseInts(text, 1)
		if err != nil || n[0] < 1 || n[0] > 1<<20 {
			return invalid("seconds from 1 to 1048576")
		}
		s.edit(func(c *tcb.Config) { *field(c) = time.Duration(n[0]) * time.Second })
		return nil
	})
}

func (t *tcp) congestionEntry() sysctl.Entry {
	return sysctl.String("net.ipv4.tcp_congestion_control", func() string {
		name, _, ok := t.cc.Default()
		if !ok {
			return "none"
		}
		return name
	}, func(name string) error {
		if t.cc.SetDefault(name) == nil {
			return nil
		}
		if err := t.net.Request("tcp-cc-" + name); err != nil {
			return syscall.ENOENT
		}
		return t.cc.SetDefault(name)
	})
}

func (t *tcp) availableEntry() sysctl.Entry {
	return sysctl.String("net.ipv4.tcp_available_congestion_control", func() string {
		return strings.Join(t.cc.Names(), " ")
	}, nil)
}

// maxEntry ends the oldest ones at once when there are more than it is set to.
func (l *waitList) maxEntry() sysctl.Entry {
	e := sysctl.Int("net.ipv4.tcp_max_tw_buckets", &l.max, 0, 1<<30)
	set := e.Set
	e.Set = func(text string) error {
		err := set(text)
		l.limit()
		return err
	}
	return e
}
