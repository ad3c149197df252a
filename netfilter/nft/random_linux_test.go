//go:build linux

package nft_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/knitnet/knit/wire"
)

// A generator makes rulesets and packets of an IP version up.
type generator struct {
	stream  uint64
	ruleset func(*rand.Rand) string
	packet  func(*rand.Rand) []byte
}

// TestRandomJudged: random rulesets and random packets, on Linux and here.
func TestRandomJudged(t *testing.T) {
	generator{7, randomRuleset, randomPacket}.judged(t)
}

// TestRandomJudged6: the same with IPv6.
func TestRandomJudged6(t *testing.T) {
	generator{6, randomRuleset6, randomPacket6}.judged(t)
}

func (g generator) judged(t *testing.T) {
	judged(t, func(t *testing.T, linux *judge) {
		seeds := uint64(60)
		if testing.Short() {
			seeds = 10
		}
		for seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { g.compare(t, linux, seed) })
		}
	})
}

func (g generator) compare(t *testing.T, linux *judge, seed uint64) {
	linux.t = t
	linux.forget()
	r := rand.New(rand.NewPCG(seed, g.stream))
	c := trial{name: fmt.Sprint(seed), rules: loadLinux(t, g.ruleset(r))}
	for range 40 {
		c.packets = append(c.packets, g.packet(r))
	}
	c.hold(t, linux)
}

// loadLinux gives a ruleset to nft and returns what it took: rules that contradict
// themselves are left out.
func loadLinux(t *testing.T, text string) string {
	wrong := regexp.MustCompile(`(?m)^/dev/stdin:(\d+):`)
	for range 20 {
		load := exec.Command("nft", "-f", "-")
		load.Stdin = strings.NewReader("flush ruleset\n" + text)
		out, err := load.CombinedOutput()
		if err == nil {
			return text
		}
		lines := strings.Split(text, "\n")
		for _, m := range wrong.FindAllStringSubmatch(string(out), -1) {
			n, _ := strconv.Atoi(m[1])
			if n < 2 || n-2 >= len(lines) {
				t.Fatalf("%s\n%s", text, out)
			}
			lines[n-2] = ""
		}
		text = strings.Join(lines, "\n")
	}
	t.Fatalf("nft does not take\n%s", text)
	return ""
}

// randomPacket returns a packet to 10.0.0.1 with a right header.
func randomPacket(r *rand.Rand) []byte {
	protos := [...]uint8{wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMP, 132}
	proto := protos[r.IntN(len(protos))]
	b := make([]byte, 20+20+r.IntN(60))
	wire.PutIPv4(b, &wire.IPv4Fields{
		TotalLen: uint16(len(b)), TTL: uint8(60 + r.IntN(8)), Protocol: proto, ID: uint16(r.IntN(4)), TOS: uint8(r.IntN(8) << 2),
		Src: [4]byte{10, 0, 0, byte(2 + r.IntN(14))}, Dst: [4]byte{10, 0, 0, 1},
	})
	l4 := b[20:]
	for i := range l4 {
		l4[i] = byte(r.IntN(4))
	}
	if proto != wire.ProtoICMP {
		binary.BigEndian.PutUint16(l4, uint16(1000+r.IntN(6)))
		binary.BigEndian.PutUint16(l4[2:], uint16(r.IntN(8)))
	} else {
		l4[0] = byte(r.IntN(19))
	}
	if proto == wire.ProtoTCP {
		l4[12], l4[13] = 0x50, byte(r.IntN(64))
	}
	return b
}

func randomRuleset(r *rand.Rand) string {
	var b bytes.Buffer
	b.WriteString("table ip t {\n")
	fmt.Fprintf(&b, "\tset hosts { type ipv4_addr; flags interval; elements = { 10.0.0.4/30, 10.0.0.12-10.0.0.13 }; }\n")
	b.WriteString("\tset seen { type ipv4_addr; size 1000; flags dynamic; }\n") // large: Linux never takes what rules delete off its account
	b.WriteString("\tset small { type ipv4_addr; size 4; flags dynamic; }\n")
	b.WriteString("\tset pairs { type ipv4_addr . inet_service; size 100; flags dynamic; }\n")
	b.WriteString("\tmap marks { type inet_service : mark; elements = { 1 : 0x10, 2 : 0x20, 3 : 0x30 }; }\n")
	b.WriteString("\tset both { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.2-10.0.0.6 . 1-3, 10.0.0.8/29 . 5 }; }\n")
	b.WriteString("\tcounter named { }\n\tquota few { 300 bytes; }\n")
	b.WriteString("\tchain sub2 {\n")
	rules(&b, r, 3, nil)
	b.WriteString("\t}\n\tchain sub {\n")
	rules(&b, r, 4, []string{"jump sub2", "goto sub2"})
	for _, h := range []string{"prerouting", "input"} {
		fmt.Fprintf(&b, "\t}\n\tchain %s {\n\t\ttype filter hook %s priority 0; policy accept;\n\t\tcounter\n", h, h)
		rules(&b, r, 12, []string{"jump sub", "goto sub2", "jump sub2", "tcp dport vmap { 1 : accept, 2 : jump sub, 3 : drop }"})
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

func rules(b *bytes.Buffer, r *rand.Rand, n int, more []string) {
	matches := []string{
		"ip saddr 10.0.0.%d", "ip saddr != 10.0.0.%d", "ip saddr 10.0.0.%d/30", "ip ttl 6%d", "ip ttl > 6%d", "ip ttl <= 6%d", "ip id %d",
		"tcp dport %d", "udp dport %d", "tcp dport { 1, 3, 5-7 }", "udp sport 1001-1003", "tcp flags syn", "tcp flags & (syn|ack) == syn",
		"tcp flags ! ack", "tcp flags != syn", "ip dscp cs%d", "icmp type echo-request", "icmp type { 3, 8, 11 }", "meta length > 8%d", "meta length 40-70",
		"meta l4proto { tcp, udp }", "meta mark 0x%d", "meta mark & 0xf0 == 0x10", "ip saddr @hosts", "ip saddr != @hosts", "ip saddr . tcp dport @both",
		"ip saddr . udp dport { 10.0.0.3 . 1, 10.0.0.4 . 2, 10.0.0.5 . 3 }", "@nh,96,32 & 0x00000003 == 0x00000001", "ip protocol != tcp",
		"ip saddr & 0.0.0.1 == 0.0.0.1", "ip saddr @seen", "limit rate 1/day burst 1%d packets", "quota 30%d bytes", "quota over 20%d bytes",
		"limit rate over 2/day burst 5 packets", "numgen inc mod 3 0", "jhash ip saddr mod 4 seed 0x5 1", "jhash ip saddr . tcp dport mod 3 seed 0xbeef 2", "iif tun0", "meta pkttype host",
	}
	ends := []string{
		"accept", "drop", "return", "continue", "", "", "", "", "meta mark set 0x%d", "meta mark set tcp dport map @marks", "add @seen { ip saddr }",
		"update @seen { ip saddr counter }", "delete @seen { ip saddr }", "add @small { ip saddr } accept", "update @small { ip saddr counter }", "add @pairs { ip saddr . udp dport }", "counter name named", "quota name \"few\" drop",
		"meta mark set jhash ip saddr mod 16 seed 0x7", "meta mark set numgen inc mod 4", "meta mark set meta mark | 0x10", "ip ttl set 6%d", "ip dscp set cs%d", "tcp dport set %d",
		"ip saddr vmap { 10.0.0.2-10.0.0.5 : drop, 10.0.0.9 : return, * : continue }",
	}
	ends = append(ends, more...)
	for range n {
		b.WriteString("\t\t")
		for range 1 + r.IntN(2) {
			m := fill(r, matches[r.IntN(len(matches))])
			if strings.HasPrefix(m, "iif") {
				continue
			}
			b.WriteString(m + " ")
		}
		b.WriteString("counter ")
		b.WriteString(fill(r, ends[r.IntN(len(ends))]) + "\n")
	}
}

// fill puts a number from 1 to 6 where one is missing.
func fill(r *rand.Rand, s string) string {
	if strings.Contains(s, "%d") {
		return fmt.Sprintf(s, 1+r.IntN(6))
	}
	return s
}
