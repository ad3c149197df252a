package capture

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
)

// Options say what to capture. The zero value captures everything.
type Options struct {
	// Format of the file.
	Format Format
	// Snaplen is how many bytes of a packet are kept; 0 means 262144, tcpdump's.
	Snaplen int
	// Direction limits the capture to In or Out; Unknown means both. A loopback
	// device shows every packet once, on its way in, as with tcpdump.
	Direction Direction
	// Filter, if set, says which packets are wanted. data is the beginning of the
	// frame: all of it or at least its first 512 bytes; length is the frame's. It
	// must not keep data, and may be called concurrently.
	Filter func(data []byte, length int) bool
	// Immediate writes each packet at once; else they are written when the buffer
	// is half full or 100 ms old.
	Immediate bool
	// Buffer is the size in bytes of each of the two buffers; 0 means 2 MiB.
	// Packets that do not fit, because the writer is slow, are dropped and counted.
	Buffer int
}

const (
	defaultBuffer = 2 << 20
	flushAfter    = 100 * time.Millisecond
)

// A Capture copies packets of devices to a writer until it is stopped. The path of
// the packets never waits for the writer.
type Capture struct {
	opt    Options
	w      io.Writer
	clock  *clock.Clock
	undo   []func()
	wake   chan struct{} // holds a token when there is something to write
	done   chan struct{} // closed when the writing goroutine has ended
	flush  clock.Timer
	views  sync.Pool // *[filterView]byte
	header []Interface
	seen   []stat.Counter // by interface
	began  time.Time

	// mu is held to copy one packet or to swap the buffers.
	mu      sync.Mutex
	fill    []byte // records not yet written
	closed  bool
	stats   []Stats // by interface, without Seen
	written uint64  // packets
	err     error   // why writing ended early
}

// Start begins to capture what passes devs, of which there must be at least one, to
// w, which gets whole records. Stop ends it; a Write that fails ends it too.
func Start(w io.Writer, opt Options, devs ...*link.Device) (*Capture, error) {
	if len(devs) == 0 {
		return nil, errors.New("capture: no device")
	}
	if opt.Buffer <= 0 {
		opt.Buffer = defaultBuffer
	}
	limit := 0 // which is none, in a file
	if opt.Snaplen > 0 {
		limit = snap(opt.Snaplen)
	}
	opt.Snaplen = snap(opt.Snaplen)
	c := &Capture{
		opt: opt, w: w, clock: devs[0].Layer().Clock, fill: make([]byte, 0, opt.Buffer),
		wake: make(chan struct{}, 1), done: make(chan struct{}), stats: make([]Stats, len(devs)),
		seen: make([]stat.Counter, len(devs)), began: devs[0].Layer().Clock.Wall(),
		views: sync.Pool{New: func() any { return new([filterView]byte) }},
	}
	for _, dev := range devs {
		c.header = append(c.header, Interface{dev.Name(), LinkTypeOf(dev), limit})
	}
	if err := opt.Format.checkInterfaces(c.header); err != nil {
		return nil, err
	}
	if _, err := w.Write(opt.Format.appendHeader(nil, c.header)); err != nil {
		return nil, err
	}
	c.flush.Init(c.clock, func(clock.Time) { c.signal() })
	for i, dev := range devs {
		once := dev.Type() == link.Loopback
		c.undo = append(c.undo, dev.Tap(func(pkt *packet.Packet, outgoing bool) {
			if outgoing && once {
				return
			}
			c.see(i, pkt, outgoing)
		}))
	}
	go c.write()
	return c, nil
}

// Stop ends the capture, writes what is left and the interfaces' statistics, and
// returns the error that ended it early, if any. It waits for a Write that is under
// way.
func (c *Capture) Stop() error {
	for _, undo := range c.undo {
		undo()
	}
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	<-c.done
	c.flush.StopWait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done is closed when the capture has ended: by Stop, or because Write failed.
func (c *Capture) Done() <-chan struct{} { return c.done }

// Captured returns how many packets went to the writer or wait for it. It and the
// two numbers of Stats are what tcpdump ends with.
func (c *Capture) Captured() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written
}

// Stats returns the sum of all interfaces.
func (c *Capture) Stats() (sum Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.stats {
		sum.Seen += c.seen[i].Load()
		sum.Received += s.Received
		sum.Dropped += s.Dropped
	}
	return sum
}

func (c *Capture) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write hands full buffers to the writer until the capture is closed and empty.
func (c *Capture) write() {
	defer close(c.done)
	spare := make([]byte, 0, c.opt.Buffer)
	for {
		<-c.wake
		c.mu.Lock()
		spare, c.fill = c.fill, spare[:0]
		closed := c.closed
		if closed && c.opt.Format == PCAPNG {
			spare = c.appendAllStatistics(spare)
		}
		c.mu.Unlock()
		if len(spare) > 0 {
			if _, err := c.w.Write(spare); err != nil {
				c.fail(err)
				return
			}
		}
		if closed {
			return
		}
	}
}

// appendAllStatistics is called once and with mu held.
func (c *Capture) appendAllStatistics(b []byte) []byte {
	now := c.clock.Wall()
	for i, s := range c.stats {
		s.Seen = c.seen[i].Load()
		b = appendStatistics(b, i, c.began, now, s)
	}
	return b
}

func (c *Capture) fail(err error) {
	c.mu.Lock()
	c.closed = true
	c.err = err
	c.mu.Unlock()
	for _, undo := range c.undo {
		undo()
	}
}
