//go:build linux

package nft_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/wire"
)

// A trial is a ruleset and what happens to it. Its file, testdata/judge/*.txt, has
//
//	== NAME
//
// before each, then the ruleset, and perhaps a line `--` and steps:
//
//	tun0 PACKET       a packet comes in by a device, see recipe
//	wait DURATION     time passes
//	nft COMMAND       a command, which both sides take or refuse with the same words
//	may COMMAND       a command, which both sides take or refuse
//	battery           the packets of testdata/judge/battery
//
// Without steps it is the battery. `== NAME rules FAMILY HOOK PRIORITY` means that each
// line is the beginning of a rule that counts, in a chain there.
type trial struct {
	name, rules string
	steps       []string
	packets     [][]byte // that come in by the first device, instead of steps
	line        int
}

// TestJudged: the same ruleset and the same packets, on Linux and here, let the same
// packets out, to the byte, and list the same afterwards: counters, quotas, elements
// that rules have added.
func TestJudged(t *testing.T) {
	judged(t, func(t *testing.T, linux *judge) {
		files, err := filepath.Glob("testdata/judge/*.txt")
		if err != nil || len(files) == 0 {
			t.Fatal("no trials: ", err)
		}
		n := 0
		for _, file := range files {
			if only := os.Getenv("NFT_TRIALS"); only != "" && !strings.Contains(file, only) {
				continue
			}
			for _, c := range readTrials(t, file) {
				n++
				t.Run(fmt.Sprintf("%s:%d/%s", filepath.Base(file), c.line, c.name), func(t *testing.T) { c.hold(t, linux) })
			}
		}
		t.Logf("%d trials", n)
	})
}

func readTrials(t *testing.T, file string) (out []*trial) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c *trial
	var head []string
	steps := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "== "):
			finishTrial(c, head)
			head = strings.Fields(line[3:])
			c, steps = &trial{name: head[0], line: i + 1}, false
			out = append(out, c)
		case c == nil || strings.HasPrefix(line, "#"):
		case line == "--":
			steps = true
		case steps && strings.TrimSpace(line) != "":
			c.steps = append(c.steps, line)
		case !steps:
			c.rules += line + "\n"
		}
	}
	finishTrial(c, head)
	return out
}

// finishTrial makes a ruleset of a list of rules, and names the usual steps.
func finishTrial(c *trial, head []string) {
	if c == nil {
		return
	}
	if len(c.steps) == 0 {
		c.steps = []string{"battery"}
	}
	if len(head) != 5 || head[1] != "rules" {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table %s t {\n\tchain c {\n\t\ttype filter hook %s priority %s;\n", head[2], head[3], head[4])
	for line := range strings.Lines(c.rules) {
		if s := strings.TrimSpace(line); s != "" {
			b.WriteString("\t\t" + s + " counter\n")
		}
	}
	c.rules = b.String() + "\t}\n}\n"
}

func (c *trial) hold(t *testing.T, linux *judge) {
	linux.t = t
	linux.forget()
	here := newKnitSide(t)
	sides := [2]side{linux, here}
	for _, s := range sides {
		if _, err := s.nft(c.rules); err != nil {
			t.Fatalf("%T refuses:\n%v", s, err)
		}
	}
	c.run(t, sides, c.steps)
	for _, b := range c.packets {
		sides[0].send(0, b)
		sides[1].send(0, b)
		agree(t, fmt.Sprintf("%x", b), sides)
	}
	var lists [2]string
	for i, s := range sides {
		text, err := s.nft("list ruleset")
		if err != nil {
			t.Fatal(err)
		}
		lists[i] = steady(text)
	}
	if lists[0] != lists[1] {
		whole, _ := linux.nft("list ruleset")
		t.Errorf("the ruleset differs:\n%s", diffLines(lists[1], lists[0], whole))
	}
}

func (c *trial) run(t *testing.T, sides [2]side, steps []string) {
	for _, step := range steps {
		w := strings.Fields(step)
		switch w[0] {
		case "battery":
			c.run(t, sides, batteryLines(t))
			continue
		case "wait":
			d, err := time.ParseDuration(w[1])
			if err != nil {
				t.Fatal(err)
			}
			sides[0].wait(d)
			sides[1].wait(d)
		case "nft", "may":
			c.command(t, sides, w[0] == "may", step[4:])
		default:
			port := slices.Index(ports, w[0])
			b, err := packetOf(w[1:])
			if err != nil || port < 0 {
				t.Fatalf("%s: %v", step, err)
			}
			sides[0].send(port, b)
			sides[1].send(port, b)
		}
		agree(t, step, sides)
	}
}

// agree checks that both sides have sent the same.
func agree(t *testing.T, step string, sides [2]side) {
	want, got := sides[0].sent(), sides[1].sent()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\nsent  %s\nLinux %s", step, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

// command gives a command to both sides, which agree about it.
func (c *trial) command(t *testing.T, sides [2]side, may bool, text string) {
	var said [2]string
	for i, s := range sides {
		out, err := s.nft(text)
		if err != nil {
			if out = "refused"; !may {
				out += ": " + strings.TrimSpace(err.Error())
			}
		}
		said[i] = steady(out)
	}
	if said[0] != said[1] {
		t.Errorf("nft %s:\nsaid  %s\nLinux %s", text, said[1], said[0])
	}
}

func batteryLines(t *testing.T) (out []string) {
	text, err := os.ReadFile("testdata/judge/battery")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if s := strings.TrimSpace(line); s != "" && s[0] != '#' {
			out = append(out, s)
		}
	}
	return out
}

// steady leaves out of a listing what differs from run to run: how long elements have
// still to live, and the order of elements. Of rules it keeps the counters: how they
// are written is the language's matter and tested there.
func steady(text string) string {
	text = regexp.MustCompile(` expires [0-9dhms]+`).ReplaceAllString(text, " expires T")
	var b strings.Builder
	chain := false
	for line := range strings.Lines(sortElems(text)) {
		switch {
		case strings.HasPrefix(line, "\tchain "):
			chain = true
		case strings.HasPrefix(line, "\t}"):
			chain = false
		case chain:
			line = strings.Join(ruleState.FindAllString(line, -1), " ") + "\n"
		case strings.TrimSpace(line) == "":
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

var ruleState = regexp.MustCompile(`counter packets \d+ bytes \d+|quota.*used \d+ \w+|handle \d+|comment ".*"`)

// outLine writes a packet that went out, without what every host chooses itself: the
// identification of IPv4 and of fragments of IPv6, and the flow label of what a host sends of its own.
func outLine(port int, b []byte) string {
	b = slices.Clone(b)
	ip := b
	if strings.HasPrefix(ports[port], "tap") && len(b) >= wire.EthernetLen {
		ip = b[wire.EthernetLen:]
	}
	if h, ok := wire.ParseIPv4(ip); ok {
		ip[4], ip[5], ip[10], ip[11] = 0, 0, 0, 0
		binary.BigEndian.PutUint16(ip[10:], wire.Sum(h.Header(), 0).Finish())
	} else if _, ok := wire.ParseIPv6(ip); ok {
		ip[1] &= 0xf0
		ip[2], ip[3] = 0, 0
		if ip[6] == 44 && len(ip) >= wire.IPv6Len+8 {
			clear(ip[wire.IPv6Len+4 : wire.IPv6Len+8])
		}
	}
	return ports[port] + " " + hex.EncodeToString(b)
}

// sortElems brings the elements of sets into one order: Linux's is that of its hashes.
func sortElems(text string) string {
	return elements.ReplaceAllStringFunc(text, func(s string) string {
		body := strings.TrimSuffix(strings.TrimPrefix(s, "elements = {"), "}")
		l := strings.Split(body, ",")
		for i := range l {
			l[i] = strings.Join(strings.Fields(l[i]), " ")
		}
		slices.Sort(l)
		return "elements = { " + strings.Join(l, ", ") + " }"
	})
}

var elements = regexp.MustCompile(`elements = \{[^}]*\}`)

var blank = regexp.MustCompile(`(?m)^\s*\n`)

// diffLines shows the lines that differ, in front of those of the whole text.
func diffLines(got, want, whole string) string {
	var b strings.Builder
	g, w, all := strings.Split(got, "\n"), strings.Split(want, "\n"), strings.Split(blank.ReplaceAllString(sortElems(whole), ""), "\n")
	for i := range max(len(g), len(w)) {
		line := func(l []string) string {
			if i < len(l) {
				return l[i]
			}
			return "(end)"
		}
		if line(g) != line(w) {
			fmt.Fprintf(&b, "%d: %s\n got   %s\n Linux %s\n", i+1, line(all), line(g), line(w))
		}
	}
	return b.String()
}
