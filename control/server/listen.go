package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/knitnet/knit/control"
)

// A Listener is a control socket in service. Its methods are safe for concurrent
// use.
type Listener struct {
	path    string
	lock    *lock
	ln      net.Listener
	http    http.Server
	stop    context.CancelFunc // ends the streams
	closing sync.Once
	err     error
}

// A RunningError says that another daemon has the socket.
type RunningError struct {
	Path string
	PID  int // 0: unknown
}

// Error says who it is.
func (e *RunningError) Error() string {
	if e.PID > 0 {
		return fmt.Sprintf("a daemon is already running at %s (pid %d)", e.Path, e.PID)
	}
	return fmt.Sprintf("a daemon is already running at %s", e.Path)
}

// Listen makes the Unix socket at path, for this user and root alone, in a
// directory that is made if it is not there. A lock file beside it, which has the
// process id, keeps two daemons apart; what a killed daemon left is replaced. It
// fails with a *RunningError, a *control.SocketError or an error of the system.
// Serve answers, Close ends it.
func (s *Server) Listen(path string) (*Listener, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := control.CheckDir(dir); err != nil {
		return nil, err
	}
	l, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	ln, err := listenUnix(path)
	if err != nil {
		l.release()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Listener{path: path, lock: l, ln: ln, stop: stop}
	k.http = http.Server{
		Handler:           refuseOthers(s),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       headerTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
	}
	return k, nil
}

const (
	// headerTimeout bounds how long a caller may take to say what it wants, the
	// head of its request and the request itself.
	headerTimeout = 10 * time.Second
	// maxHeader bounds the head of a request in bytes.
	maxHeader = 16 << 10
	// closeTimeout bounds how long Close waits for commands under way.
	closeTimeout = 5 * time.Second
)

// listenUnix binds path, whose lock we have, and replaces a socket that nobody
// listens on.
func listenUnix(path string) (net.Listener, error) {
	switch i, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case i.Mode()&fs.ModeSocket == 0:
		return nil, &control.SocketError{Path: path, Why: "is in the way and no socket"}
	default:
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, &RunningError{Path: path}
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// Path returns the absolute path of the socket.
func (k *Listener) Path() string { return k.path }

// Serve answers until Close; then it returns nil.
func (k *Listener) Serve() error {
	if err := k.http.Serve(k.ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close takes no more calls, tells streams to finish, waits for what is under
// way, and removes the socket. The lock stays, so that no other daemon starts
// before this one's kernel has ended: see Release.
func (k *Listener) Close() error {
	k.closing.Do(func() {
		k.stop()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if k.err = k.http.Shutdown(ctx); k.err != nil {
			k.http.Close()
		}
		k.ln.Close() // for a Listener that never served
		os.Remove(k.path)
	})
	return k.err
}

// Release gives up the lock, after Close. It is the last thing a daemon does.
func (k *Listener) Release() { k.lock.release() }
