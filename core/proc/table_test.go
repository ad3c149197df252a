package proc

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"testing"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func mustRegister(t *testing.T, table *Table, path, content string) func() {
	t.Helper()
	undo, err := table.Register(path, text(content))
	if err != nil {
		t.Fatal(err)
	}
	return undo
}

func TestRead(t *testing.T) {
	var table Table
	undo := mustRegister(t, &table, "net/dev", "x\n")
	for _, path := range []string{"net/dev", "/proc/net/dev"} {
		if b, err := table.Read(path); string(b) != "x\n" || err != nil {
			t.Errorf("Read(%s) = %q, %v", path, b, err)
		}
	}
	undo()
	_, err := table.Read("net/dev")
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "open /proc/net/dev: no such file or directory" {
		t.Errorf("Read after undo = %v", err)
	}
	mustRegister(t, &table, "net/dev", "y\n")
	undo() // must not remove its successor
	if b, _ := table.Read("net/dev"); string(b) != "y\n" {
		t.Errorf("a second undo removed the successor")
	}
}

func TestReadError(t *testing.T) {
	var table Table
	if _, err := table.Register("x", func(io.Writer) error { return io.ErrUnexpectedEOF }); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Read("x"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Read = %v, want the file's error", err)
	}
}

// A file may be made of other files.
func TestFileReadsFile(t *testing.T) {
	var table Table
	mustRegister(t, &table, "a", "1")
	_, err := table.Register("b", func(w io.Writer) error {
		b, err := table.Read("a")
		_, _ = w.Write(append(b, '2'))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := table.Read("b"); string(b) != "12" || err != nil {
		t.Errorf("Read(b) = %q, %v", b, err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	var table Table
	mustRegister(t, &table, "net/tcp", "")
	for path, want := range map[string]syscall.Errno{
		"net/tcp": syscall.EEXIST, "net": syscall.EEXIST, "net/tcp/x": syscall.EEXIST,
		"": syscall.EINVAL, "/net/udp": syscall.EINVAL, "net/../x": syscall.EINVAL, "net//x": syscall.EINVAL, "a\nb": syscall.EINVAL,
	} {
		if _, err := table.Register(path, text("")); !errors.Is(err, want) {
			t.Errorf("Register(%q) = %v, want %v", path, err, want)
		}
	}
	mustRegister(t, &table, "net/tcp6", "") // a longer name is another name
}

func TestList(t *testing.T) {
	var table Table
	for _, p := range []string{"net/udp", "modules", "net/tcp", "network"} {
		mustRegister(t, &table, p, "")
	}
	for prefix, want := range map[string][]string{
		"": {"modules", "net/tcp", "net/udp", "network"}, "/proc": {"modules", "net/tcp", "net/udp", "network"},
		"net": {"net/tcp", "net/udp"}, "/proc/net/": {"net/tcp", "net/udp"}, "net/tcp": {"net/tcp"}, "nope": nil,
	} {
		if got := table.List(prefix); !slices.Equal(got, want) {
			t.Errorf("List(%q) = %v, want %v", prefix, got, want)
		}
	}
}
