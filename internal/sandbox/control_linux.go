package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/internal/tunfd"
)

// A message is what parent and child say to each other; one field is set.
type message struct {
	// From the parent: make the sandbox; start the command; signal it.
	Setup  *Config        `json:",omitempty"`
	Exec   bool           `json:",omitempty"`
	Signal syscall.Signal `json:",omitempty"`

	// From the child: the sandbox stands; the command runs; it has ended.
	Ready   *readiness          `json:",omitempty"`
	Started bool                `json:",omitempty"`
	Exit    *syscall.WaitStatus `json:",omitempty"`

	// Failed ends the child, whatever it was about to do.
	Failed *failure `json:",omitempty"`
}

// A readiness comes with the device's descriptors.
type readiness struct {
	Device   Device
	Notes    []string
	Warnings []string
}

// A failure is an error on its way through the socket.
type failure struct {
	Text   string
	Errno  syscall.Errno
	Status int // of a command that could not be started

	// Explained means that the text already says what to do.
	Explained bool `json:",omitempty"`
}

func newFailure(err error) *failure {
	f := &failure{Text: err.Error()}
	errors.As(err, &f.Errno)
	var tun *tunError
	f.Explained = errors.As(err, &tun)
	return f
}

// Error returns the text of the child's error.
func (f *failure) Error() string { return f.Text }

// Unwrap returns the child's errno, so that errors.Is finds it.
func (f *failure) Unwrap() error {
	if f.Errno == 0 {
		return nil
	}
	return f.Errno
}

// A control is one end of the socket pair. Sends may be concurrent; receives
// may not.
type control struct {
	conn *net.UnixConn
	send struct{ sync.Mutex }
}

// maxMessage bounds a message: a command line is at most 2 MiB, and JSON
// writes a byte as at most six.
const maxMessage = 16 << 20

// controlPair returns the parent's end, and the child's as a file.
func controlPair() (*control, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	child := os.NewFile(uintptr(fds[1]), "sandbox-child")
	parent, err := newControl(os.NewFile(uintptr(fds[0]), "sandbox-parent"))
	if err != nil {
		child.Close()
		return nil, nil, err
	}
	return parent, child, nil
}

// newControl takes the socket over.
func newControl(f *os.File) (*control, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("control socket is not a Unix socket")
	}
	return &control{conn: u}, nil
}

// write sends a message and copies of the files' descriptors.
func (c *control) write(m message, files ...*os.File) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	rights, err := unixRights(files)
	if err != nil {
		return err
	}
	c.send.Lock()
	defer c.send.Unlock()
	header := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	if _, _, err := c.conn.WriteMsgUnix(header, rights, nil); err != nil {
		return err
	}
	_, err = c.conn.Write(text)
	return err
}

// unixRights makes the control message for the files without taking them out
// of the poller, as Fd might.
func unixRights(files []*os.File) ([]byte, error) {
	if len(files) == 0 {
		return nil, nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, err
		}
		if err := raw.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
			return nil, err
		}
	}
	return unix.UnixRights(fds...), nil
}

// read receives a message. At the other end's death it returns io.EOF.
func (c *control) read() (message, []*os.File, error) {
	var m message
	header := make([]byte, 4)
	rights := make([]byte, unix.CmsgSpace(4*tunfd.MaxQueues))
	n, oobn, _, _, err := c.conn.ReadMsgUnix(header, rights)
	if err != nil {
		return m, nil, err
	}
	files, err := receiveFiles(rights[:oobn])
	if err != nil {
		return m, nil, err
	}
	err = c.readText(&m, header, n)
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return m, nil, err
	}
	return m, files, nil
}

// readText reads the rest of a message, of whose header n bytes are there.
func (c *control) readText(m *message, header []byte, n int) error {
	if _, err := io.ReadFull(c.conn, header[n:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(header)
	if size > maxMessage {
		return fmt.Errorf("control message of %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(c.conn, text); err != nil {
		return err
	}
	return json.Unmarshal(text, m)
}

func receiveFiles(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // not descriptors
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "sandbox-device"))
		}
	}
	return files, nil
}
