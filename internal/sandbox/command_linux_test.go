package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestExitStatus(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		for _, c := range []struct {
			command []string
			status  int
			err     string
		}{
			{[]string{"true"}, 0, ""},
			{[]string{"false"}, 1, ""},
			{[]string{"sh", "-c", "exit 77"}, 77, ""},
			{[]string{"sh", "-c", "kill -9 $$"}, 128 + 9, ""},
			{[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15, ""},
			{[]string{"no-such-program"}, 127, "no-such-program: command not found"},
			{[]string{"/no/such/program"}, 127, "/no/such/program: No such file or directory"},
			{[]string{"/etc/passwd"}, 126, "/etc/passwd: cannot execute: permission denied"},
			{[]string{"/etc"}, 126, "/etc: cannot execute: is a directory"},
			{nil, 127, "no command"},
		} {
			_, status, r := run(t, u, task{Config: Config{Command: c.command}})
			if status != c.status || r.Err != c.err {
				t.Errorf("%s: %q: status %d, error %q, want %d, %q", u.name, c.command, status, r.Err, c.status, c.err)
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		for _, keep := range []bool{false, true} {
			want := 0
			if keep {
				want = u.uid
			}
			out, _ := script(t, u, Config{KeepUID: keep}, "id -u; grep CapEff /proc/self/status")
			if got, _, _ := strings.Cut(out, "\n"); got != strconv.Itoa(want) {
				t.Errorf("%s, KeepUID %v: uid %s, want %d", u.name, keep, got, want)
			}
			if none := strings.Contains(out, "CapEff:\t0000000000000000"); none != (want != 0) {
				t.Errorf("%s, KeepUID %v: capabilities\n%s", u.name, keep, out)
			}
		}
	}
}

// TestRootKeepsEveryID defends what package managers and daemons do as root:
// become another user.
func TestRootKeepsEveryID(t *testing.T) {
	needNamespaces(t)
	need(t, "setpriv")
	if os.Getuid() != 0 {
		t.Skip("only root may map other ids than its own")
	}
	out, _ := script(t, user{"root", 0}, Config{}, "setpriv --reuid 1234 --regid 1234 --clear-groups id -u")
	if out != "1234\n" {
		t.Errorf("id -u = %q, want 1234", out)
	}
}

func TestDirectory(t *testing.T) {
	needNamespaces(t)
	out, _ := script(t, users()[0], Config{Dir: "/usr"}, "pwd; ls -d bin")
	if out != "/usr\nbin\n" {
		t.Errorf("output %q", out)
	}
	_, status, r := run(t, users()[0], task{Config: Config{Dir: "/nowhere", Command: []string{"true"}}})
	if status != StatusFailed || !strings.Contains(r.Err, "/nowhere") {
		t.Errorf("status %d, error %q, want %d and the directory's name", status, r.Err, StatusFailed)
	}
}

func TestCommandSeesNoDescriptors(t *testing.T) {
	needNamespaces(t)
	const list = "ls /proc/self/fd"
	// The test itself may have been started with some.
	want, err := exec.Command("sh", "-ec", list).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users() {
		if out, _ := script(t, u, Config{}, list); out != string(want) {
			t.Errorf("%s: descriptors %q, want %q as without a sandbox", u.name, out, want)
		}
	}
}

// TestInheritedDescriptors: what the caller was given to hand on, such as make's job
// server, has its number inside too.
func TestInheritedDescriptors(t *testing.T) {
	needNamespaces(t)
	p := newProgram(t, users()[0], task{Config: Config{Command: []string{"sh", "-ec", "cat <&4; cat <&7; ! cat <&5"}}})
	text := func(s string) *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		io.WriteString(w, s)
		w.Close()
		return r
	}
	p.ExtraFiles = append(p.ExtraFiles, text("four,"), nil, nil, text("seven"))
	p.start(t)
	if status, r := p.end(t); status != 0 || p.stdout.String() != "four,seven" {
		t.Errorf("status %d, error %q, got %q\n%s", status, r.Err, &p.stdout, &p.stderr)
	}
}

// TestLeftoversDie: a daemon that the command leaves behind would hold the
// namespaces, with a network that nobody serves.
func TestLeftoversDie(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		const leave = "for i in 1 2 3; do (setsid sh -c 'sleep 1000 & wait' & ) ; done; exit 4"
		p, status, r := run(t, u, task{Config: Config{Command: []string{"sh", "-c", leave}}})
		// They hold the standard output, so end would have waited for them.
		if status != 4 || r.Err != "" {
			t.Errorf("%s: status %d, error %q, want 4\n%s", u.name, status, r.Err, &p.stderr)
		}
	}
}

// started starts a program whose command prints a line when it is ready, and
// returns the rest of its output.
func started(t *testing.T, u user, k task) (*program, *bufio.Reader) {
	t.Helper()
	p := newProgram(t, u, k)
	p.SysProcAttr.Setsid = true // no terminal, wherever the test runs
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout = w
	p.start(t)
	w.Close()
	t.Cleanup(func() { r.Close() })
	r.SetReadDeadline(time.Now().Add(patience))
	out := bufio.NewReader(r)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("first line %q, %v\nstderr %s", line, err, &p.stderr)
	}
	return p, out
}

// untilSignal is a script that waits for a signal and exits with 3.
func untilSignal(sig string) []string {
	return []string{"sh", "-c", fmt.Sprintf("trap 'echo got %[1]s; exit 3' %[1]s; echo ready; while :; do sleep 0.02; done", sig)}
}

func TestSignalsArePassedOn(t *testing.T) {
	needNamespaces(t)
	for name, sig := range map[string]syscall.Signal{
		"TERM": syscall.SIGTERM,
		"HUP":  syscall.SIGHUP,
		"USR1": syscall.SIGUSR1,
		"USR2": syscall.SIGUSR2,
		// Without a terminal, an interrupt can only be meant for the command.
		"INT": syscall.SIGINT,
	} {
		for _, u := range users() {
			p, out := started(t, u, task{Config: Config{Command: untilSignal(name)}})
			p.Process.Signal(sig)
			rest, err := io.ReadAll(out)
			if status, r := p.end(t); status != 3 || string(rest) != "got "+name+"\n" || err != nil || r.Err != "" {
				t.Errorf("%s, SIG%s: status %d, output %q, %v, error %q", u.name, name, status, rest, err, r.Err)
			}
		}
	}
}

// TestIgnoredSignalsStayIgnored defends nohup(1).
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	needNamespaces(t)
	const show = "sed -n 's/^SigIgn:.//p' /proc/self/status"
	// Signals from 32 on are the C library's own: whoever runs the tests may ignore one.
	const standard = 1<<31 - 1
	for trap, want := range map[string]uint64{"trap '' HUP INT": 3, "true": 0} {
		p := newProgram(t, users()[0], task{Config: Config{Command: []string{"sh", "-c", show}}})
		p.Path, p.Args = "/bin/sh", []string{"sh", "-c", trap + "; exec " + executable(t)}
		p.start(t)
		if status, r := p.end(t); status != 0 || r.Err != "" {
			t.Fatalf("status %d, error %q\n%s", status, r.Err, &p.stderr)
		}
		got, err := strconv.ParseUint(strings.TrimSpace(p.stdout.String()), 16, 64)
		if err != nil || got&standard != want {
			t.Errorf("after %q the command ignores %q (%v), want %#x", trap, &p.stdout, err, want)
		}
	}
}

// TestEarlySignal: a signal that comes before the command runs is not lost.
func TestEarlySignal(t *testing.T) {
	needNamespaces(t)
	s, err := Start(Config{Command: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Wait(); status != 128+15 || err != nil {
		t.Errorf("status %d, %v, want 143", status, err)
	}
}

func TestClose(t *testing.T) {
	needNamespaces(t)
	s, err := Start(Config{Command: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() {
		_, err := s.Wait()
		waited <- err
	}()
	s.Close()
	if err := <-waited; err != ErrClosed {
		t.Errorf("Wait: %v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := s.Signal(syscall.SIGTERM); err != ErrClosed {
		t.Errorf("Signal: %v, want ErrClosed", err)
	}
	for _, f := range s.Device().Files {
		if _, err := f.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("device: %v, want os.ErrClosed", err)
		}
	}
}

// TestDeathOfTheCaller: SIGKILL gives the caller no time to clean up, and yet
// nothing stays.
func TestDeathOfTheCaller(t *testing.T) {
	needNamespaces(t)
	const daemons = "(setsid sh -c 'sleep 1000 & wait' &); sleep 1000 & echo ready; wait"
	for _, u := range users() {
		p, out := started(t, u, task{Config: Config{Command: []string{"sh", "-c", daemons}}})
		p.Process.Kill()
		p.Wait()
		// The output ends when nobody is left to write.
		if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
			t.Errorf("%s: processes are left: %q, %v", u.name, rest, err)
		}
	}
}

// TestDeathOfTheChild: the sandbox's own child may be killed too.
func TestDeathOfTheChild(t *testing.T) {
	needNamespaces(t)
	p, out := started(t, users()[0], task{Config: Config{Command: []string{"sh", "-c", "echo ready; exec sleep 1000"}}})
	kids := childrenOf(t, p.Process.Pid)
	if len(kids) != 1 {
		t.Fatalf("children %v, want one", kids)
	}
	if err := unix.Kill(kids[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("the command is left: %q, %v", rest, err)
	}
	if status, r := p.end(t); status != StatusFailed || !strings.Contains(r.Err, "child was killed") {
		t.Errorf("status %d, error %q", status, r.Err)
	}
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Skipf("ps: %v", err)
	}
	var pids []int
	for _, f := range strings.Fields(string(out)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, n)
	}
	return pids
}

func TestCancel(t *testing.T) {
	needNamespaces(t)
	c := island()
	c.Command = []string{"sh", "-c", "ping -c1 -W1 10.0.2.2 >/dev/null; exec sleep 1000"}
	need(t, "ping")
	_, status, r := run(t, users()[0], task{Config: c, Cancel: true})
	if status != StatusFailed || r.Err != "context canceled" {
		t.Errorf("status %d, error %q", status, r.Err)
	}
}

func TestParentOf(t *testing.T) {
	for stat, want := range map[string]int{
		"12 (sh) S 7 12 12 0":         7,
		"12 (a) b) (S 3) R 9 1":       9,
		"12 (evil\n) S 1) S 42 1 1 0": 42,
		"12 (sh)":                     0,
		"":                            0,
	} {
		if got := parentOf(stat); got != want {
			t.Errorf("parentOf(%q) = %d, want %d", stat, got, want)
		}
	}
}
