package wire

import (
	"os/exec"
	"strings"
	"testing"
)

// TestHotFunctionsStayInlinable holds the functions that run for every packet
// below the compiler's inlining budget.
func TestHotFunctionsStayInlinable(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command on this machine:", err)
	}
	out, err := exec.Command(goTool, "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	for _, name := range []string{
		"ParseEthernet", "Ethernet.Dst", "Ethernet.Src", "Ethernet.EtherType", "PutEthernet",
		"ParseIPv4", "IPv4.HeaderLen", "IPv4.TotalLen", "IPv4.Protocol", "IPv4.TTL", "IPv4.IsFragment",
		"IPv4.Src", "IPv4.Dst", "IPv4.Src4", "IPv4.Dst4", "IPv4.Payload", "IPv4.PseudoSum",
		"ParseIPv6", "IPv6.NextHeader", "IPv6.HopLimit", "IPv6.Src", "IPv6.Dst", "IPv6.Payload", "PutIPv6",
		"ParseUDP", "UDP.SrcPort", "UDP.DstPort", "UDP.Len", "UDP.Payload", "PutUDP",
		"ParseTCP", "TCP.SrcPort", "TCP.DstPort", "TCP.Seq", "TCP.Ack", "TCP.Flags", "TCP.Window",
		"TCP.HeaderLen", "TCP.Options", "TCP.Payload", "PutTCP",
		"PseudoIPv4", "PseudoIPv6", "PartialSum.Add", "PartialSum.Combine", "PartialSum.Fold", "PartialSum.Finish",
		"UpdateChecksum16", "PutVNet", "ParseVNet",
	} {
		if !strings.Contains(text, "can inline "+name+"\n") {
			t.Errorf("%s is no longer inlinable", name)
		}
	}
}
