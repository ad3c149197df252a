package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// self is the running program, reachable whatever happened to its path.
const self = "/proc/self/exe"

// A Sandbox is a set of namespaces with a device and a command in it. Exec
// and Wait belong to one goroutine; Signal and Close may be called by any.
type Sandbox struct {
	control *control
	process *os.Process
	ready   readiness

	// reaped is closed when the child, and so all that ran inside, is gone.
	reaped chan struct{}

	close  sync.Once
	closed chan struct{}
}

// Start makes the sandbox that c describes. Its command waits for Exec. An
// error is one line; where the machine forbids namespaces it is a
// ForbiddenError. The caller must Close the sandbox.
func Start(c Config) (*Sandbox, error) {
	if isChild() {
		return nil, errors.New("sandbox: main must call MaybeChild before anything else")
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	var first error
	for _, identity := range c.identities() {
		s, err := c.launch(identity)
		if err == nil {
			return s, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, explain(first, os.DirFS("/"))
}

// launch makes the sandbox in one way.
func (c Config) launch(identity *syscall.SysProcAttr) (*Sandbox, error) {
	parent, child, err := controlPair()
	if err != nil {
		return nil, err
	}
	s := &Sandbox{control: parent, reaped: make(chan struct{}), closed: make(chan struct{})}
	cmd, err := c.childCommand(identity, child)
	if err == nil {
		err = s.startChild(cmd)
		closeAll(cmd.ExtraFiles) // child too
	}
	if err != nil {
		child.Close()
		parent.conn.Close()
		return nil, fmt.Errorf("make namespaces: %w", err)
	}
	if err := s.awaitReady(c); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (c Config) childCommand(identity *syscall.SysProcAttr, control *os.File) (*exec.Cmd, error) {
	files, fd, err := handOver(control)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path:        self,
		Args:        []string{os.Args[0], childArg, strconv.Itoa(fd)},
		Env:         c.Env,
		Stdin:       os.Stdin,
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
		ExtraFiles:  files,
		SysProcAttr: identity,
	}
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	}
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	return cmd, nil
}

// startChild starts the child and a goroutine that reaps it.
func (s *Sandbox) startChild(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		// The parent-death signal is sent when this thread ends, so it must
		// live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			s.process = cmd.Process
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // the command's status comes over the socket
			close(s.reaped)
		}
	}()
	return <-started
}

// awaitReady sends the configuration and takes over the device.
func (s *Sandbox) awaitReady(c Config) error {
	// A child that fails at once may be gone before it has read this; its
	// own message says more than the broken pipe.
	writeErr := s.control.write(message{Setup: &c})
	m, files, err := s.control.read()
	switch {
	case err == nil && m.Failed != nil:
		return m.Failed
	case err == nil && m.Ready != nil:
		s.ready = *m.Ready
		s.ready.Device.Files = files
		return nil
	case errors.Is(err, io.EOF):
		return errors.New("the sandbox's child ended before the sandbox stood: main must call MaybeChild")
	}
	return fmt.Errorf("set up sandbox: %w", errors.Join(writeErr, err))
}

// Device returns the caller's end of the command's network device. It does
// not change.
func (s *Sandbox) Device() Device { return s.ready.Device }

// Notes returns what is other than was asked for but need not concern the
// command, one line each: why another kind of device was chosen.
func (s *Sandbox) Notes() []string { return s.ready.Notes }

// Warnings returns what the command will miss, one line each: a file of the
// resolver that could not be replaced.
func (s *Sandbox) Warnings() []string { return s.ready.Warnings }

// Exec starts the command. The error is a *CommandError if there is no such
// command.
func (s *Sandbox) Exec() error {
	if err := s.control.write(message{Exec: true}); err != nil {
		return s.lost(err)
	}
	m, _, err := s.control.read()
	switch {
	case err != nil:
		return s.lost(err)
	case m.Failed != nil && m.Failed.Status != 0:
		return &CommandError{Status: m.Failed.Status, Text: m.Failed.Text}
	case m.Failed != nil:
		return m.Failed
	}
	return nil
}

// Signal sends sig to the command, if it still runs.
func (s *Sandbox) Signal(sig os.Signal) error {
	n, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal %v: %w", sig, syscall.EINVAL)
	}
	if err := s.control.write(message{Signal: n}); err != nil {
		return s.lost(err)
	}
	return nil
}

// Wait waits until the command has ended and everything that it left behind
// is gone. It returns the exit status as a shell does: 128 and the signal's
// number for a command that a signal killed. After Close it returns
// ErrClosed.
func (s *Sandbox) Wait() (int, error) {
	m, _, err := s.control.read()
	if err != nil {
		return StatusFailed, s.lost(err)
	}
	<-s.reaped
	switch {
	case m.Failed != nil:
		return StatusFailed, m.Failed
	case m.Exit == nil:
		return StatusFailed, errors.New("sandbox: unexpected message from the child")
	case m.Exit.Signaled():
		return 128 + int(m.Exit.Signal()), nil
	}
	return m.Exit.ExitStatus(), nil
}

// lost says why the child no longer answers.
func (s *Sandbox) lost(err error) error {
	select {
	case <-s.closed:
		return ErrClosed
	default:
		return fmt.Errorf("the sandbox's child was killed: %w", err)
	}
}

// Close kills the command and all that runs inside, waits until they are
// gone and closes the device. It may be called again.
func (s *Sandbox) Close() error {
	s.close.Do(func() {
		close(s.closed)
		s.control.conn.Close()
		// Someone may have stopped the child with its process group.
		_ = s.process.Signal(syscall.SIGCONT)
	})
	<-s.reaped
	for _, f := range s.ready.Device.Files {
		f.Close()
	}
	return nil
}
