package knit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/std"
)

// host returns a file of the machine's own /proc/net.
func host(t *testing.T, name string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("this machine is no Linux to compare with")
	}
	b, err := os.ReadFile("/proc/net/" + name)
	if err != nil {
		t.Skipf("this machine has no /proc/net/%s to compare with", name)
	}
	return string(b)
}

func lines(s string, n int) string {
	return strings.Join(strings.SplitAfterN(s, "\n", n+1)[:n], "")
}

// procKernel returns a kernel with the given modules.
func procKernel(t *testing.T, modules ...string) *knit.Kernel {
	t.Helper()
	leak.Check(t)
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "oopses", k.Log.Oopses)
	t.Cleanup(func() { k.Close() })
	for _, m := range modules {
		if err := k.Modprobe(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func read(t *testing.T, k *knit.Kernel, name string) string {
	t.Helper()
	b, err := k.Proc.Read("net/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestProcHeaders: whoever parses Linux's files finds the same columns, byte for
// byte.
func TestProcHeaders(t *testing.T) {
	k := procKernel(t, "tcp", "udp")
	for name, n := range map[string]int{
		"dev": 2, "tcp": 1, "tcp6": 1, "udp": 1, "udp6": 1, "raw": 1, "raw6": 1, "route": 1,
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := lines(read(t, k, name), n), lines(host(t, name), n); got != want {
				t.Errorf("%q\nLinux: %q", got, want)
			}
		})
	}
	number := regexp.MustCompile(`[0-9]+\b`)
	for _, name := range []string{"sockstat", "sockstat6"} {
		t.Run(name, func(t *testing.T) {
			want := host(t, name)
			if got := read(t, k, name); number.ReplaceAllString(got, "N") != number.ReplaceAllString(want, "N") {
				t.Errorf("%s\nLinux:\n%s", got, want)
			}
		})
	}
}

// TestProcSnmp: the groups come in Linux's order, and names that both have in the
// same order.
func TestProcSnmp(t *testing.T) {
	k := procKernel(t, "tcp", "udp")
	at := 0
	want := host(t, "snmp")
	for _, line := range strings.Split(read(t, k, "snmp"), "\n") {
		group, names, _ := strings.Cut(line, ": ")
		if names == "" || strings.ContainsAny(names[:1], "-0123456789") || group == "IcmpMsg" {
			continue
		}
		i := strings.Index(want, group+": "+names+"\n")
		if i < 0 {
			var theirs string
			if j := strings.Index(want, group+":"); j >= 0 {
				theirs = lines(want[j:], 1)
			}
			checkOrder(t, strings.Fields(names), strings.Fields(theirs))
			i = strings.Index(want, group+": ")
		}
		if i < at {
			t.Errorf("%s is not in its place", group)
		}
		at = i
	}
}

// checkOrder wants the names of ours that Linux has in its order.
func checkOrder(t *testing.T, ours, theirs []string) {
	t.Helper()
	next := 0
	for _, name := range ours {
		for i, n := range theirs {
			if n == name {
				if i < next {
					t.Errorf("%s is not in its place: %v", name, theirs)
				}
				next = i + 1
			}
		}
	}
}

// TestProcRows: a socket has the same row here as on Linux, but for slot, user,
// inode, references and the pointer.
func TestProcRows(t *testing.T) {
	k := procKernel(t, "tcp", "udp")
	for _, c := range []struct{ name, network, address string }{
		{"tcp", "tcp4", "127.0.0.1:0"}, {"tcp6", "tcp6", "[::1]:0"}, {"udp", "udp4", "127.0.0.1:0"}, {"udp6", "udp6", "[::1]:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			theirs, err := openBoth(net.Listen, net.ListenPacket, c.network, c.address)
			if err != nil {
				t.Skipf("this machine has no %s: %v", c.network, err)
			}
			defer theirs.Close()
			ours, err := openBoth(k.Listen, k.ListenPacket, c.network, theirs.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			_, port, _ := net.SplitHostPort(theirs.addr)
			got, want := row(t, read(t, k, c.name), port), row(t, host(t, c.name), port)
			if got != want {
				t.Errorf("\n%q\nLinux:\n%q", got, want)
			}
		})
	}
}

type opened struct {
	addr string
	io.Closer
}

// openBoth opens a socket with one of two functions of package net's shape.
func openBoth(listen func(string, string) (net.Listener, error), packet func(string, string) (net.PacketConn, error), network, address string) (*opened, error) {
	if strings.HasPrefix(network, "tcp") {
		l, err := listen(network, address)
		if err != nil {
			return nil, err
		}
		return &opened{l.Addr().String(), l}, nil
	}
	p, err := packet(network, address)
	if err != nil {
		return nil, err
	}
	return &opened{p.LocalAddr().String(), p}, nil
}

// row returns the row of a local port without what differs anyhow: slot, user,
// inode, references and pointer. Lengths count where they are padded.
func row(t *testing.T, text, port string) string {
	t.Helper()
	var n int
	fmt.Sscan(port, &n)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 12 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
			slot := regexp.MustCompile(`^ *[0-9]+: `).ReplaceAllString(line, "S: ")
			tail := regexp.MustCompile(`( 00000000 )[ 0-9]{4,9}[0-9]( +0) [0-9]+ [12] [0-9a-f]{16}`).ReplaceAllString(slot, "${1}UID$2 INODE REFS POINTER")
			return strings.TrimRight(tail, " \n")
		}
	}
	t.Fatalf("no row of port %s in\n%s", port, text)
	return ""
}

// TestProcModules is /proc/modules after a load.
func TestProcModules(t *testing.T) {
	k := procKernel(t, "dummy")
	b, err := k.Proc.Read("/proc/modules")
	if err != nil || !bytes.Contains(b, []byte("dummy 16384 0 - Live 0x0000000000000000\n")) {
		t.Errorf("%s %v", b, err)
	}
}
