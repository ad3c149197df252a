package netfilter

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ViewOptions choose what ConnView.Line shows beyond the usual (conntrack -o).
type ViewOptions struct{ Extended, ID, Timestamp, KernelTimestamp, Labels, XML bool }

// Name is the word of conntrack for an event: NEW, UPDATE or DESTROY; empty for 0.
func (k EventKind) Name() string {
	switch {
	case k == 0:
		return ""
	case k&(EventNew|EventRelated) != 0:
		return "NEW"
	case k&EventDestroy != 0:
		return "DESTROY"
	}
	return "UPDATE"
}

// shows reports whether the view is of no event, or of one of some kinds.
func (v *ConnView) shows(kinds EventKind) bool { return v.Event == 0 || v.Event&kinds != 0 }

// Line is the connection, or the event, in conntrack's words.
func (v *ConnView) Line(o ViewOptions) string {
	if o.XML {
		return v.xml(o)
	}
	var b strings.Builder
	b.WriteString(EventPrefix(v.Event, v.At, o.Timestamp))
	t := &v.Tuples[Original]
	if o.Extended {
		fmt.Fprintf(&b, "%-8s %d ", familyName(t.Version), FamilyNumber(t.Version))
	}
	fmt.Fprintf(&b, "%-8s %d ", protoName(t.Proto), t.Proto)
	if v.Status&Offload == 0 {
		fmt.Fprintf(&b, "%d ", v.Timeout)
	}
	v.tuples(&b)
	if v.shows(EventMark) || v.Mark != 0 {
		fmt.Fprintf(&b, "mark=%d ", v.Mark)
	}
	if t.Zone != 0 {
		fmt.Fprintf(&b, "zone=%d ", t.Zone)
	}
	v.times(&b, o)
	if v.Helper != "" && v.Event&EventDestroy == 0 {
		fmt.Fprintf(&b, "helper=%s ", v.Helper)
	}
	if v.Event == 0 {
		fmt.Fprintf(&b, "use=%d ", v.Use)
	}
	if o.ID {
		fmt.Fprintf(&b, "id=%d ", v.ID)
	}
	if o.Labels && v.Label != [2]uint64{} && v.Event&EventDestroy == 0 {
		b.WriteString("labels=" + strings.Join(v.labels(), ",") + " ")
	}
	return strings.TrimSuffix(b.String(), " ")
}

// EventPrefix is what conntrack writes in front of an event's line: its kind and, if
// asked for, its time in Unix nanoseconds. It is empty for kind 0.
func EventPrefix(kind EventKind, at int64, timestamp bool) string {
	if kind == 0 {
		return ""
	}
	name := fmt.Sprintf("%9s ", "["+kind.Name()+"]")
	if !timestamp {
		return name
	}
	return fmt.Sprintf("[%d.%06d]\t%s", at/int64(time.Second), at%int64(time.Second)/1000, name)
}

// times writes when the connection began and has ended, if that was noted.
func (v *ConnView) times(b *strings.Builder, o ViewOptions) {
	if v.Start == 0 || !v.shows(EventDestroy) {
		return
	}
	fmt.Fprintf(b, "delta-time=%d ", v.Age)
	if !o.KernelTimestamp {
		return
	}
	fmt.Fprintf(b, "[start=%s] ", time.Unix(0, v.Start).Format(time.ANSIC))
	if v.Event != 0 {
		fmt.Fprintf(b, "[stop=%s] ", time.Unix(0, v.At).Format(time.ANSIC))
	}
}

// labels are the numbers of the bits that are set.
func (v *ConnView) labels() (list []string) {
	for bit := range 128 {
		if v.Label[bit/64]>>(bit%64)&1 != 0 {
			list = append(list, strconv.Itoa(bit))
		}
	}
	return list
}

// Save is the connection as options of conntrack that make it again (conntrack -o
// save).
func (v *ConnView) Save() string {
	command := map[string]string{"": "-A", "NEW": "-A", "UPDATE": "-U", "DESTROY": "-D"}[v.Event.Name()]
	var status []string
	for _, s := range []struct {
		bit  uint32
		name string
	}{{Expected, "EXPECTED"}, {SeenReply, "SEEN_REPLY"}, {Assured, "ASSURED"}, {Fixed, "FIXED_TIMEOUT"}, {Offload, "OFFLOAD"}} {
		if v.Status&s.bit != 0 {
			status = append(status, s.name)
		}
	}
	if len(status) == 0 {
		status = []string{"UNSET"}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s -t %d -u %s", command, v.Timeout, strings.Join(status, ","))
	o, r := &v.Tuples[Original], &v.Tuples[Reply]
	if o.Zone != 0 {
		fmt.Fprintf(&b, " -w %d", o.Zone)
	}
	proto := protoName(o.Proto)
	if proto == "unknown" {
		proto = strconv.Itoa(int(o.Proto))
	}
	source, destination := "-q", "-r" // what the reply has in place of them
	if v.Status&SrcNAT != 0 {
		source = "-n"
	}
	if v.Status&DstNAT != 0 {
		destination = "-g"
	}
	fmt.Fprintf(&b, " -s %v -d %v %s %v %s %v -p %s", o.SrcAddr(), o.DstAddr(), destination, r.SrcAddr(), source, r.DstAddr(), proto)
	switch o.Proto {
	case 1, 58:
		fmt.Fprintf(&b, " --%s-type %d --%[1]s-code %[3]d --%[1]s-id %[4]d", proto, o.DstPort>>8, o.DstPort&0xff, o.SrcPort)
	case 6, 17, 33, 132, 136:
		fmt.Fprintf(&b, " --sport %d --dport %d --reply-port-src %d --reply-port-dst %d", o.SrcPort, o.DstPort, r.SrcPort, r.DstPort)
	}
	if o.Proto == 47 {
		fmt.Fprintf(&b, " --srckey %d --dstkey %d --reply-key-src %d --reply-key-dst %d", o.SrcPort, o.DstPort, r.SrcPort, r.DstPort)
	}
	if v.State != "" && v.shows(EventNew|EventRelated|EventDestroy|EventProtoInfo) {
		fmt.Fprintf(&b, " --state %s", v.State)
		if o.Proto == 132 {
			fmt.Fprintf(&b, " --orig-vtag %d --reply-vtag %d", v.Tags[Original], v.Tags[Reply])
		}
	}
	return b.String()
}
