//go:build linux

package nft_test

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/knitnet/knit/netfilter"
)

// monitored are transactions, one a paragraph.
const monitored = `table ip t {
	set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/24, 10.1.0.5 }
	}
	set d { type ipv4_addr; flags dynamic; size 10
	}
	map m { type inet_service : verdict; elements = { 80 : accept }
	}
	counter n { }
	quota q { 500 bytes
	}
	chain sub { counter
	}
	chain c { type filter hook input priority 0; policy drop
		tcp dport 80 accept comment "x"
	}
}

add table inet u

add chain inet u k

add rule inet u k meta l4proto tcp counter accept

insert rule inet u k counter

add element ip t s { 10.9.0.0/16 }

delete element ip t s { 10.9.0.0/16 }

add element ip t m { 81 : drop }

replace rule inet u k handle 2 counter drop

delete rule inet u k handle 3

rename chain ip t sub sub2

add chain ip t c { policy accept ; }

flush chain ip t c

add set inet u e { type inet_service ; }

add element inet u e { 5 }

delete set inet u e

delete counter ip t n

delete quota ip t q

delete chain inet u k

delete table inet u

flush ruleset`

// TestMonitorJudged: who monitors sees of each transaction what `nft monitor` and
// `nft -j monitor` tell of it, but for who made it.
func TestMonitorJudged(t *testing.T) {
	judged(t, func(t *testing.T, linux *judge) {
		for _, what := range []string{"monitor", "-j monitor", "monitor new rules", "monitor destroy", "-a monitor", "-n monitor", "-s monitor"} {
			linux.forget()
			here := newKnitSide(t)
			want, got := told(t, linux, linux.monitor(t, what)), told(t, here, here.monitor(t, what))
			if got != want {
				t.Errorf("%s:\n%s", what, diffLines(got, want, want))
			}
		}
	})
}

// probe is a transaction of which every kind of monitor tells something.
const probe = "add table ip probe; add chain ip probe c; add rule ip probe c counter"

// told performs the transactions and returns what a monitor has told of them.
func told(t *testing.T, s side, lines <-chan string) string {
	t.Helper()
	do := func(text string) {
		if _, err := s.nft(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	// It listens once it tells of a probe, and has told all when it tells of the next.
	for heard := false; !heard; {
		do(probe)
		do("delete table ip probe")
		select {
		case <-lines:
			heard = true
		default:
		}
	}
	for _, text := range strings.Split(monitored, "\n\n") {
		do(text)
	}
	do("add table ip last; add chain ip last c; add rule ip last c counter")
	do("delete table ip last")
	var out strings.Builder
	for line := range lines {
		if strings.Contains(line, "last") {
			return out.String()
		}
		if !strings.Contains(line, "probe") && !strings.HasPrefix(line, "#") {
			out.WriteString(handles.ReplaceAllString(line, "") + "\n")
		}
	}
	t.Fatal("the monitor ended")
	return ""
}

// handles are those of tables, which the probes have counted up.
var handles = regexp.MustCompile(`("table": \{"family": "\w+", "name": "\w+", )"handle": \d+|((?:add|delete) table \w+ \w+ # handle )\d+`)

// scan sends the lines of r.
func scan(r io.Reader) <-chan string {
	lines := make(chan string, 4096)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

func (j *judge) monitor(t *testing.T, what string) <-chan string {
	t.Helper()
	cmd := exec.Command("stdbuf", append([]string{"-oL", "nft"}, strings.Fields(what)...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return scan(out)
}

func (s *knitSide) monitor(t *testing.T, what string) <-chan string {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	text, asJSON := strings.CutPrefix(what, "-j ")
	req := &netfilter.NFTRequest{JSON: asJSON}
	for letter, option := range map[string]*bool{"-a ": &req.Handles, "-n ": &req.Numeric, "-s ": &req.Stateless} {
		if rest, ok := strings.CutPrefix(text, letter); ok {
			text, *option = rest, true
		}
	}
	req.Text = text
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.rules.Monitor(ctx, req, w); err != nil {
			t.Error(err)
		}
		w.Close()
	}()
	t.Cleanup(func() { cancel(); <-done })
	return scan(r)
}
