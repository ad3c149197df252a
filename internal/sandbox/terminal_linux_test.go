package sandbox

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is the outer end of a pseudo-terminal on which a program runs,
// as its session's leader.
type terminal struct {
	*os.File
	t    *testing.T
	seen bytes.Buffer
}

// onTerminal starts a program on a terminal of its own.
func onTerminal(t *testing.T, u user, command ...string) (*program, *terminal) {
	t.Helper()
	outer, inner := pty(t)
	p := newProgram(t, u, task{Config: Config{Command: command}})
	p.Env = append(p.Env, "PS1=prompt> ", "ENV=", "TERM=dumb")
	p.Stdin, p.Stdout, p.Stderr = inner, inner, inner
	p.SysProcAttr.Setsid, p.SysProcAttr.Setctty = true, true
	p.start(t)
	inner.Close()
	return p, &terminal{File: outer, t: t}
}

// onShell starts an interactive shell on a terminal of its own, in which $PROGRAM
// is the program.
func onShell(t *testing.T, command ...string) (*program, *terminal) {
	t.Helper()
	outer, inner := pty(t)
	p := newProgram(t, users()[0], task{Config: Config{Command: command}})
	p.Path, p.Args = "/bin/sh", []string{"sh", "-i"}
	p.Env = append(p.Env, "PS1=prompt> ", "ENV=", "TERM=dumb", "PROGRAM="+executable(t))
	p.Stdin, p.Stdout, p.Stderr = inner, inner, inner
	p.SysProcAttr.Setsid, p.SysProcAttr.Setctty = true, true
	p.start(t)
	inner.Close()
	term := &terminal{File: outer, t: t}
	term.expect("prompt> ")
	return p, term
}

func pty(t *testing.T) (outer, inner *os.File) {
	t.Helper()
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { outer.Close() })
	raw, err := outer.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var ioctlErr error
	raw.Control(func(fd uintptr) {
		if ioctlErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ioctlErr == nil {
			number, ioctlErr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if ioctlErr != nil {
		t.Fatal(ioctlErr)
	}
	inner, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	outer.SetReadDeadline(time.Now().Add(patience))
	return outer, inner
}

// expect reads until the terminal has shown text, and forgets what came
// before.
func (p *terminal) expect(text string) {
	p.t.Helper()
	buffer := make([]byte, 4096)
	for {
		if i := bytes.Index(p.seen.Bytes(), []byte(text)); i >= 0 {
			p.seen.Next(i + len(text))
			return
		}
		n, err := p.Read(buffer)
		p.seen.Write(buffer[:n])
		if err != nil {
			p.t.Fatalf("terminal shows %q, want %q: %v", p.seen.String(), text, err)
		}
	}
}

func (p *terminal) press(keys string) {
	p.t.Helper()
	if _, err := p.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

// TestInterruptGoesToTheCommand: neither the program nor the sandbox's child
// may die of a Ctrl-C that the command handles.
func TestInterruptGoesToTheCommand(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		p, term := onTerminal(t, u, untilSignal("INT")...)
		term.expect("ready")
		term.press(ctrlC)
		term.expect("got INT")
		if status, r := p.end(t); status != 3 || r.Err != "" {
			t.Errorf("%s: status %d, error %q, want 3", u.name, status, r.Err)
		}
	}
}

func TestInterruptKillsTheCommand(t *testing.T) {
	needNamespaces(t)
	p, term := onTerminal(t, users()[0], "sh", "-c", "echo ready; exec sleep 1000")
	term.expect("ready")
	term.press(ctrlC)
	if status, r := p.end(t); status != 128+2 || r.Err != "" {
		t.Errorf("status %d, error %q, want 130", status, r.Err)
	}
}

// TestInterruptInBackground: an interrupt that reaches a program in the background is
// not the keyboard's, and means the command.
func TestInterruptInBackground(t *testing.T) {
	needNamespaces(t)
	p, term := onShell(t, untilSignal("INT")...)
	term.press("$PROGRAM & P=$!\r")
	term.expect("ready")
	term.press("kill -INT $P\r")
	term.expect("got INT")
	term.press("wait $P; exit $?\r")
	if status, r := p.end(t); status != 3 || r.Err != "" {
		t.Errorf("status %d, error %q, want 3", status, r.Err)
	}
}

// TestJobControlInside runs an interactive shell, stops a job, continues it
// and interrupts it. A shell without job control would not say Stopped.
func TestJobControlInside(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		p, term := onTerminal(t, u, "sh", "-i")
		term.expect("prompt> ")
		// Only a job in the foreground can answer.
		term.press("sed -u s/question/answer/\r")
		term.press("first question\r")
		term.expect("first answer")
		term.press(ctrlZ)
		term.expect("Stopped")
		term.expect("prompt> ")
		term.press("fg\r")
		term.press("second question\r")
		term.expect("second answer")
		term.press(ctrlC)
		term.expect("prompt> ")
		term.press("exit 9\r")
		if status, r := p.end(t); status != 9 || r.Err != "" {
			t.Errorf("%s: status %d, error %q, want 9", u.name, status, r.Err)
		}
	}
}

// sayContinued does not read from the terminal: the shell outside reports the
// program as stopped when the command may still be about to, and a reader
// would take what is typed for the shell.
const sayContinued = "trap 'echo continued' CONT; echo ready; while :; do sleep 0.02; done"

// TestJobControlOutside stops the program itself from the shell that started
// it: the command stops and goes on with it.
func TestJobControlOutside(t *testing.T) {
	needNamespaces(t)
	p, term := onShell(t, "sh", "-c", sayContinued)
	term.press("$PROGRAM\r")
	term.expect("ready")
	term.press(ctrlZ)
	term.expect("Stopped")
	term.expect("prompt> ")
	term.press("fg\r")
	term.expect("continued")
	term.press(ctrlC)
	term.expect("prompt> ")
	term.press("exit $?\r")
	if status, r := p.end(t); status != 128+2 || r.Err != "" {
		t.Errorf("status %d, error %q, want 130", status, r.Err)
	}
}

// executable returns the path of the test's binary.
func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
