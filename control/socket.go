package control

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// SocketVar is the environment variable that names the control socket.
const SocketVar = "KNIT_SOCKET"

// SocketPath returns where the control socket of this user is, unless told
// otherwise: what SocketVar says, else /run/knit/ctl.sock for root, else
// knit/ctl.sock in the user's runtime directory, else in /tmp/knit-UID.
func SocketPath() string { return socketPath(os.Getenv, os.Getuid()) }

func socketPath(env func(string) string, uid int) string {
	const name = "ctl.sock"
	if p := env(SocketVar); p != "" {
		return p
	}
	dir := env("XDG_RUNTIME_DIR")
	switch {
	case uid == 0:
		return filepath.Join("/run/knit", name)
	case filepath.IsAbs(dir):
		return filepath.Join(dir, "knit", name)
	}
	return filepath.Join(os.TempDir(), "knit-"+strconv.Itoa(uid), name)
}

// A SocketError says why the place of a socket is not to be trusted.
type SocketError struct {
	Path string // the directory or the socket
	Why  string
}

// Error says what is wrong and with which path.
func (e *SocketError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Why) }

// CheckDir reports whether others could put a socket of theirs into dir: it must
// belong to this user or root, and only they may write to it, or it is sticky as
// /tmp is. A *SocketError says no; other errors are those of os.Lstat.
func CheckDir(dir string) error {
	i, err := os.Stat(dir)
	if err != nil {
		return err
	}
	l, err := os.Lstat(dir) // a symbolic link is as good as who made it
	if err != nil {
		return err
	}
	owner, known := ownerOf(i)
	linker, _ := ownerOf(l)
	switch {
	case known && linker != 0 && linker != os.Getuid():
		return &SocketError{dir, fmt.Sprintf("belongs to another user (uid %d)", linker)}
	case !i.IsDir():
		return &SocketError{dir, "is not a directory"}
	case known && owner != 0 && owner != os.Getuid():
		return &SocketError{dir, fmt.Sprintf("belongs to another user (uid %d)", owner)}
	case known && i.Mode().Perm()&0o022 != 0 && i.Mode()&fs.ModeSticky == 0:
		return &SocketError{dir, "other users may write to it: make it mode 0700"}
	}
	return nil
}

// checkSocket refuses a socket that another user than root may have put there.
func checkSocket(path string) error {
	i, err := os.Stat(path)
	if err != nil {
		return err
	}
	if i.Mode()&fs.ModeSocket == 0 {
		return &SocketError{path, "is not a socket"}
	}
	if owner, known := ownerOf(i); known && owner != 0 && owner != os.Getuid() && os.Getuid() != 0 {
		return &SocketError{path, fmt.Sprintf("belongs to another user (uid %d)", owner)}
	}
	return CheckDir(filepath.Dir(path))
}
