package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
)

// A stack is what sockets are made of: the system's, or a kernel's.
type stack struct {
	listen       func(network, address string) (net.Listener, error)
	listenPacket func(network, address string) (net.PacketConn, error)
	dial         func(network, local, remote string) (net.Conn, error)
}

// open makes the sockets that ss is asked about, and returns when all is quiet.
func (s stack) open(t *testing.T) {
	t.Helper()
	listen := func(network, address string) net.Listener {
		l, err := s.listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	keep := func(c io.Closer, err error) {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	l := listen("tcp", "127.0.0.1:8080")
	listen("tcp", "[::1]:80")
	listen("tcp", ":9090")
	for _, a := range []string{"0.0.0.0:53", "[::]:1234"} {
		network := map[bool]string{true: "udp4", false: "udp"}[a[0] == '0']
		c, err := s.listenPacket(network, a)
		keep(c, err)
	}
	u, err := s.dial("udp", "127.0.0.1:5000", "127.0.0.1:53")
	keep(u, err)

	for _, local := range []string{"127.0.0.1:5001", "127.0.0.1:5002"} {
		c, err := s.dial("tcp", local, "127.0.0.1:8080")
		keep(c, err)
		p, err := l.Accept()
		keep(p, err)
		if local == "127.0.0.1:5001" {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func linuxStack() stack {
	lc := net.ListenConfig{KeepAlive: -1}
	return stack{
		listen:       func(n, a string) (net.Listener, error) { return lc.Listen(context.Background(), n, a) },
		listenPacket: net.ListenPacket,
		dial: func(n, local, remote string) (net.Conn, error) {
			d := net.Dialer{KeepAlive: -1}
			if n == "udp" {
				d.LocalAddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local))
			} else {
				d.LocalAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(local))
			}
			return d.Dial(n, remote)
		},
	}
}

func knitStack(k *knit.Kernel) stack {
	return stack{listen: k.Listen, listenPacket: k.ListenPacket, dial: func(n, local, remote string) (net.Conn, error) {
		d := socket.Dialer{Sockets: k.Sockets, Local: netip.MustParseAddrPort(local)}
		return d.DialContext(context.Background(), n, remote)
	}}
}

// TestSSAsLinux opens the same sockets in a network namespace and on a kernel, and
// compares what ss says of them.
func TestSSAsLinux(t *testing.T) {
	if _, err := exec.LookPath("ss"); err != nil {
		t.Skip("no ss on this machine: ", err)
	}
	commands := readSS(t)
	linux := ssOnLinux(t)
	k, s := newKernel(t, "tcp", "udp")
	knitStack(k).open(t)
	for i, line := range commands {
		args, ours, _ := strings.Cut(line, "  => ")
		got, want := run(s, strings.Fields("ss "+args)...), linux[i]
		if got.Status != want.Status {
			t.Errorf("ss %s: status %d, Linux %d\n%s%s", args, got.Status, want.Status, got.Stderr, want.Stderr)
			continue
		}
		if g, w := rowsOf(got.Stdout), rowsOf(want.Stdout); g != w {
			t.Errorf("ss %s\n--- knit\n%s--- Linux\n%s", args, g, w)
		}
		w, _, _ := strings.Cut(oneLine(want.Stderr), "|Usage: ss")
		if ours != "" {
			w = ours
		}
		if g := oneLine(got.Stderr); got.Status != 0 && !strings.HasPrefix(g, w) {
			t.Errorf("ss %s\n--- knit\n%s\n--- Linux\n%s", args, g, w)
		}
	}
}

func readSS(t *testing.T) (lines []string) {
	text, err := os.ReadFile("testdata/ss.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// rowsOf sorts the rows, whose order is that of a hash table.
func rowsOf(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool {
		return l == "" || strings.HasPrefix(l, "nl ")
	})
	head := 0
	for head < len(lines) && strings.Contains(lines[head], "Peer Address:Port") {
		head++
	}
	slices.Sort(lines[head:])
	return strings.Join(lines, "\n") + "\n"
}

const childFile = "KNIT_TEST_SS_FILE"

// ssOnLinux runs TestSSChild in a network namespace.
func ssOnLinux(t *testing.T) (results []result) {
	t.Helper()
	file := t.TempDir() + "/out"
	cmd := exec.Command(os.Args[0], "-test.run=^TestSSChild$")
	cmd.Env = append(os.Environ(), childFile+"="+file)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	text, fileErr := os.ReadFile(file)
	if fileErr != nil {
		t.Skipf("no network namespace for this user on this machine: %v\n%s", err, out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	return results
}

// TestSSChild is TestSSAsLinux's other half, in the namespace.
func TestSSChild(t *testing.T) {
	file := os.Getenv(childFile)
	if file == "" {
		t.Skip("this is the child of TestSSAsLinux")
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("lo: %v: %s", err, out) // without the file it is skipped
	}
	linuxStack().open(t)
	var results []result
	for _, line := range readSS(t) {
		args, _, _ := strings.Cut(line, "  => ")
		var out, errs bytes.Buffer
		cmd := exec.Command("ss", strings.Fields(args)...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		results = append(results, result{out.String(), errs.String(), cmd.ProcessState.ExitCode()})
	}
	text, err := json.Marshal(results)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSSKill: the owner of a killed connection hears of it, and so does the peer.
func TestSSKill(t *testing.T) {
	k, s := newKernel(t, "tcp")
	l, err := k.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := k.Dial("tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if r := run(s, "ss", "-tKnH", "dport", "=", ":8080"); r.Status != 0 || strings.Count(r.Stdout, "ESTAB") != 1 {
		t.Fatalf("ss -K: %+v", r)
	}
	for _, end := range []struct {
		conn net.Conn
		want syscall.Errno
	}{{c, syscall.ECONNABORTED}, {p, syscall.ECONNRESET}} {
		end.conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := end.conn.Read(make([]byte, 1)); !isErrno(err, end.want) {
			t.Errorf("read from %v: %v, want %v", end.conn.LocalAddr(), err, end.want)
		}
	}
	if r := run(s, "ss", "-tnH"); r.Stdout != "" {
		t.Errorf("left:\n%s", r.Stdout)
	}
	if r := run(s, "ss", "-taKnH", "sport", "=", ":8080"); strings.Count(r.Stdout, "LISTEN") != 1 {
		t.Errorf("listener not killed: %+v", r)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("a killed listener accepts")
	}
}

func isErrno(err error, want syscall.Errno) bool {
	op, ok := err.(*net.OpError)
	if !ok {
		return false
	}
	sys, ok := op.Err.(*os.SyscallError)
	return ok && sys.Err == want || op.Err == want
}

// TestSSUsersAndMarks: ss -e shows whose a socket is and its mark where Linux's does, and
// /proc/net whose it is.
func TestSSUsersAndMarks(t *testing.T) {
	k, s := newKernel(t, "tcp", "udp")
	l, err := k.Sockets.ListenStream("tcp", "127.0.0.1:8080", transport.StreamOptions{UID: 1000, Mark: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := k.Sockets.ListenDatagram("udp4", "127.0.0.1:53", transport.DatagramOptions{UID: 1001, Mark: 0x1ff})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	r := run(s, "ss", "-tulneH")
	for _, want := range []*regexp.Regexp{
		regexp.MustCompile(`8080 .* uid:1000 ino:\d+ sk:[0-9a-f]+ fwmark:0x7\s`), regexp.MustCompile(`53 .* uid:1001 ino:\d+ sk:[0-9a-f]+ fwmark:0x1ff\s`),
	} {
		if !want.MatchString(r.Stdout) {
			t.Errorf("no %v in\n%s", want, r.Stdout)
		}
	}
	if r := run(s, "cat", "/proc/net/udp"); r.Status == 0 && !strings.Contains(r.Stdout, " 1001 ") {
		t.Errorf("/proc/net/udp:\n%s", r.Stdout)
	}
}
