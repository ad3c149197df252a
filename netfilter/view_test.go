package netfilter_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/netfilter"
)

func view(proto uint8, ports ...uint16) netfilter.ConnView {
	var v netfilter.ConnView
	for d := range v.Tuples {
		t := &v.Tuples[d]
		t.Proto = proto
		t.SetSrc(netip.MustParseAddr([]string{"1.1.1.1", "2.2.2.2"}[d]))
		t.SetDst(netip.MustParseAddr([]string{"2.2.2.2", "1.1.1.1"}[d]))
		t.SrcPort, t.DstPort = ports[d], ports[1-d]
	}
	v.Timeout = 50
	return v
}

// TestLine holds lines against those that conntrack 1.4.7 has written of Linux 6.18.
func TestLine(t *testing.T) {
	destroyed := view(17, 1, 2)
	destroyed.Mark, destroyed.Event = 3, netfilter.EventDestroy
	destroyed.At = 1795540291 * 1e9
	tunnel := view(47, 0x10, 0x20)
	for _, x := range []struct{ got, want string }{
		{destroyed.Line(netfilter.ViewOptions{}), "[DESTROY] udp      17 50 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 mark=3"},
		{tunnel.Line(netfilter.ViewOptions{}), "gre      47 50 src=1.1.1.1 dst=2.2.2.2 srckey=0x10 dstkey=0x20 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 srckey=0x20 dstkey=0x10 mark=0 use=0"},
		{tunnel.Save(), "-A -t 50 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p gre --srckey 16 --dstkey 32 --reply-key-src 32 --reply-key-dst 16"},
		{destroyed.Line(netfilter.ViewOptions{XML: true}), `<flow type="destroy"><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>1.1.1.1</src><dst>2.2.2.2</dst></layer3>` +
			`<layer4 protonum="17" protoname="udp"><sport>1</sport><dport>2</dport></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4">` +
			`<src>2.2.2.2</src><dst>1.1.1.1</dst></layer3><layer4 protonum="17" protoname="udp"><sport>2</sport><dport>1</dport></layer4></meta>` +
			`<meta direction="independent"><timeout>50</timeout><mark>3</mark><id>0</id><unreplied/></meta></flow>`},
	} {
		if x.got != x.want {
			t.Errorf("%s\nwant\n%s", x.got, x.want)
		}
	}
}
