// Package proc is the table of files that the kernel makes up when they are
// read, as Linux's /proc: net/dev, net/tcp, modules.
package proc

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A Table holds the files of one kernel. The zero Table is empty and ready to
// use; all methods may be called concurrently. Files are written without the
// table's lock, so a file may read another one.
type Table struct {
	// Oops, unless it is nil, is told of files whose write function panics, which
	// are then read as EIO. It is set before the first use.
	Oops func(path string, reason any)

	mu    sync.RWMutex
	files map[string]*file
}

type file struct{ write func(io.Writer) error }

// Register adds the file path, relative to /proc, whose content write
// produces; write may be called concurrently. undo removes it, and is harmless
// when called again. It fails with EEXIST if the path is taken, or lies below
// a file or above one, and with EINVAL if it is malformed (see io/fs.ValidPath).
func (t *Table) Register(path string, write func(w io.Writer) error) (undo func(), err error) {
	if !fs.ValidPath(path) || path == "." || strings.ContainsAny(path, "\n\x00") || write == nil {
		return nil, fmt.Errorf("proc: register %q: %w", path, syscall.EINVAL)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.files {
		if within(p, path) || within(path, p) {
			return nil, fmt.Errorf("proc: register %q: %w", path, syscall.EEXIST)
		}
	}
	if t.files == nil {
		t.files = map[string]*file{}
	}
	mine := &file{write}
	t.files[path] = mine
	return func() { t.remove(path, mine) }, nil
}

// remove takes the file out, unless another has taken its place.
func (t *Table) remove(path string, f *file) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files[path] == f {
		delete(t.files, path)
	}
}

// Read returns the content of a file as it is now. The path may begin with
// /proc/. For a path that nobody registered it returns an *fs.PathError with
// ENOENT.
func (t *Table) Read(path string) ([]byte, error) {
	path = relative(path)
	t.mu.RLock()
	f := t.files[path]
	t.mu.RUnlock()
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: "/proc/" + path, Err: syscall.ENOENT}
	}
	var b bytes.Buffer
	if err := t.write(path, f, &b); err != nil {
		return nil, &fs.PathError{Op: "read", Path: "/proc/" + path, Err: err}
	}
	return b.Bytes(), nil
}

// write makes the content of f.
func (t *Table) write(path string, f *file, w io.Writer) (err error) {
	if t.Oops != nil {
		defer func() {
			if reason := recover(); reason != nil {
				t.Oops(path, reason)
				err = syscall.EIO
			}
		}()
	}
	return f.write(w)
}

// List returns the paths of the file called prefix, or of those below it,
// sorted; an empty prefix means all.
func (t *Table) List(prefix string) []string {
	prefix = relative(prefix)
	t.mu.RLock()
	defer t.mu.RUnlock()
	var list []string
	for p := range t.files {
		if prefix == "" || within(p, prefix) {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// relative returns path as Register was given it.
func relative(path string) string {
	if path == "/proc" {
		return ""
	}
	return strings.Trim(strings.TrimPrefix(path, "/proc/"), "/")
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
