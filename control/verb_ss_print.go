package control

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A ssColumn is a column of the table.
type ssColumn struct {
	title, before string // what separates it from the column before
	right         bool
}

var ssColumns = []ssColumn{
	{title: "Netid"}, {title: "State", before: " "}, {title: "Recv-Q", before: " "}, {title: "Send-Q", before: " "},
	{title: "Local Address:", before: " ", right: true}, {title: "Port"},
	{title: "Peer Address:", before: " ", right: true}, {title: "Port"},
	{title: "Process"},
}

// printSockets writes rows in columns as wide as what is in them.
func printSockets(b *strings.Builder, f *ssFormat, list []Socket) {
	var rows [][]string
	if f.header {
		var titles []string
		for _, c := range ssColumns {
			titles = append(titles, c.title)
		}
		rows = append(rows, titles)
	}
	for i := range list {
		rows = append(rows, f.row(&list[i]))
	}
	width := make([]int, len(ssColumns))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		first := true
		for i, c := range ssColumns {
			if i == 0 && !f.netid || i == 1 && !f.state {
				continue
			}
			if !first {
				b.WriteString(c.before)
			}
			first = false
			if c.right {
				fmt.Fprintf(b, "%*s", width[i], row[i])
			} else {
				fmt.Fprintf(b, "%-*s", width[i], row[i])
			}
		}
		b.WriteByte('\n')
	}
}

// row returns the cells of a socket.
func (f *ssFormat) row(s *Socket) []string {
	local, remote := s.ends()
	return []string{
		s.Netid, s.State, fmt.Sprintf("%-6d", s.RecvQ), fmt.Sprintf("%-6d", s.SendQ),
		f.address(local, s) + ":", f.port(s, local.Port(), true), remoteAddress(remote, local, s.V6Only) + ":", f.port(s, remote.Port(), false),
		f.extra(s),
	}
}

// ends returns both addresses, with the unspecified one of the other's family for
// one that is missing.
func (s *Socket) ends() (local, remote netip.AddrPort) {
	local, remote = s.Local, s.Remote
	if !local.Addr().IsValid() {
		local = netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())
	}
	if !remote.Addr().IsValid() {
		remote = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		if local.Addr().Is6() {
			remote = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
		}
	}
	return local, remote
}

// address prints an address; [::] that takes IPv4 too is "*".
func (f *ssFormat) address(a netip.AddrPort, s *Socket) string {
	text := a.Addr().WithZone("").String()
	switch {
	case a.Addr().Is6() && a.Addr().IsUnspecified() && !s.V6Only:
		text = "*"
	case a.Addr().Is6():
		text = "[" + text + "]"
	}
	if dev := s.Dev; dev != "" {
		return text + "%" + dev
	}
	if z := a.Addr().Zone(); z != "" {
		return text + "%" + z
	}
	return text
}

func remoteAddress(remote, local netip.AddrPort, v6only bool) string {
	switch a := remote.Addr().WithZone(""); {
	case a.Is4():
		return a.String()
	case a.IsUnspecified() && local.Addr().IsUnspecified() && !v6only:
		return "*"
	default:
		return "[" + a.String() + "]"
	}
}

// ipProtocols name what raw sockets have in place of a port.
var ipProtocols = map[uint16]string{
	1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp", 89: "ospf", 103: "pim", 132: "sctp",
}

// port prints a port by name, ports that the kernel chooses as numbers.
func (f *ssFormat) port(s *Socket, port uint16, local bool) string {
	switch {
	case port == 0 && (s.Netid != "raw" || !local):
		return "*"
	case f.numeric:
	case s.Netid == "raw" && ipProtocols[port] != "":
		return ipProtocols[port]
	case port < ephemeralLow || port > ephemeralHigh:
		if name := f.services.byPort[s.Netid+"/"+strconv.Itoa(int(port))]; name != "" {
			return name
		}
	}
	return strconv.Itoa(int(port))
}

// extra returns what -p, -o, -e, -m and -i add.
func (f *ssFormat) extra(s *Socket) string {
	var b strings.Builder
	if f.processes {
		s.users(&b)
	}
	if (f.timer || f.extended) && s.Timer != "" {
		fmt.Fprintf(&b, " timer:(%s,%s,%d)", s.Timer, shortTime(s.Expires), s.Retransmits)
	}
	if f.extended {
		text(&b, " uid:%d", s.UID)
		fmt.Fprintf(&b, " ino:%d sk:%x", s.ID, s.ID)
		text(&b, " fwmark:%#x", s.Mark)
	}
	if (f.memory || f.info && s.Netid == "tcp") && !f.oneline {
		b.WriteString("\n\t")
	}
	if f.memory && s.State != "TIME-WAIT" {
		s.memory(&b)
	}
	if f.info && s.TCP != nil && s.State != "TIME-WAIT" {
		s.TCP.print(&b)
	}
	return b.String()
}

// users prints who a socket belongs to. Sockets of modules have no process, and those
// of the program no descriptor.
func (s *Socket) users(b *strings.Builder) {
	switch {
	case s.State == "TIME-WAIT": // it is nobody's any more
	case s.Module != "":
		fmt.Fprintf(b, " users:((%q,module))", s.Module)
	case s.PID != 0:
		fmt.Fprintf(b, " users:((%q,pid=%d))", s.Process, s.PID)
	}
}

// memory prints the queues; of the buffers' sizes TCP's receive buffer is known.
func (s *Socket) memory(b *strings.Builder) {
	rcv, snd, space := s.RecvQ, s.SendQ, 0
	if s.TCP != nil {
		space = s.TCP.RcvSpace
	}
	if s.State == "LISTEN" {
		rcv, snd = 0, 0 // these count connections
	}
	fmt.Fprintf(b, " skmem:(r%d,rb%d,t0,tb0,f0,w%d,o0,bl0,d%d)", rcv, space, snd, s.Drops)
}

// shortTime prints milliseconds as ss does: 119min, 1min5sec, 59sec, 1.204ms for
// 1.204 seconds, 200ms.
func shortTime(ms int64) string {
	var b strings.Builder
	minutes, secs, rest := ms/60000, ms/1000%60, ms%1000
	if minutes > 0 {
		fmt.Fprintf(&b, "%dmin", minutes)
		rest = 0
		if minutes > 9 {
			secs = 0
		}
	}
	if secs > 9 {
		rest = 0
	}
	if secs > 0 {
		fmt.Fprintf(&b, "%d%s", secs, map[bool]string{true: ".", false: "sec"}[rest > 0])
	}
	if rest > 0 {
		fmt.Fprintf(&b, "%03dms", rest)
	}
	return b.String()
}

// print writes what -i shows, in ss's order; what is zero is left out.
func (i *TCPInfo) print(b *strings.Builder) {
	for _, o := range i.Options {
		if o != "wscale" {
			b.WriteString(" " + o)
		}
	}
	text(b, " %s", i.Congestion)
	if i.SndWScale|i.RcvWScale != 0 {
		fmt.Fprintf(b, " wscale:%d,%d", i.SndWScale, i.RcvWScale)
	}
	text(b, " rto:%g", millis(i.RTO))
	text(b, " backoff:%d", i.Backoff)
	if i.RTT != 0 {
		fmt.Fprintf(b, " rtt:%g/%g", millis(i.RTT), millis(i.RTTVar))
	}
	text(b, " ato:%g", millis(i.ATO))
	i.printSizes(b)
	i.printCounters(b)
	i.printRates(b)
}

func (i *TCPInfo) printSizes(b *strings.Builder) {
	text(b, " mss:%d", i.MSS)
	text(b, " pmtu:%d", i.PMTU)
	text(b, " rcvmss:%d", i.RcvMSS)
	text(b, " advmss:%d", i.AdvMSS)
	text(b, " cwnd:%d", i.Cwnd)
	text(b, " ssthresh:%d", i.Ssthresh)
}

func (i *TCPInfo) printCounters(b *strings.Builder) {
	text(b, " bytes_sent:%d", i.BytesSent)
	text(b, " bytes_retrans:%d", i.BytesRetrans)
	text(b, " bytes_acked:%d", i.BytesAcked)
	text(b, " bytes_received:%d", i.BytesRcvd)
	text(b, " segs_out:%d", i.SegsOut)
	text(b, " segs_in:%d", i.SegsIn)
	text(b, " data_segs_out:%d", i.DataSegsOut)
	text(b, " data_segs_in:%d", i.DataSegsIn)
}

func (i *TCPInfo) printRates(b *strings.Builder) {
	if i.RTT > 0 && i.MSS > 0 && i.Cwnd > 0 {
		fmt.Fprintf(b, " send %.0fbps", float64(i.Cwnd)*float64(i.MSS)*8e9/float64(i.RTT))
	}
	text(b, " lastsnd:%d", i.LastSend/1e6)
	text(b, " lastrcv:%d", i.LastRecv/1e6)
	text(b, " lastack:%d", i.LastAck/1e6)
	text(b, " delivered:%d", i.Delivered)
	text(b, " busy:%dms", i.Busy/1e6)
	text(b, " unacked:%d", i.Unacked)
	if i.Retrans|i.RetransTotal != 0 {
		fmt.Fprintf(b, " retrans:%d/%d", i.Retrans, i.RetransTotal)
	}
	text(b, " lost:%d", i.Lost)
	text(b, " sacked:%d", i.Sacked)
	text(b, " rcv_space:%d", i.RcvSpace)
	text(b, " rcv_ssthresh:%d", i.RcvSsthresh)
	text(b, " notsent:%d", i.NotSent)
	text(b, " minrtt:%g", millis(i.MinRTT))
	text(b, " snd_wnd:%d", i.SndWnd)
}

// text prints a value that is not zero.
func text[T comparable](b *strings.Builder, format string, v T) {
	var zero T
	if v != zero {
		fmt.Fprintf(b, format, v)
	}
}

// millis turns nanoseconds into milliseconds, to the microsecond as tcp_info is.
func millis(ns int64) float64 { return float64(ns/1000) / 1000 }

// print writes the table of -s.
func (s *SSSummary) print(b *strings.Builder) {
	sum := func(a, c [2]int) [2]int { return [2]int{a[0] + c[0], a[1] + c[1]} }
	inet := sum(sum(s.Raw, s.UDP), s.TCP)
	tcp := s.TCP[0] + s.TCP[1]
	fmt.Fprintf(b, "Total: %d\n", inet[0]+inet[1])
	fmt.Fprintf(b, "TCP:   %d (estab %d, closed %d, orphaned 0, timewait %d)\n\n", tcp+s.Closed, s.Estab, s.Closed, s.TimeWait)
	b.WriteString("Transport Total     IP        IPv6\n")
	for _, r := range []struct {
		name string
		n    [2]int
	}{{"RAW", s.Raw}, {"UDP", s.UDP}, {"TCP", s.TCP}, {"INET", inet}, {"FRAG", [2]int{}}} {
		fmt.Fprintf(b, "%s\t  %-9d %-9d %-9d\n", r.name, r.n[0]+r.n[1], r.n[0], r.n[1])
	}
	b.WriteByte('\n')
}
