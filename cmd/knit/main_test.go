package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
)

// noRaceSleep keeps programs built with the race detector from sleeping a second
// before they end.
const noRaceSleep = "atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", noRaceSleep)
	testscript.Main(m, map[string]func(){"knit": main})
}

// TestScript runs the scripts in testdata, each with a control socket of its own.
// At a script's end its daemon is ended, and must leave no file behind.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			socket := filepath.Join(env.WorkDir, "run", "ctl.sock")
			env.Setenv("KNIT_SOCKET", socket)
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", noRaceSleep)
			env.Defer(func() { endDaemon(t, socket) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  exitStatus,
			"signal":  signalTo,
			"stderr=": stderrIs,
			"stdout=": stdoutIs,
		},
	})
}

// exitStatus is `status N command...`: the exit status must be N.
func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// stderrIs is `stderr= TEXT...`: standard error has these lines and no more.
func stderrIs(ts *testscript.TestScript, _ bool, args []string) {
	is(ts, "stderr", args)
}

// stdoutIs is `stdout= TEXT...`, likewise.
func stdoutIs(ts *testscript.TestScript, _ bool, args []string) {
	is(ts, "stdout", args)
}

func is(ts *testscript.TestScript, stream string, lines []string) {
	want := ""
	if len(lines) > 0 {
		want = strings.Join(lines, "\n") + "\n"
	}
	if got := ts.ReadFile(stream); got != want {
		ts.Fatalf("%s is\n%swant\n%s", stream, got, want)
	}
}

// signalTo is `signal SIGNAL`: it sends a signal to the daemon and waits for its end.
func signalTo(ts *testscript.TestScript, _ bool, args []string) {
	socket := ts.Getenv("KNIT_SOCKET")
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	signalDaemon(ts.Fatalf, socket, signals[args[0]])
}

func signalDaemon(fatal func(string, ...any), socket string, s syscall.Signal) {
	text, err := os.ReadFile(socket + ".lock")
	if err != nil {
		fatal("no daemon: %v", err)
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		fatal("lock file: %v", err)
		return
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		fatal("kill %d: %v", pid, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.Wait(ctx, socket); err != nil {
		fatal("the daemon does not end: %v", err)
	}
}

// endDaemon ends what a script has left running.
func endDaemon(t *testing.T, socket string) {
	if _, err := os.Stat(socket + ".lock"); err != nil {
		return
	}
	signalDaemon(t.Errorf, socket, syscall.SIGTERM)
	if left, _ := os.ReadDir(filepath.Dir(socket)); len(left) > 0 {
		t.Errorf("a daemon that was ended left %v", left)
	}
}

// TestMultiCall: a link with the name of a command is that command.
func TestMultiCall(t *testing.T) {
	t.Setenv("KNIT_SOCKET", filepath.Join(t.TempDir(), "none"))
	var out bytes.Buffer
	s := run(&control.Console{Stdout: &out}, []string{"/usr/sbin/modinfo", "-F", "license", "hello"})
	if s != 0 || out.String() != "Apache-2.0\n" {
		t.Errorf("%d: %s", s, &out)
	}
}
