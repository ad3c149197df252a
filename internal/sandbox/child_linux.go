package sandbox

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// childArg is the only argument of a child.
	childArg = "__sandbox-child"

	// controlFD is where a child finds its end of the control socket.
	controlFD = 3
)

func isChild() bool { return len(os.Args) == 2 && os.Args[1] == childArg }

// MaybeChild does not return if the process is the child that Start made. A
// program that uses this package calls it first thing in main, a test in
// TestMain.
func MaybeChild() {
	if !isChild() {
		return
	}
	// Namespaces, the parent-death signal and capabilities belong to threads.
	runtime.LockOSThread()
	os.Exit(childMain())
}

func childMain() int {
	unix.CloseOnExec(controlFD)
	control, err := newControl(os.NewFile(controlFD, "sandbox-control"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: internal command of knit run: %v\n", childArg, err)
		return StatusFailed
	}
	ignoreSignals()
	if err := serveParent(control); err != nil {
		// The parent may be dead, and the child then has nobody to tell.
		_ = control.write(message{Failed: newFailure(err)})
		return StatusFailed
	}
	return 0
}

// ignoreSignals keeps the child alive while the command, which is in the
// same process group, gets the keyboard's signals. They are caught, not
// ignored: a command would inherit that.
func ignoreSignals() {
	drain := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE} {
		if !signal.Ignored(sig) {
			signal.Notify(drain, sig)
		}
	}
}

func serveParent(control *control) error {
	m, _, err := control.read()
	if err != nil || m.Setup == nil {
		return err
	}
	c := *m.Setup
	if err := c.announce(control); err != nil {
		return err
	}
	early, err := awaitExec(control)
	if err != nil {
		return err
	}
	return c.runCommand(control, early)
}

// awaitExec waits for the parent's go and returns the signals that came
// before it.
func awaitExec(control *control) (early []syscall.Signal, err error) {
	for {
		m, _, err := control.read()
		if err != nil || m.Exec {
			return early, err
		}
		if m.Signal != 0 {
			early = append(early, m.Signal)
		}
	}
}

// announce sets the namespaces up and passes the device to the parent.
func (c Config) announce(control *control) error {
	// What the command leaves behind becomes the child's, to be killed.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	if c.Hostname != "" {
		if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
			return fmt.Errorf("host name %s: %w", c.Hostname, err)
		}
	}
	// First what needs nothing but a capability, so that a security module
	// that withholds it is not taken for a fault of the device.
	if err := loopbackUp(); err != nil {
		return err
	}
	device, notes, err := c.openDevice()
	if err != nil {
		return err
	}
	more, err := c.configure(&device)
	if err != nil {
		return err
	}
	files, err := c.replaceFiles()
	if err != nil {
		return err
	}
	notes = append(append(notes, more...), files...)
	err = control.write(message{Ready: &readiness{Device: device, Notes: notes}}, device.Files...)
	// The device must vanish when the parent closes it.
	for _, f := range device.Files {
		f.Close()
	}
	return err
}
