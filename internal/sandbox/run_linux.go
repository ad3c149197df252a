package sandbox

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Run starts a sandbox, calls ready, which sets the other side of the
// network up, and runs the command to its end. While it runs, SIGTERM, SIGHUP,
// SIGUSR1 and SIGUSR2 are passed on to it, and so are SIGINT and SIGQUIT unless
// they come from the terminal, which sends them to the command as well.
// When ctx is done the command is killed.
//
// Run returns the exit status that the program should end with: the
// command's as Wait gives it, with an error of type *CommandError a shell's
// 126 or 127, and with any other error StatusFailed.
func Run(ctx context.Context, c Config, ready func(*Sandbox) error) (int, error) {
	if err := ctx.Err(); err != nil {
		return StatusFailed, err
	}
	s, err := Start(c)
	if err != nil {
		return StatusFailed, err
	}
	defer s.Close()
	if ready != nil {
		if err := ready(s); err != nil {
			return StatusFailed, err
		}
	}
	stopSignals := s.forwardSignals()
	defer stopSignals()
	stopContext := context.AfterFunc(ctx, func() { s.Close() })
	defer stopContext()
	return s.execAndWait(ctx)
}

func (s *Sandbox) execAndWait(ctx context.Context) (int, error) {
	status, err := StatusFailed, s.Exec()
	if err == nil {
		status, err = s.Wait()
	}
	var command *CommandError
	switch {
	case errors.As(err, &command):
		return command.Status, err
	case errors.Is(err, ErrClosed) && ctx.Err() != nil:
		return StatusFailed, ctx.Err()
	}
	return status, err
}

// passedOn are the signals that mean the command.
func passedOn() []os.Signal {
	return []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
}

// catch takes those signals that the caller does not ignore (nohup): these stay
// ignored, here and in the command.
func catch(signals chan<- os.Signal, which ...os.Signal) {
	for _, sig := range which {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
}

// forwardSignals takes the process's signals until the returned function is
// called.
func (s *Sandbox) forwardSignals() (stop func()) {
	signals := make(chan os.Signal, 16)
	catch(signals, passedOn()...)
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case sig := <-signals:
				keyboard := sig == syscall.SIGINT || sig == syscall.SIGQUIT
				if !keyboard || !inForeground() {
					_ = s.Signal(sig) // a command that has ended needs none
				}
			case <-ended:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(ended)
		<-done
	}
}

// inForeground reports whether the keyboard's signals go to the process's
// group, in which the command is too unless it has made another one: a shell
// inside that controls jobs takes the terminal for itself.
func inForeground() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return false // no terminal
	}
	defer f.Close()
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
