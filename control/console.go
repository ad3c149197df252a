package control

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/knitnet/knit/core/klog"
)

// A Console is what a command has around it: the three streams of the user, and
// the user's files. Nil streams are empty or swallow what is written; nil
// functions know no files.
type Console struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Open and Create give access to files by the names the user typed.
	Open   func(name string) (io.ReadCloser, error)
	Create func(name string) (io.WriteCloser, error)
	// Glob returns the names of the files that match a pattern, sorted.
	Glob func(pattern string) ([]string, error)
}

// OS returns the console of this process.
func OS() *Console {
	return &Console{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Open:   func(name string) (io.ReadCloser, error) { return os.Open(name) },
		Create: func(name string) (io.WriteCloser, error) { return os.Create(name) },
		Glob:   filepath.Glob,
	}
}

// maxFile bounds a file that is read as a whole, in bytes.
const maxFile = 16 << 20

// ReadFile returns the content of a file; "-" is standard input.
func (c *Console) ReadFile(name string) ([]byte, error) {
	var r io.Reader = strings.NewReader("")
	switch {
	case name == "-" && c.Stdin != nil:
		r = c.Stdin
	case name == "-":
	case c.Open == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	default:
		f, err := c.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("larger than %d MiB", maxFile>>20)}
	}
	return b, err
}

// Printf writes to standard output.
func (c *Console) Printf(format string, args ...any) error {
	return c.Print(fmt.Sprintf(format, args...))
}

// Print writes text to standard output.
func (c *Console) Print(text string) error {
	if c.Stdout == nil {
		return nil
	}
	_, err := io.WriteString(c.Stdout, text)
	return err
}

// Warn writes a line to standard error. Control characters are shown as \xNN: it
// may tell what a stranger sent.
func (c *Console) Warn(format string, args ...any) {
	if c.Stderr != nil {
		io.WriteString(c.Stderr, klog.Printable(fmt.Sprintf(format, args...))+"\n")
	}
}

// Report says how a command ended, nothing if err is nil, and returns its exit
// status.
func (c *Console) Report(err error) (status int) {
	if err == nil {
		return 0
	}
	e := asError(err)
	text := strings.TrimSuffix(e.Text, "\n")
	switch {
	case e.help:
		if c.Print(text+"\n") != nil {
			return 1
		}
	case text != "":
		c.Warn("%s", text)
	}
	return e.Status
}

// stdout returns a writer that is never nil.
func (c *Console) stdout() io.Writer {
	if c.Stdout == nil {
		return io.Discard
	}
	return c.Stdout
}
