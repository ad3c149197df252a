package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxBlock bounds a block or record, so that a broken file cannot ask for all
// memory.
const maxBlock = 16 << 20

// ErrFormat is in the chain of an error for a file that is neither pcapng nor pcap,
// or is damaged.
var ErrFormat = errors.New("not a pcap or pcapng file, or damaged")

// A Reader reads the records of a file. It is not safe for concurrent use.
type Reader struct {
	r      *bufio.Reader
	order  binary.ByteOrder
	format Format
	nano   bool // of a classic file
	ifaces []source
	first  int // index in ifaces of the section's first interface
	buf    []byte
	off    int64 // of what is read next
}

// A source is an interface with the resolution of its time stamps.
type source struct {
	Interface
	units  uint64 // a second
	offset int64  // seconds to add
}

// NewReader reads the beginning of a file of either format, in either byte order.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{r: bufio.NewReaderSize(r, 1<<16)}
	magic, err := d.r.Peek(4)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, noEOF(err))
	}
	if binary.LittleEndian.Uint32(magic) == blockSection { // reads alike in both orders
		return d, nil
	}
	return d, d.classicHeader(magic)
}

func (d *Reader) classicHeader(magic []byte) error {
	d.format = PCAP
	for _, d.order = range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		m := d.order.Uint32(magic)
		if m != magicMicro && m != magicNano {
			continue
		}
		d.nano = m == magicNano
		b, err := d.take(24)
		if err != nil {
			return noEOF(err)
		}
		d.ifaces = []source{{Interface: Interface{
			Type: LinkType(d.order.Uint32(b[20:])), Snaplen: int(d.order.Uint32(b[16:])),
		}}}
		return nil
	}
	return d.damaged("magic number % x", magic)
}

// Interfaces returns the interfaces described so far.
func (d *Reader) Interfaces() []Interface {
	list := make([]Interface, len(d.ifaces))
	for i, s := range d.ifaces {
		list[i] = s.Interface
	}
	return list
}

// Interface returns one of them, without a copy of the list.
func (d *Reader) Interface(i int) Interface { return d.ifaces[i].Interface }

// Next returns the next packet, whose Data are valid until the following call. At
// the end of the file it returns io.EOF, in the middle of a record
// io.ErrUnexpectedEOF.
func (d *Reader) Next() (Record, error) {
	if d.format == PCAP {
		return d.nextClassic()
	}
	for {
		rec, ok, err := d.nextBlock()
		if ok || err != nil {
			return rec, err
		}
	}
}

// take returns the next n bytes, valid until the following call.
func (d *Reader) take(n int) ([]byte, error) {
	if cap(d.buf) < n {
		d.buf = make([]byte, max(n, 2*cap(d.buf)))
	}
	b := d.buf[:n]
	got, err := io.ReadFull(d.r, b)
	d.off += int64(got)
	return b, err
}

func (d *Reader) damaged(format string, args ...any) error {
	return fmt.Errorf("byte %d: %w: %s", d.off, ErrFormat, fmt.Sprintf(format, args...))
}

// noEOF turns the end of the file into what it is in the middle of something.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
