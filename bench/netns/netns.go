// Package netns keeps the traffic of the benchmarks inside network namespaces
// that they made themselves.
package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mark is the environment variable by which a process knows that Isolate put it
// into a namespace of its own.
const mark = "KNIT_BENCH_NETNS"

// Isolate makes cmd start in a fresh network namespace, and in a user namespace
// where it is root if this process is not. Call it before cmd.Start.
func Isolate(cmd *exec.Cmd) {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, mark+"=1")
}

// Inside reports whether this process was started by a command that Isolate
// prepared.
func Inside() bool { return os.Getenv(mark) != "" }

// Allowed returns nil if this machine lets this user make network namespaces,
// else the reason.
func Allowed() error {
	cmd := exec.Command("true")
	Isolate(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("network namespaces are closed to this user: %w", err)
	}
	return nil
}

// Up brings the loopback device of the calling thread's namespace up.
func Up() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	return netlink.LinkSetUp(lo)
}

// An NS is a network namespace beside that of the process. It lives until
// Close, or until the last socket in it is closed.
type NS struct {
	work chan func()
	fd   int
}

// New makes a network namespace with its loopback device up.
func New() (*NS, error) {
	if !Inside() {
		return nil, errors.New("this process was not started in a namespace of its own")
	}
	n := &NS{work: make(chan func()), fd: -1}
	ready := make(chan error)
	go n.serve(ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return n, nil
}

// serve owns a thread that is in the namespace. It never unlocks the thread, so
// that the runtime ends it and gives it to nobody else.
func (n *NS) serve(ready chan<- error) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		ready <- fmt.Errorf("make a network namespace: %w", err)
		return
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		ready <- fmt.Errorf("open the network namespace: %w", err)
		return
	}
	defer unix.Close(fd)
	n.fd = fd
	err = Up()
	ready <- err
	if err != nil {
		return
	}
	for f := range n.work {
		f()
	}
}

// Do runs f on a thread that is in the namespace and returns what f returned.
// Sockets that f makes stay in the namespace.
func (n *NS) Do(f func() error) error {
	done := make(chan error)
	n.work <- func() { done <- f() }
	return <-done
}

// FD is a descriptor of the namespace, as netlink wants it to move a device.
func (n *NS) FD() int { return n.fd }

// Close lets go of the namespace. Do must not be called afterwards.
func (n *NS) Close() { close(n.work) }
