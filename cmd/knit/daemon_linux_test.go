package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestForeground: under a service manager the daemon says when it is ready, and
// a signal ends it in order with status 0.
func TestForeground(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		dir := t.TempDir()
		socket := filepath.Join(dir, "run", "ctl.sock")
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer manager.Close()
		cmd := exec.Command("knit", "up", "--foreground")
		cmd.Env = append(os.Environ(), "KNIT_SOCKET="+socket, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		manager.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 64)
		if n, err := manager.Read(b); err != nil || string(b[:n]) != "READY=1" {
			t.Errorf("the service manager heard %q, %v", b[:n], err)
		}
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || said.Len() > 0 {
			t.Errorf("%v: %v, said %q", s, err, said.String())
		}
		if left, _ := os.ReadDir(filepath.Dir(socket)); len(left) > 0 {
			t.Errorf("%v: left over: %v", s, left)
		}
	}
}

// knitAt returns a maker of commands that talk to the daemon at socket.
func knitAt(socket string) func(args ...string) *exec.Cmd {
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("knit", args...)
		cmd.Env = append(os.Environ(), "KNIT_SOCKET="+socket)
		return cmd
	}
}

// startDaemon runs a daemon with the module hello and returns the maker of commands
// for it.
func startDaemon(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	knit := knitAt(filepath.Join(t.TempDir(), "ctl.sock"))
	for _, args := range [][]string{{"up"}, {"modprobe", "hello"}} {
		if out, err := knit(args...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() { knit("down").Run() })
	return knit
}

// startTalking starts cmd and waits until it has written the first byte to out, a
// pipe of its.
func startTalking(t *testing.T, cmd *exec.Cmd, out io.Reader) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// TestInterruptedStream: Ctrl-C ends dmesg -w, quietly.
func TestInterruptedStream(t *testing.T) {
	cmd := startDaemon(t)("dmesg", "-w")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	startTalking(t, cmd, out)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || said.Len() > 0 {
		t.Errorf("%v, said %q", err, said.String())
	}
}

// TestInterruptedNc: Ctrl-C ends nc, with the status that a shell gives one that
// was interrupted, and its port is free again.
func TestInterruptedNc(t *testing.T) {
	knit := startDaemon(t)
	for range 2 {
		cmd := knit("nc", "-v", "-l", "99")
		if _, err := cmd.StdinPipe(); err != nil { // a terminal where nobody types
			t.Fatal(err)
		}
		errs, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		startTalking(t, cmd, errs)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
			t.Errorf("exit: %v, want status 130", err)
		}
		for { // the daemon hears of it a moment later
			out, err := knit("ss", "-Hltn", "sport = :99").Output()
			if err != nil {
				t.Fatal(err)
			}
			if len(out) == 0 {
				break
			}
		}
	}
}

// TestSecondInterrupt: while the daemon does not answer, a second Ctrl-C ends a
// command at once.
func TestSecondInterrupt(t *testing.T) {
	knit := startDaemon(t)
	text, err := os.ReadFile(daemonSocket(knit) + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	cmd := knit("dmesg", "-w")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	startTalking(t, cmd, out)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	for again := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-again.C:
			cmd.Process.Signal(os.Interrupt)
			continue
		case <-ended:
		}
		again.Stop()
		break
	}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGINT {
		t.Errorf("ended by %v, want signal: interrupt", cmd.ProcessState)
	}
}

func daemonSocket(knit func(...string) *exec.Cmd) string {
	env := knit().Env
	_, path, _ := strings.Cut(env[len(env)-1], "=")
	return path
}

// TestInterruptedBoot: Ctrl-C while the boot script runs ends the daemon that is not
// ready yet, too.
func TestInterruptedBoot(t *testing.T) {
	dir := t.TempDir()
	boot, socket := filepath.Join(dir, "boot"), filepath.Join(dir, "ctl.sock")
	if err := os.WriteFile(boot, []byte("modprobe hello\ndmesg -w\nmodprobe dummy\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := knitAt(socket)("up", "--boot", boot)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	startTalking(t, cmd, out)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("exit: %v, want status 130", err)
	}
	for _, path := range []string{socket, socket + ".lock"} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}
