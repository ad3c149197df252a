package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketPath(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		uid  int
		want string
	}{
		{map[string]string{"KNIT_SOCKET": "/x/y"}, 0, "/x/y"},
		{map[string]string{"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run/knit/ctl.sock"},
		{map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7/knit/ctl.sock"},
		{map[string]string{"XDG_RUNTIME_DIR": "relative"}, 7, filepath.Join(os.TempDir(), "knit-7/ctl.sock")},
		{nil, 7, filepath.Join(os.TempDir(), "knit-7/ctl.sock")},
	} {
		if got := socketPath(func(k string) string { return c.env[k] }, c.uid); got != c.want {
			t.Errorf("uid %d, %v: %s, want %s", c.uid, c.env, got, c.want)
		}
	}
}

// TestUnreachable: each way in which there is no daemon has its own line.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):   `no daemon is running at ` + dir + `/none: start one with "knit up"`,
		filepath.Join(dir, "no/way"): `no daemon is running`,
		stale:                        `no daemon is running`,
		filepath.Join(file, "below"): `no daemon is running`,
		file:                         `is not a socket`,
	} {
		err := NewClient(path).Call(context.Background(), Call{Info: Info{Name: "lsmod"}, Request: LsmodRequest{}})
		if err == nil || !strings.HasPrefix(err.Error(), "knit: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
		var none *NoDaemonError
		if errors.As(err, &none) != strings.Contains(want, "no daemon") {
			t.Errorf("%s: %T", path, err)
		}
	}
}

// TestDirOfOthers: a socket where others may write is not trusted.
func TestDirOfOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o755: true, 0o775: false, 0o707: false, 0o777 | os.ModeSticky: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := CheckDir(dir); (err == nil) != ok {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if os.Getuid() != 0 {
		t.Log("owner not tested: only root can give files away")
		return
	}
	if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	var e *SocketError
	if err := CheckDir(dir); !errors.As(err, &e) || !strings.Contains(err.Error(), "belongs to another user (uid 65534)") {
		t.Errorf("%v", err)
	}
}
