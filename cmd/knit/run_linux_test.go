package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the user that has no rights.
const nobody = 65534

// A user is who runs a test's program.
type user struct {
	name string
	cred *syscall.Credential // nil: who runs the test
}

// users returns who can run programs here: the caller, and nobody if the caller is
// root.
func users() []user {
	us := []user{{name: "self"}}
	if os.Geteuid() == 0 {
		us = append(us, user{"nobody", &syscall.Credential{Uid: nobody, Gid: nobody}})
	}
	return us
}

// needNamespaces skips the test where the machine forbids what it is about, and says
// what that is.
func needNamespaces(t *testing.T) {
	t.Helper()
	out, err := exec.Command(program(t, "unshare"), "--user", "--map-root-user", "--net", "--mount", "true").CombinedOutput()
	if err != nil {
		t.Skipf("this machine has no user namespaces: %v: %s", err, out)
	}
}

// knitRun returns the command `knit run ARGS...` of a user, in a folder that the
// user can write to.
func knitRun(t *testing.T, u user, args ...string) *exec.Cmd {
	t.Helper()
	knit, err := exec.LookPath("knit")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "knit-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// The test's own folder may be closed to others.
	self := filepath.Join(dir, "knit")
	if b, err := os.ReadFile(knit); err != nil || os.WriteFile(self, b, 0o755) != nil {
		t.Fatalf("copying knit: %v", err)
	}
	cmd := exec.Command(self, append([]string{"run"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	if u.cred != nil {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u.cred}
	}
	return cmd
}

// program returns the path of a program that the test needs.
func program(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("this machine has no %s", name)
	}
	return p
}

// Sizes of transfers, in bytes.
const (
	large = 100 << 20
	small = 8 << 20
)

// stream is the content of a transfer.
func stream(size int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{7}), size) }

// fileServer is an HTTP server on the host's loopback of a family: GET /SIZE gives a
// stream, PUT answers with the checksum of what came.
func fileServer(t *testing.T, network, address string) (port string) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("no server on %s: %v", address, err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			size, _ := strconv.ParseInt(r.URL.Path[1:], 10, 64)
			w.Header().Set("Content-Length", fmt.Sprint(size))
			io.Copy(w, stream(size))
			return
		}
		fmt.Fprintln(w, sum(r.Body))
	})}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

func sum(r io.Reader) string {
	h := sha256.New()
	io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil))
}

// TestRunTraffic: 100 MB go in and out again with the right checksum, over both IP
// versions, whoever runs it and whatever the interface is.
func TestRunTraffic(t *testing.T) {
	needNamespaces(t)
	curl := program(t, "curl")
	ports := map[string]string{
		"10.0.2.2":    fileServer(t, "tcp4", "127.0.0.1:0"),
		"[fd00:2::2]": fileServer(t, "tcp6", "[::1]:0"),
	}
	for _, u := range users() {
		for name, flags := range map[string][]string{"usual": nil, "tap": {"--tap", "--queues=2"}, "no TUN": {"--tun-path=/nonexistent/tun"}} {
			t.Run(u.name+"/"+name, func(t *testing.T) {
				for host, port := range ports {
					size := int64(small)
					if u.cred == nil && name == "usual" {
						size = large
					}
					want := sum(stream(size))
					url := "http://" + host + ":" + port + "/"
					pipe := fmt.Sprintf("'%s' -sS %s%d | '%s' -sS -T - %s", curl, url, size, curl, url)
					cmd := knitRun(t, u, append(flags, "--", "sh", "-c", pipe)...)
					var stderr bytes.Buffer
					cmd.Stderr = &stderr
					out, err := cmd.Output()
					if err != nil || strings.TrimSpace(string(out)) != want || stderr.Len() > 0 {
						t.Errorf("%s: %v, got %q, said %q; want %s", host, err, out, stderr.String(), want)
					}
				}
			})
		}
	}
}

// TestRunRefused: a port on which nobody listens is refused at once.
func TestRunRefused(t *testing.T) {
	needNamespaces(t)
	curl := program(t, "curl")
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // refuses from now on
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	const refused, timeout = 7, 28 // curl's exit status
	for flag, want := range map[string]int{"--verbose=false": refused, "--no-host-loopback": refused, "--no-uplink": refused} {
		cmd := knitRun(t, user{}, flag, "--", curl, "-sS", "--max-time", "20", "http://10.0.2.2:"+port)
		out, _ := cmd.CombinedOutput()
		if s := cmd.ProcessState.ExitCode(); s != want {
			t.Errorf("%s: exit status %d, want %d (%d is a timeout): %s", flag, s, want, timeout, out)
		}
	}
}

// TestRunIsland: on an island what is elsewhere is unreachable at once, in both IP
// versions.
func TestRunIsland(t *testing.T) {
	needNamespaces(t)
	curl := program(t, "curl")
	const failed, timeout = 7, 28 // curl's exit status
	for _, host := range []string{"192.0.2.1", "[2001:db8::1]"} {
		cmd := knitRun(t, user{}, "--no-uplink", "--", curl, "-sS", "--max-time", "20", "http://"+host)
		out, _ := cmd.CombinedOutput()
		if s := cmd.ProcessState.ExitCode(); s != failed {
			t.Errorf("%s: exit status %d, want %d (%d is a timeout): %s", host, s, failed, timeout, out)
		}
	}
}

// TestRunNames: names are answered by the host's nameserver, to what resolves with
// libc; datagrams pass to any port.
func TestRunNames(t *testing.T) {
	needNamespaces(t)
	getent := program(t, "getent")
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			server.WriteTo(answer(b[:n]), from)
		}
	}()
	for _, u := range users() {
		cmd := knitRun(t, u, "--no-uplink", "--module", "uplink dns=10.0.2.3,fd00:2::3 resolv_conf=resolv.conf", "--", getent, "ahostsv4", "www.knit.test")
		conf := "nameserver " + server.LocalAddr().String() + "\n"
		if err := os.WriteFile(filepath.Join(cmd.Dir, "resolv.conf"), []byte(conf), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "192.0.2.42 ") {
			t.Errorf("%s: %v: %s", u.name, err, out)
		}
	}
}

// answer says 192.0.2.42 to a question about an A record, and nothing to others.
func answer(q []byte) []byte {
	if len(q) < 17 {
		return nil
	}
	end := bytes.IndexByte(q[12:], 0) + 12 + 5
	b := append([]byte(nil), q[:end]...)
	b[2], b[3] = b[2]|0x80, 0x80
	copy(b[6:12], make([]byte, 6))
	if q[end-3] != 1 {
		return b
	}
	b[7] = 1
	return append(b, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 42)
}

// TestRunStatus: the exit status is the command's, as a shell would have it.
func TestRunStatus(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		for _, c := range []struct {
			args   []string
			status int
			stderr string
		}{
			{[]string{"--", "true"}, 0, ""},
			{[]string{"sh", "-c", "exit 7"}, 7, ""},
			{[]string{"--", "sh", "-c", "kill -TERM $$"}, 128 + 15, ""},
			{[]string{"--", "nosuchprogram"}, 127, "knit: nosuchprogram: command not found\n"},
			{[]string{"--", "/dev/null"}, 126, "knit: /dev/null: cannot execute: permission denied\n"},
			{[]string{"--module", "nosuch", "--", "true"}, 125, "knit: Module nosuch not found\n"},
			{[]string{"--net", "10.0.0.0/30", "--", "true"}, 125, "knit: run: network 10.0.0.0/30: want /25 or larger\n"},
			{[]string{"--net", "ten", "--", "true"}, 125, "knit: run: network \"ten\": want an IPv4 prefix such as 10.0.2.0/24\n"},
			{[]string{"--mtu", "10", "--", "true"}, 125, "knit: MTU 10: want 68 to 65535\n"},
			{[]string{"--boot", "nosuch", "--", "true"}, 125, "knit: open nosuch: no such file or directory\n"},
			{[]string{"--boot", "bad", "--", "true"}, 125, "bad:2:1: knit: unknown command \"nosuch\": want one of those that \"knit help\" lists\nnosuch\n^\n"},
			{[]string{"--nosuch", "--", "true"}, 125, "knit: unknown flag: --nosuch\n"},
		} {
			cmd := knitRun(t, u, c.args...)
			if err := os.WriteFile(filepath.Join(cmd.Dir, "bad"), []byte("modprobe udp\nnosuch\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			cmd.Run()
			if s := cmd.ProcessState.ExitCode(); s != c.status || stderr.String() != c.stderr {
				t.Errorf("%s: %q: exit status %d, %q; want %d, %q", u.name, c.args, s, stderr.String(), c.status, c.stderr)
			}
			if left, _ := filepath.Glob(filepath.Join(cmd.Dir, "knit-run-*")); len(left) > 0 {
				t.Errorf("%q left %v", c.args, left)
			}
		}
	}
}

// TestRunSignal: a signal to knit reaches the command, whose end is knit's.
func TestRunSignal(t *testing.T) {
	needNamespaces(t)
	cmd := knitRun(t, user{}, "--", "sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { cmd.Process.Kill() }).Stop()
	b := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, b); err != nil || string(b) != "ready\n" {
		t.Fatalf("%q, %v", b, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(out)
	cmd.Wait()
	if s := cmd.ProcessState.ExitCode(); s != 3 || string(rest) != "bye\n" {
		t.Errorf("exit status %d, said %q; want 3, bye", s, rest)
	}
}

// TestRunTools: the commands work inside by KNIT_SOCKET, also in a run inside a run,
// and outside by --socket; a boot script and modules are loaded before the command
// starts.
func TestRunTools(t *testing.T) {
	needNamespaces(t)
	cmd := knitRun(t, user{}, "--socket", "out.sock", "--module", "hello greeting=Moin port=8001", "--boot", "boot", "--no-uplink", "--no-ipv6", "--",
		"sh", "-c", "./knit lsmod | grep -q ^hello && ! ./knit lsmod | grep -q ^ip6 && ./knit dmesg && ./knit --socket out.sock dmesg && ! ./knit down")
	cmd.Env = append(cmd.Env, "KNIT_SOCKET=/nonexistent")
	if err := os.WriteFile(filepath.Join(cmd.Dir, "boot"), []byte("modprobe udp\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "hello: listening on port 8001") != 2 {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(cmd.Dir, "out.sock")); err == nil {
		t.Error("the socket is left over")
	}
}

// TestRunCapture: --pcap writes a pcapng file of what passes.
func TestRunCapture(t *testing.T) {
	needNamespaces(t)
	ping := program(t, "ping")
	cmd := knitRun(t, user{}, "--no-uplink", "--pcap", "file", "--", ping, "-c1", "10.0.2.2")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(cmd.Dir, "file"))
	if err != nil || !bytes.HasPrefix(b, []byte{0x0a, 0x0d, 0x0d, 0x0a}) || !bytes.Contains(b, []byte{10, 0, 2, 100, 10, 0, 2, 2, 8, 0}) {
		t.Errorf("%d bytes, %v: no pcapng file with the echo request", len(b), err)
	}
}
