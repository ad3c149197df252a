package sandbox

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// Run starts a sandbox, calls ready, which sets the other side of the
// network up, and runs the command to its end. While it runs, SIGTERM and
// SIGHUP are passed on to it; SIGINT and SIGQUIT, which the terminal sends to
// the command as well, are ignored, or passed on where there is no terminal.
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

// forwardSignals takes the process's signals until the returned function is
// called.
func (s *Sandbox) forwardSignals() (stop func()) {
	terminal := hasTerminal()
	signals := make(chan os.Signal, 16)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP} {
		// What the caller ignores (nohup) stays ignored, here and in the
		// command.
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case sig := <-signals:
				keyboard := sig == syscall.SIGINT || sig == syscall.SIGQUIT
				if !keyboard || !terminal {
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

// hasTerminal reports whether the process has a controlling terminal.
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
