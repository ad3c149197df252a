package ftp

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// judged are lines of the client and of the server, by direction. Both are
// 127.0.0.1. Port 0 is left out: Linux expects it, though no connection can go there.
var judged = [2][]string{
	{
		"PORT 127,0,0,1,195,81\r\n", "port 127,0,0,1,195,82\r\n", "PORT 127,0,0,2,195,81\r\n", "PORT 127,0,0,1,195\r\n",
		"PORT 127,0,0,256,195,81\r\n", "XPORT 127,0,0,1,195,81\r\n", "EPRT |1|127.0.0.1|50003|\r\n",
		"EPRT |1|127.0.0.2|50003|\r\n", "EPRT |2|::1|50003|\r\n", "EPRT !1!127.0.0.1!50004!\r\n", "EPRT |1|127.0.0.1||\r\n",
		"227 Entering Passive Mode (127,0,0,1,195,81).\r\n", "NOOP\r\n", "EPRT 111127.0.0.1150003\r\n",
	}, {
		"227 Entering Passive Mode (127,0,0,1,195,81).\r\n", "227 (127,0,0,1,195,82)\r\n", "227 Entering Passive Mode (127,0,0,2,195,81).\r\n",
		"229 Entering Extended Passive Mode (|||50005|)\r\n", "229 x (!!!50006!)\r\n", "229 x (|||0|)\r\n", "200 ok\r\n",
		"PORT 127,0,0,1,195,81\r\n", "226 (127,0,0,1,195,81)\r\n", "227 no address\r\n",
	},
}

// inNamespace runs f on a thread with a network namespace of its own.
func inNamespace(t *testing.T, f func() error) {
	t.Helper()
	for _, tool := range []string{"ip", "nft", "conntrack"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on this machine: %v", tool, err)
		}
	}
	made, done := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the namespace goes with the thread
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- err
			return
		}
		made <- nil
		done <- f()
	}()
	if err := <-made; err != nil {
		t.Skipf("cannot make a network namespace: %v (needs CAP_SYS_ADMIN)", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func command(stdin string, words ...string) (string, error) {
	c := exec.Command(words[0], words[1:]...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w", words, err)
	}
	return string(out), err
}

// linuxExpects sends the lines over a connection with Linux's helper and returns
// what it expects after each.
func linuxExpects() (got [2][]string, err error) {
	for _, c := range [][2]string{{"ip link set lo up", ""}, {"nft -f -", `table ip f {
		ct helper ctl { type "ftp" protocol tcp; }
		chain o { type filter hook output priority 0; tcp dport 21 ct helper set "ctl"; }
	}`}} {
		if _, err := command(c[1], strings.Fields(c[0])...); err != nil {
			return got, err
		}
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:21")
	if err != nil {
		return got, err
	}
	defer ln.Close()
	for d, lines := range judged {
		for _, line := range lines {
			x, err := linuxExpectsOf(ln, d, line)
			if err != nil {
				return got, err
			}
			got[d] = append(got[d], x)
		}
	}
	return got, nil
}

// linuxExpectsOf sends a line of side d over a connection of its own. What Linux
// drops never arrives: it has looked at it when the write returns.
func linuxExpectsOf(ln net.Listener, d int, line string) (string, error) {
	client, err := net.Dial("tcp4", "127.0.0.1:21")
	if err != nil {
		return "", err
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		return "", err
	}
	defer server.Close()
	ends := [2]net.Conn{client, server}
	// Linux believes no first line.
	if _, err := ends[d].Write([]byte("NOOP\r\n")); err != nil {
		return "", err
	}
	if _, err := bufio.NewReader(ends[1-d]).ReadString('\n'); err != nil {
		return "", err
	}
	if _, err := ends[d].Write([]byte(line)); err != nil {
		return "", err
	}
	out, err := command("", "conntrack", "-L", "expect")
	if err != nil {
		return "", err
	}
	_, err = command("", "conntrack", "-F", "expect")
	return expectations(out), err
}

var expectLine = regexp.MustCompile(`^\d+ proto=6 src=(\S+) dst=(\S+) sport=0 dport=(\d+) mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 `)

func expectations(list string) string {
	var out []string
	for line := range strings.Lines(list) {
		if m := expectLine.FindStringSubmatch(line); m != nil {
			out = append(out, m[1]+">"+m[2]+"."+m[3])
		} else {
			out = append(out, line)
		}
	}
	return strings.Join(out, " ")
}

// TestAgainstLinux: what is said on a control connection makes the same expectations
// as with Linux's helper.
func TestAgainstLinux(t *testing.T) {
	var linux [2][]string
	inNamespace(t, func() (err error) { linux, err = linuxExpects(); return err })
	for d, lines := range judged {
		for i, line := range lines {
			w := newWiretap(t)
			for j := range w.c.Tuples {
				w.c.Tuples[j].Src = [16]byte{127, 0, 0, 1}
				w.c.Tuples[j].Dst = [16]byte{127, 0, 0, 1}
			}
			info := []netfilter.Info{netfilter.Established, netfilter.EstablishedReply}[d]
			w.send(info, wire.TCPSyn, 99, "")
			w.send(info, wire.TCPAck, 100, line)
			if got := strings.Join(w.expected, " "); got != linux[d][i] {
				t.Errorf("side %d says %q: expected %q, Linux has %q", d, line, got, linux[d][i])
			}
		}
	}
}
