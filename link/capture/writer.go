package capture

import (
	"fmt"
	"io"
	"time"
)

// A Record is one captured packet.
type Record struct {
	Interface int // index into Reader.Interfaces
	Time      time.Time
	Direction Direction
	Length    int    // of the packet in bytes
	Data      []byte // its beginning, at most as long as the interface's Snaplen
}

// A Writer writes records to a file. It is not safe for concurrent use.
type Writer struct {
	format Format
	w      io.Writer
	n      int // interfaces
	buf    []byte
}

// NewWriter writes the beginning of a file for packets of these interfaces.
func NewWriter(w io.Writer, f Format, interfaces ...Interface) (*Writer, error) {
	if err := f.checkInterfaces(interfaces); err != nil {
		return nil, err
	}
	if _, err := w.Write(f.appendHeader(nil, interfaces)); err != nil {
		return nil, err
	}
	return &Writer{format: f, w: w, n: len(interfaces)}, nil
}

// Write writes one record with one Write.
func (w *Writer) Write(r Record) error {
	if r.Interface < 0 || r.Interface >= w.n {
		return fmt.Errorf("capture: record of interface %d: want less than %d", r.Interface, w.n)
	}
	n := w.format.recordSize(len(r.Data))
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	w.buf = w.buf[:n]
	copy(w.format.putRecord(w.buf, r.Interface, r.Time, r.Direction, len(r.Data), r.Length), r.Data)
	_, err := w.w.Write(w.buf)
	return err
}
