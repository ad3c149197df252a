//go:build linux

package nft

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// inNamespace is set in the copy of the test that has a network namespace of its own.
const inNamespace = "NFT_TEST_NAMESPACE"

// TestAsLinux: the same ruleset and the same packets go through nftables, in a network
// namespace of the test's own, and through the machine. Then both list the same:
// counters, quotas, sets that rules have filled.
func TestAsLinux(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft, the judge, is not installed")
	}
	if os.Getenv(inNamespace) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAsLinux$", "-test.v")
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	tun := openTUN(t)
	seeds := uint64(100)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		compare(t, tun, seed)
	}
}

func openTUN(t *testing.T) *os.File {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no /dev/net/tun: ", err)
	}
	req, err := unix.NewIfreq("tun0")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Skip("no tun device: ", err)
	}
	f := os.NewFile(uintptr(fd), "tun0")
	t.Cleanup(func() { f.Close() })
	for _, words := range []string{"ip addr add 10.0.0.1/24 dev tun0", "ip link set tun0 up"} {
		w := strings.Fields(words)
		if out, err := exec.Command(w[0], w[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", words, err, out)
		}
	}
	return f
}

func compare(t *testing.T, tun *os.File, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	text := loadLinux(t, randomRuleset(r))
	m := newTest(t)
	run := func(text string) string {
		var out strings.Builder
		if err := m.Run(context.Background(), &netfilter.NFTRequest{Text: text, Name: "rules"}, &out); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		return out.String()
	}
	run(text)
	for range 40 {
		b := randomPacket(r)
		if _, err := tun.Write(b); err != nil {
			t.Fatal(err)
		}
		pass(m, b)
	}
	want, err := exec.Command("nft", "list", "ruleset").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := run("list ruleset"); sortElems(got) != sortElems(string(want)) {
		t.Errorf("seed %d:\n%s\nthe whole ruleset on Linux:\n%s", seed, diffLines(sortElems(got), sortElems(string(want))), want)
	}
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

// sortElems brings the elements of concatenations into one order: that of the real
// listing is the order of the numbers as the host sees them, which is lang's matter.
func sortElems(text string) string {
	return elements.ReplaceAllStringFunc(text, func(s string) string {
		l := strings.Fields(strings.NewReplacer("elements = {", "", ",", "", "}", "", " . ", "_", " counter packets ", "_", " bytes ", "_").Replace(s))
		slices.Sort(l)
		return strings.Join(l, " ")
	})
}

var elements = regexp.MustCompile(`elements = \{[^}]*\}`)

// diffLines shows the lines that differ.
func diffLines(got, want string) string {
	var b strings.Builder
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		line := func(l []string) string {
			if i < len(l) {
				return l[i]
			}
			return "(end)"
		}
		if line(g) != line(w) {
			fmt.Fprintf(&b, "got   %s\nLinux %s\n", line(g), line(w))
		}
	}
	return b.String()
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
	fill := func(s string) string {
		if strings.Contains(s, "%d") {
			return fmt.Sprintf(s, 1+r.IntN(6))
		}
		return s
	}
	for range n {
		b.WriteString("\t\t")
		for range 1 + r.IntN(2) {
			m := fill(matches[r.IntN(len(matches))])
			if strings.HasPrefix(m, "iif") {
				continue
			}
			b.WriteString(m + " ")
		}
		b.WriteString("counter ")
		b.WriteString(fill(ends[r.IntN(len(ends))]) + "\n")
	}
}
