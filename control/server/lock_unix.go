//go:build unix

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A lock is the file PATH.lock with our process id in it, locked as long as the
// process lives: the system unlocks it however the process ends.
type lock struct {
	file *os.File
	once sync.Once
}

// takeLock locks the file beside a socket; it fails with a *RunningError if
// another process has it.
func takeLock(socket string) (*lock, error) {
	path := socket + ".lock"
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			defer f.Close()
			return nil, &RunningError{Path: socket, PID: readPID(f)}
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !isAt(f, path) { // its last owner has removed it before we locked it
			f.Close()
			continue
		}
		if err := writePID(f); err != nil {
			f.Close()
			return nil, err
		}
		return &lock{file: f}, nil
	}
}

// release removes the file while it is still locked, so that nobody removes
// another's.
func (l *lock) release() {
	l.once.Do(func() {
		os.Remove(l.file.Name())
		l.file.Close()
	})
}

// isAt reports whether path still leads to f.
func isAt(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}

// readPID returns 0 if the owner has not written it yet.
func readPID(f *os.File) int {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

// Wait waits until no daemon has the socket at path any more.
func Wait(ctx context.Context, socket string) error {
	f, err := os.Open(socket + ".lock")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer f.Close()
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH)
		for errors.Is(err, syscall.EINTR) {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err() // the goroutine ends when the daemon does
	}
}
