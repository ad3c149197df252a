package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

// TestInterruptedStream: Ctrl-C ends dmesg -w, quietly.
func TestInterruptedStream(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "ctl.sock")
	knit := func(args ...string) *exec.Cmd {
		cmd := exec.Command("knit", args...)
		cmd.Env = append(os.Environ(), "KNIT_SOCKET="+socket)
		return cmd
	}
	for _, args := range [][]string{{"up"}, {"modprobe", "hello"}} {
		if out, err := knit(args...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	defer knit("down").Run()
	cmd := knit("dmesg", "-w")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || said.Len() > 0 {
		t.Errorf("%v, said %q", err, said.String())
	}
}
