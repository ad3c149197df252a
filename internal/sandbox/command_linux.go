package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// runCommand starts the command, sends it the early signals, tells the
// parent, and returns when the command and all its descendants are gone.
func (c Config) runCommand(control *control, early []syscall.Signal) error {
	pid, failed := c.start()
	if failed != nil {
		return control.write(message{Failed: failed})
	}
	command := &command{pid: pid}
	if err := control.write(message{Started: true}); err != nil {
		command.signal(unix.SIGKILL)
	}
	for _, sig := range early {
		command.signal(sig)
	}
	go command.obey(control)
	status := command.wait()
	// Before the message: when Wait returns, nothing is left.
	killDescendants()
	return control.write(message{Exit: &status})
}

// start executes the command as a child of the calling thread.
func (c Config) start() (pid int, failed *failure) {
	if len(c.Command) == 0 {
		return 0, &failure{Text: "no command", Status: 127}
	}
	if c.Dir != "" {
		if err := os.Chdir(c.Dir); err != nil {
			return 0, newFailure(err)
		}
	}
	if err := dropInheritable(); err != nil {
		return 0, newFailure(fmt.Errorf("drop capabilities: %w", err))
	}
	name := c.Command[0]
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return 0, commandFailure(name, err)
	}
	pid, err = syscall.ForkExec(path, c.Command, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		// If the child is killed, nothing is there to clean up after the
		// command.
		Sys: &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL},
	})
	if err != nil {
		return 0, commandFailure(name, err)
	}
	return pid, nil
}

// commandFailure gives a shell's words and status (POSIX XCU 2.8.2).
func commandFailure(name string, err error) *failure {
	switch {
	case errors.Is(err, exec.ErrNotFound) || name == "":
		return &failure{Text: name + ": command not found", Status: 127}
	case errors.Is(err, fs.ErrNotExist):
		return &failure{Text: name + ": No such file or directory", Status: 127}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return &failure{Text: fmt.Sprintf("%s: cannot execute: %v", name, err), Status: 126}
}

// A command is the process that the sandbox is for.
type command struct {
	pid int

	state struct {
		sync.Mutex
		reaped bool // the pid may be another's
	}
}

// obey passes the parent's signals on; when the parent is gone it kills the
// command.
func (p *command) obey(control *control) {
	for {
		m, _, err := control.read()
		if err != nil {
			p.signal(unix.SIGKILL)
			return
		}
		if m.Signal != 0 {
			p.signal(m.Signal)
		}
	}
}

func (p *command) signal(sig syscall.Signal) {
	p.state.Lock()
	defer p.state.Unlock()
	if !p.state.reaped {
		_ = unix.Kill(p.pid, sig) // it may be a zombie
	}
}

// wait reaps whatever ends until the command does.
func (p *command) wait() syscall.WaitStatus {
	for {
		// First without reaping, so that signal never hits a reused pid.
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if status, ended := p.reap(); ended {
			return status
		}
	}
}

// reap reaps one process that has ended, if there is one.
func (p *command) reap() (status syscall.WaitStatus, ended bool) {
	p.state.Lock()
	defer p.state.Unlock()
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err == nil && pid == p.pid {
		p.state.reaped = true
		return status, true
	}
	return 0, false
}

// killDescendants kills and reaps the child's children until none is left:
// orphans become its children, since it is a subreaper.
func killDescendants() {
	for {
		for _, pid := range children() {
			_ = unix.Kill(pid, unix.SIGKILL) // unreaped, so the pid is right
		}
		_, err := syscall.Wait4(-1, nil, 0, nil)
		if err != nil && err != syscall.EINTR {
			return // ECHILD
		}
	}
}

// children returns the processes whose parent is this one.
func children() []int {
	entries, _ := os.ReadDir("/proc")
	own := os.Getpid()
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err == nil && parentOf(string(stat)) == own {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parentOf returns the fourth field of /proc/PID/stat (proc(5)), or zero. The
// second is the program's name in parentheses, which may hold anything.
func parentOf(stat string) int {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}
