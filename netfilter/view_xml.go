package netfilter

import (
	"fmt"
	"strings"
	"time"
)

// XMLBegin and XMLEnd stand around the flows that conntrack writes as XML.
const (
	XMLBegin = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<conntrack>\n"
	XMLEnd   = "</conntrack>\n"
)

// xml is the connection, or the event, as conntrack's element flow. Nothing in it needs
// escaping.
func (v *ConnView) xml(o ViewOptions) string {
	var b strings.Builder
	b.WriteString("<flow")
	if v.Event != 0 {
		fmt.Fprintf(&b, ` type="%s"`, strings.ToLower(v.Event.Name()))
	}
	b.WriteString(">")
	v.xmlDirection(&b, Original)
	v.xmlDirection(&b, Reply)
	b.WriteString(`<meta direction="independent">`)
	v.xmlMeta(&b, o)
	b.WriteString("</meta>")
	if v.Event != 0 && o.Timestamp {
		t := time.Unix(0, v.At)
		fmt.Fprintf(&b, "<when><hour>%d</hour><min>%d</min><sec>%d</sec><wday>%d</wday><day>%d</day><month>%d</month><year>%d</year></when>",
			t.Hour(), t.Minute(), t.Second(), int(t.Weekday())+1, t.Day(), int(t.Month()), t.Year())
	}
	b.WriteString("</flow>")
	return b.String()
}

func (v *ConnView) xmlDirection(b *strings.Builder, d Dir) {
	t := &v.Tuples[d]
	fmt.Fprintf(b, `<meta direction="%s"><layer3 protonum="%d" protoname="%s"><src>%v</src><dst>%v</dst></layer3><layer4 protonum="%d" protoname="%s">`,
		[...]string{"original", "reply"}[d], FamilyNumber(t.Version), familyName(t.Version), t.SrcAddr(), t.DstAddr(), t.Proto, protoName(t.Proto))
	switch t.Proto {
	case 6, 17, 33, 132, 136:
		fmt.Fprintf(b, "<sport>%d</sport><dport>%d</dport>", t.SrcPort, t.DstPort)
	case 47:
		fmt.Fprintf(b, "<srckey>%#x</srckey><dstkey>%#x</dstkey>", t.SrcPort, t.DstPort)
	}
	b.WriteString("</layer4>")
	if v.Acct != nil && v.shows(EventDestroy) {
		fmt.Fprintf(b, "<counters><packets>%d</packets><bytes>%d</bytes></counters>", v.Acct.Packets[d], v.Acct.Bytes[d])
	}
	b.WriteString("</meta>")
}

// xmlMeta writes what belongs to both directions.
func (v *ConnView) xmlMeta(b *strings.Builder, o ViewOptions) {
	if v.State != "" && v.Status&Offload == 0 {
		fmt.Fprintf(b, "<state>%s</state>", v.State)
	}
	if v.Status&Offload == 0 {
		fmt.Fprintf(b, "<timeout>%d</timeout>", v.Timeout)
	}
	fmt.Fprintf(b, "<mark>%d</mark>", v.Mark)
	if zone := v.Tuples[Original].Zone; zone != 0 {
		fmt.Fprintf(b, "<zone>%d</zone>", zone)
	}
	if v.Event == 0 {
		fmt.Fprintf(b, "<use>%d</use>", v.Use)
	}
	fmt.Fprintf(b, "<id>%d</id>", v.ID)
	if v.Status&SeenReply == 0 {
		b.WriteString("<unreplied/>")
	}
	if v.Status&Assured != 0 {
		b.WriteString("<assured/>")
	}
	if v.Start == 0 || !v.shows(EventDestroy) {
		return
	}
	if o.KernelTimestamp {
		fmt.Fprintf(b, "<timestamp><start>%d</start>", v.Start)
		if v.Event != 0 {
			fmt.Fprintf(b, "<stop>%d</stop>", v.At)
		}
		b.WriteString("</timestamp>")
	}
	fmt.Fprintf(b, "<deltatime>%d</deltatime>", v.Age)
}
