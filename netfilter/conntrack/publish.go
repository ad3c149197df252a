package conntrack

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/netfilter"
)

// publish registers the settings net.netfilter.nf_conntrack_* and the files in
// /proc/net.
func (t *tracker) publish(c *module.Context) error {
	settings, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	files, err := module.Import[*proc.Table](c, "proc")
	if err != nil {
		return err
	}
	for _, e := range append(t.settings(), t.timeouts.settings()...) {
		if err := c.Register(settings.Register(e)); err != nil {
			return err
		}
	}
	for path, write := range map[string]func(io.Writer) error{
		"net/nf_conntrack":        t.writeTable,
		"net/nf_conntrack_expect": t.writeExpectations,
		"net/stat/nf_conntrack":   t.writeStats,
	} {
		if err := c.Register(files.Register(path, write)); err != nil {
			return err
		}
	}
	return nil
}

const prefix = "net.netfilter.nf_conntrack_"

func (t *tracker) settings() []sysctl.Entry {
	number := func(f func() int) func() string { return func() string { return strconv.Itoa(f()) } }
	return []sysctl.Entry{
		{Name: prefix + "count", Get: number(t.Count)},
		{Name: prefix + "buckets", Get: number(func() int { return len(t.table.buckets) })},
		sysctl.Int(prefix+"max", &t.max, 0, math.MaxInt32),
		sysctl.Int(prefix+"expect_max", &t.expectMax, 1, math.MaxInt32),
		sysctl.Bool(prefix+"acct", &t.acct),
		sysctl.Bool(prefix+"checksum", &t.checksum),
		sysctl.Int(prefix+"events", &t.events, 0, 2),
		sysctl.Bool(prefix+"helper", &t.autoHelp),
		sysctl.Int(prefix+"log_invalid", &t.logInvalid, 0, allProtocols),
		sysctl.Bool(prefix+"timestamp", &t.timestamp),
		sysctl.Bool(prefix+"tcp_be_liberal", &t.liberal),
		sysctl.Bool(prefix+"tcp_ignore_invalid_rst", &t.ignoreBadReset),
		sysctl.Bool(prefix+"tcp_loose", &t.loose),
		sysctl.Int(prefix+"tcp_max_retrans", &t.maxRetrans, 0, math.MaxUint8),
	}
}

func (t *timeouts) settings() []sysctl.Entry {
	list := []sysctl.Entry{
		seconds("generic_timeout", &t.generic),
		seconds("icmp_timeout", &t.icmp), seconds("icmpv6_timeout", &t.icmpv6),
		seconds("udp_timeout", &t.udp), seconds("udp_timeout_stream", &t.udpStream),
		seconds("gre_timeout", &t.gre), seconds("gre_timeout_stream", &t.greStream),
		seconds("tcp_timeout_max_retrans", &t.tcpRetrans), seconds("tcp_timeout_unacknowledged", &t.tcpUnack),
	}
	for s := synSent; s <= closed; s++ {
		list = append(list, seconds("tcp_timeout_"+strings.ToLower(s.String()), &t.tcp[s]))
	}
	for s := assocClosed; s < assocStates; s++ {
		list = append(list, seconds("sctp_timeout_"+strings.ToLower(s.String()), &t.sctp[s]))
	}
	return list
}

// seconds is an entry in seconds for a duration.
func seconds(name string, v *atomic.Int64) sysctl.Entry {
	return sysctl.Entry{
		Name: prefix + name,
		Get:  func() string { return strconv.FormatInt(v.Load()/int64(time.Second), 10) },
		Set: func(text string) error {
			n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
			if err != nil {
				return fmt.Errorf("%w: %q, want seconds", syscall.EINVAL, text)
			}
			v.Store(int64(n) * int64(time.Second))
			return nil
		},
	}
}

// writeTable is /proc/net/nf_conntrack.
func (t *tracker) writeTable(w io.Writer) (err error) {
	t.Each(func(c *netfilter.Conn) bool {
		s := t.Snapshot(c)
		_, err = io.WriteString(w, s.Proc()+"\n")
		return err == nil
	})
	return err
}

// writeExpectations is /proc/net/nf_conntrack_expect.
func (t *tracker) writeExpectations(w io.Writer) (err error) {
	t.EachExpectation(func(x *netfilter.Expectation, left time.Duration) bool {
		src, dst := x.Tuple.SrcAddr(), x.Tuple.DstAddr()
		_, err = fmt.Fprintf(w, "%d l3proto = %d proto=%d src=%v dst=%v sport=%d dport=%d", int64(left/time.Second),
			netfilter.FamilyNumber(x.Tuple.Version), x.Tuple.Proto, src, dst, x.Tuple.SrcPort, x.Tuple.DstPort)
		if h := x.Master.Helper.Load(); err == nil && h != nil {
			_, err = fmt.Fprintf(w, " %s", h.Name)
		}
		if err == nil {
			_, err = io.WriteString(w, "\n")
		}
		return err == nil
	})
	return err
}

// writeStats is /proc/net/stat/nf_conntrack: hexadecimal, one line for each
// processor on Linux, one for all here.
func (t *tracker) writeStats(w io.Writer) error {
	_, err := io.WriteString(w, "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n")
	if err != nil {
		return err
	}
	s := t.Stats()
	_, err = fmt.Fprintf(w, "%08x  %08x %08x %08x %08x %08x %08x %08x %08x %08x %08x %08x %08x  %08x %08x %08x %08x\n",
		t.Count(), s.ClashResolved, 0, 0, s.Invalid, 0, 0, 0, s.Insert, s.InsertFailed, s.Drop, s.EarlyDrop, s.Error,
		s.ExpectNew, s.ExpectCreate, s.ExpectDelete, s.SearchRestart)
	return err
}
