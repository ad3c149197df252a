package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// background starts this program again as a daemon and waits until it is ready.
// Until then it has our standard streams, so that it can read a boot script and
// say what is wrong. A signal in the meantime ends it.
func (u *up) background(ctx context.Context) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	const readyFD = 3 // the first of ExtraFiles
	cmd := exec.Command(self, "--socket="+u.socket, "up", "--foreground", fmt.Sprintf("--%s=%d", readyFlag, readyFD), "--boot="+u.boot)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	// It has a session of its own, so that Ctrl-C does not reach it.
	pass := context.AfterFunc(ctx, func() { cmd.Process.Signal(unix.SIGTERM) })
	n, _ := r.Read(make([]byte, 1))
	pass()
	if n == 1 && ctx.Err() == nil {
		return cmd.Process.Release()
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return status(exit.ExitCode()) // it has said why
	case err == nil:
		return errors.New("the daemon ended before it was ready")
	}
	return fmt.Errorf("the daemon ended before it was ready: %w", err)
}

// detach lets go of the terminal and says through fd that the daemon is ready.
func detach(fd int) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for std := range 3 {
		if err := unix.Dup3(int(null.Fd()), std, 0); err != nil {
			return err
		}
	}
	ready := os.NewFile(uintptr(fd), "ready")
	defer ready.Close()
	_, err = ready.Write([]byte{1})
	return err
}
