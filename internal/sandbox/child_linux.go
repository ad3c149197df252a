package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// childArg is the first argument of a child. The second is the descriptor that
// is its end of the control socket.
const childArg = "__sandbox-child"

func isChild() bool { return len(os.Args) == 3 && os.Args[1] == childArg }

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
	fd, _ := strconv.Atoi(os.Args[2]) // 0 is no socket, or fails likewise
	unix.CloseOnExec(fd)
	control, err := newControl(os.NewFile(uintptr(fd), "sandbox-control"))
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
	catch(make(chan os.Signal, 1), append(passedOn(), syscall.SIGPIPE)...)
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
	ready := readiness{Device: device, Notes: append(notes, more...), Warnings: c.replaceFiles()}
	err = control.write(message{Ready: &ready}, device.Files...)
	// The device must vanish when the parent closes it.
	for _, f := range device.Files {
		f.Close()
	}
	return err
}
