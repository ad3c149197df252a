package server

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/internal/leak"
)

// TestOtherUserIsRefused: even who gets past the modes of directory and socket is
// refused by name.
func TestOtherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	leak.Check(t)
	s, _ := testServer(t, Config{})
	dir, err := os.MkdirTemp("", "knit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := s.Listen(filepath.Join(dir, "ctl.sock"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	defer func() { l.Close(); l.Release(); <-served }()

	const nobody = 65534
	if _, err := dialAs(l.Path(), nobody); err == nil {
		t.Error("the modes let others connect")
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, l.Path(): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	c, err := dialAs(l.Path(), nobody)
	if err != nil {
		t.Fatal(err)
	}
	const want = "knit: permission denied: this daemon belongs to uid 0, you are uid 65534"
	if status, body := answerTo(t, c); status != 403 || !strings.Contains(body, want) {
		t.Errorf("%d %s", status, body)
	}
	if c, err = dialAs(l.Path(), 0); err != nil {
		t.Fatal(err)
	}
	if status, body := answerTo(t, c); status == 403 {
		t.Errorf("root: %d %s", status, body)
	}
}

// dialAs connects from a thread of another user; the thread ends with it.
func dialAs(path string, uid int) (c net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			err = errno
			return
		}
		c, err = net.Dial("unix", path)
	}()
	<-done
	return c, err
}
