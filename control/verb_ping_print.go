package control

import (
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"time"
)

// printPing prints each event as iputils' ping does.
func printPing(c *Console, q PingRequest, replies iter.Seq[PingReply]) error {
	six := false
	for r := range replies {
		var err error
		switch {
		case r.Start != nil:
			six = strings.Contains(r.Start.Addr, ":")
			err = c.Print(pingHeader(q, *r.Start, six))
		case r.Sent != nil:
			if !q.quiet {
				err = c.Print(".")
			}
		case r.Echo != nil:
			err = q.printEcho(c, *r.Echo)
		case r.Error != nil:
			err = q.printError(c, *r.Error, six)
		case r.Stats != nil:
			err = c.Print(r.Stats.text(q))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func pingHeader(q PingRequest, s PingStart, six bool) string {
	var b strings.Builder
	if len(q.Pattern) > 0 {
		fmt.Fprintf(&b, "PATTERN: 0x%x\n", q.Pattern)
	}
	from := ""
	if q.Source != "" {
		from = " from " + s.Source + " " + s.Device + ":"
	}
	if six {
		name := s.Addr
		if q.Host != s.Addr {
			name = q.Host
		}
		fmt.Fprintf(&b, "PING %s(%s)%s %d data bytes\n", name, s.Addr, from, q.Size)
		return b.String()
	}
	fmt.Fprintf(&b, "PING %s (%s)%s %d(%d) bytes of data.\n", q.Host, s.Addr, from, q.Size, q.Size+28)
	return b.String()
}

// timed is how large a payload must be for ping to keep the time in it.
const timed = 16

func (q PingRequest) printEcho(c *Console, e PingEcho) error {
	switch {
	case q.quiet:
		return nil
	case q.Flood && e.Wrong == nil && !e.Duplicate:
		return c.Print("\b \b")
	case q.Flood:
		return nil
	}
	var b strings.Builder
	if q.stamps {
		fmt.Fprintf(&b, "[%d.%06d] ", e.Wall.Unix(), e.Wall.Nanosecond()/1000)
	}
	fmt.Fprintf(&b, "%d bytes from %s: icmp_seq=%d ttl=%d", e.Bytes, e.From, e.Seq, e.TTL)
	if q.Size >= timed {
		fmt.Fprintf(&b, " time=%s ms", pingTime(e.RTT))
	}
	if e.Duplicate {
		b.WriteString(" (DUP!)")
	}
	if e.Wrong != nil {
		fmt.Fprintf(&b, "\nwrong data byte #%d", *e.Wrong)
	}
	return c.Print(b.String() + "\n")
}

// pingTime gives a time three or four digits, as ping does.
func pingTime(d time.Duration) string {
	us := d.Microseconds()
	switch {
	case us >= 100_000:
		return fmt.Sprint((us + 500) / 1000)
	case us >= 10_000:
		return fmt.Sprintf("%d.%01d", (us+50)/1000, (us+50)%1000/100)
	case us >= 1000:
		return fmt.Sprintf("%d.%02d", (us+5)/1000, (us+5)%1000/10)
	}
	return fmt.Sprintf("%d.%03d", us/1000, us%1000)
}

func (q PingRequest) printError(c *Console, e PingError, six bool) error {
	if e.Local != "" {
		if q.Flood || q.quiet {
			return nil
		}
		c.Warn("ping: %s", e.Local)
		return nil
	}
	switch {
	case q.quiet:
		return nil
	case q.Flood:
		return c.Print("\bE")
	}
	text := icmp4Text(e)
	if six {
		text = icmp6Text(e)
	}
	return c.Printf("From %s icmp_seq=%d %s\n", e.From, e.Seq, text)
}

var unreachable4 = [...]string{
	"Destination Net Unreachable", "Destination Host Unreachable", "Destination Protocol Unreachable",
	"Destination Port Unreachable", "Frag needed and DF set", "Source Route Failed", "Destination Net Unknown",
	"Destination Host Unknown", "Source Host Isolated", "Destination Net Prohibited", "Destination Host Prohibited",
	"Destination Net Unreachable for Type of Service", "Destination Host Unreachable for Type of Service",
	"Packet filtered", "Precedence Violation", "Precedence Cutoff",
}

func icmp4Text(e PingError) string {
	switch {
	case e.Type == 3 && e.Code == 4:
		return fmt.Sprintf("Frag needed and DF set (mtu = %d)", e.Info)
	case e.Type == 3 && e.Code >= 0 && e.Code < len(unreachable4):
		return unreachable4[e.Code]
	case e.Type == 3:
		return fmt.Sprintf("Dest Unreachable, Bad Code: %d", e.Code)
	case e.Type == 11 && e.Code == 0:
		return "Time to live exceeded"
	case e.Type == 11 && e.Code == 1:
		return "Frag reassembly time exceeded"
	case e.Type == 12:
		return fmt.Sprintf("Parameter problem: pointer = %d", e.Info)
	}
	return fmt.Sprintf("Bad ICMP type: %d", e.Type)
}

var unreachable6 = [...]string{
	"No route", "Administratively prohibited", "Beyond scope of source address", "Address unreachable", "Port unreachable",
}

func icmp6Text(e PingError) string {
	switch {
	case e.Type == 1 && e.Code >= 0 && e.Code < len(unreachable6):
		return "Destination unreachable: " + unreachable6[e.Code]
	case e.Type == 1:
		return fmt.Sprintf("Destination unreachable: Unknown code %d", e.Code)
	case e.Type == 2:
		return fmt.Sprintf("Packet too big: mtu=%d", e.Info)
	case e.Type == 3 && e.Code == 0:
		return "Time exceeded: Hop limit"
	case e.Type == 3 && e.Code == 1:
		return "Time exceeded: Defragmentation failure"
	case e.Type == 4:
		what := [...]string{"Wrong header field ", "Unknown header ", "Unknown option "}
		if e.Code >= 0 && e.Code < len(what) {
			return fmt.Sprintf("Parameter problem: %sat %d", what[e.Code], e.Info)
		}
		return fmt.Sprintf("Parameter problem: code %d", e.Code)
	}
	return fmt.Sprintf("unknown icmp type: %d", e.Type)
}

// text is the block at the end.
func (s PingStats) text(q PingRequest) string {
	var b strings.Builder
	name := q.Host
	if a, err := netip.ParseAddr(name); err == nil {
		name = a.String()
	}
	fmt.Fprintf(&b, "\n--- %s ping statistics ---\n%d packets transmitted, %d received", name, s.Sent, s.Received)
	for _, x := range []struct {
		n    int
		what string
	}{{s.Duplicates, "duplicates"}, {s.Wrong, "corrupted"}, {s.Errors, "errors"}} {
		if x.n > 0 {
			fmt.Fprintf(&b, ", +%d %s", x.n, x.what)
		}
	}
	if s.Sent > 0 {
		fmt.Fprintf(&b, ", %.6g%% packet loss, time %dms", float32(s.Sent-s.Received)*100/float32(s.Sent), s.Time.Milliseconds())
	}
	b.WriteByte('\n')
	if s.Received > 0 && q.Size >= timed {
		fmt.Fprintf(&b, "rtt min/avg/max/mdev = %s/%s/%s/%s ms", ms(s.Min), ms(s.Avg), ms(s.Max), ms(s.Mdev))
	}
	sep := ""
	if s.Received > 0 && q.Size >= timed {
		sep = ", "
	}
	if s.Pipe > 1 {
		fmt.Fprintf(&b, "%spipe %d", sep, s.Pipe)
		sep = ", "
	}
	if s.Received > 0 && (q.Interval == 0 || q.Flood) && s.Sent > 1 {
		ipg := s.Time / time.Duration(s.Sent-1)
		fmt.Fprintf(&b, "%sipg/ewma %s/%s ms", sep, ms(ipg), ms(s.EWMA))
	}
	b.WriteByte('\n')
	return b.String()
}

// ms prints a time in milliseconds with three decimals.
func ms(d time.Duration) string {
	us := d.Microseconds()
	return fmt.Sprintf("%d.%03d", us/1000, us%1000)
}
