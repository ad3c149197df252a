package control

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/knitnet/knit/link/capture"
)

// hostile has every byte, and the C1 controls as UTF-8 too.
func hostile() string {
	var b strings.Builder
	for c := range 256 {
		b.WriteByte(byte(c))
	}
	return b.String() + "\u009b31m\u0085"
}

// checkTerminal complains of bytes that a terminal could obey.
func checkTerminal(t *testing.T, what, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: nothing was shown", what)
	}
	if !utf8.ValidString(text) {
		t.Errorf("%s: not UTF-8: %q", what, text)
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			t.Errorf("%s: %q reaches the terminal", what, r)
		}
	}
}

// TestTerminalTcpdump: whatever packets carry, what is shown of them is harmless.
func TestTerminalTcpdump(t *testing.T) {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 0, 2}}
	m := &frameMaker{t: t}
	for _, start := range []int{0, 20, 100, 120, 140} {
		s := &layers.TCP{SrcPort: 5001, DstPort: 5002, RST: true}
		s.SetNetworkLayerForChecksum(ip)
		eth := &layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: layers.EthernetTypeIPv4}
		f := m.serialize(eth, ip, s, gopacket.Payload(hostile()[start:]))
		for _, b := range []dumpBytes{{}, {hex: true}, {hex: true, ascii: true}, {ascii: true, link: true}} {
			p := packetPrinter{dumpStyle: dumpStyle{verbose: 2, bytes: b}}
			checkTerminal(t, "tcpdump", p.packet(capture.Interface{Type: capture.LinkEthernet}, capture.Record{Data: f, Length: len(f)}))
		}
	}
}

// TestTerminalDmesg: neither the lines nor the JSON of a log that quotes a stranger.
func TestTerminalDmesg(t *testing.T) {
	entries := iter.Seq[LogEntry](slices.Values([]LogEntry{{Time: time.Second, Level: "err", Facility: "kern", Module: "m", Text: hostile()}}))
	for _, q := range []DmesgRequest{{}, {decode: true}, {json: true}} {
		var out bytes.Buffer
		if err := printDmesg(&Console{Stdout: &out}, q, entries); err != nil {
			t.Fatal(err)
		}
		checkTerminal(t, "dmesg", out.String())
		if q.json && !json.Valid(out.Bytes()) {
			t.Errorf("no JSON: %s", out.String())
		}
	}
}

// TestTerminalWarn: errors and remarks, as of get -v, may quote a stranger.
func TestTerminalWarn(t *testing.T) {
	var errs bytes.Buffer
	c := &Console{Stderr: &errs}
	c.Warn("< X: %s", hostile())
	c.Report(Errorf(1, "get: %s", hostile()))
	checkTerminal(t, "standard error", errs.String())
}

// TestTerminalSS: a process has the name that it gives itself.
func TestTerminalSS(t *testing.T) {
	for _, s := range []Socket{{Process: hostile(), PID: 7}, {Module: hostile()}} {
		var b strings.Builder
		s.users(&b)
		checkTerminal(t, "ss", b.String())
	}
}
