package control

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/knitnet/knit/internal/pcapfilter"
	"github.com/knitnet/knit/link/capture"
)

// printTcpdump shows or stores what the kernel sends or, with -r, a file has.
func printTcpdump(c *Console, q TcpdumpRequest, replies iter.Seq[TcpdumpReply]) (err error) {
	d := &dumper{c: c, q: q}
	defer func() {
		if e := d.close(); err == nil {
			err = e
		}
	}()
	if q.Nothing {
		for range replies {
		}
		return d.file()
	}
	for r := range replies {
		switch {
		case r.Listening != nil:
			err = d.listen(r.Listening)
		case r.Statistics != nil:
			d.statistics(*r.Statistics)
		}
		for i := 0; err == nil && i < len(r.Frames); i++ {
			f := &r.Frames[i]
			err = d.record(capture.Record{Interface: f.Interface, Time: f.Time, Direction: f.Direction, Length: f.Length, Data: f.Data})
		}
		if err == nil {
			err = d.flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A dumper does with records what the command says.
type dumper struct {
	c      *Console
	q      TcpdumpRequest
	ifaces []capture.Interface
	out    *capture.Writer // of -w
	buf    *bufio.Writer   // below out; what the kernel sends together is written together
	to     io.Closer
	show   packetPrinter
	shown  uint64
}

func (d *dumper) listen(list []TcpdumpInterface) error {
	for _, i := range list {
		d.ifaces = append(d.ifaces, capture.Interface{Name: i.Name, Type: i.LinkType, Snaplen: d.q.snaplen()})
	}
	name := list[0].Name
	if d.q.Device == "any" {
		name = "any"
	}
	if err := d.begin(); err != nil {
		return err
	}
	if d.q.write == "" && d.q.show.verbose == 0 {
		d.c.Warn("tcpdump: verbose output suppressed, use -v[v]... for full protocol decode")
	} else if d.q.write != "" {
		d.c.Warn("tcpdump: listening on %s, link-type %s, snapshot length %d bytes", name, linkTypes(d.ifaces), d.q.snaplen())
		return nil
	}
	d.c.Warn("listening on %s, link-type %s, snapshot length %d bytes", name, linkTypes(d.ifaces), d.q.snaplen())
	return nil
}

// linkTypes names the link types of a list of interfaces.
func linkTypes(list []capture.Interface) string {
	var names []string
	seen := make(map[capture.LinkType]bool)
	for _, i := range list {
		if seen[i.Type] {
			continue
		}
		seen[i.Type] = true
		long := ""
		switch i.Type {
		case capture.LinkEthernet:
			long = " (Ethernet)"
		case capture.LinkRaw:
			long = " (Raw IP)"
		}
		names = append(names, i.Type.String()+long)
	}
	return strings.Join(names, ", ")
}

// begin opens what -w names, when the interfaces are known.
func (d *dumper) begin() (err error) {
	d.show = packetPrinter{dumpStyle: d.q.show}
	if d.q.write == "" {
		return nil
	}
	w := d.c.stdout()
	if d.q.write != "-" {
		if d.c.Create == nil {
			return Errorf(1, "tcpdump: %s: Operation not permitted", d.q.write)
		}
		f, err := d.c.Create(d.q.write)
		if err != nil {
			return Errorf(1, "tcpdump: %s", fileReason(err, d.q.write))
		}
		w, d.to = f, f
	}
	d.buf = bufio.NewWriterSize(w, 64<<10)
	format := capture.PCAP
	if strings.HasSuffix(d.q.write, ".pcapng") {
		format = capture.PCAPNG
	}
	if d.out, err = capture.NewWriter(d.buf, format, d.ifaces...); err != nil {
		return Errorf(1, "tcpdump: %s: %v: want a name that ends in .pcapng", d.q.write, err)
	}
	return nil
}

func (d *dumper) flush() error {
	if d.buf == nil {
		return nil
	}
	if err := d.buf.Flush(); err != nil {
		return Errorf(1, "tcpdump: Unable to write output: %v", err)
	}
	return nil
}

func (d *dumper) close() error {
	err := d.flush()
	if d.to != nil {
		err = cmp.Or(err, d.to.Close())
	}
	return err
}

// record shows or stores one packet.
func (d *dumper) record(r capture.Record) error {
	if r.Interface < 0 || r.Interface >= len(d.ifaces) {
		return Errorf(1, "tcpdump: packet of an unknown interface %d", r.Interface)
	}
	d.shown++
	if d.out == nil {
		return d.c.Print(d.show.packet(d.ifaces[r.Interface], r))
	}
	if err := d.out.Write(r); err != nil {
		return Errorf(1, "tcpdump: Unable to write output: %v", err)
	}
	return nil
}

func (d *dumper) statistics(s TcpdumpStatistics) {
	count := func(n uint64, what string) {
		plural := "s"
		if n == 1 {
			plural = ""
		}
		d.c.Warn("%d packet%s %s", n, plural, what)
	}
	count(s.Captured, "captured")
	count(s.Received, "received by filter")
	count(s.Dropped, "dropped by kernel")
}

// file does with a file's packets what the command says.
func (d *dumper) file() error {
	in, err := d.openRead()
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := capture.NewReader(in)
	if err != nil {
		return Errorf(1, "tcpdump: %s: %v", d.q.read, err)
	}
	var filters []FrameFilter
	for err = nil; err == nil; {
		var rec capture.Record
		if rec, err = r.Next(); err != nil {
			break
		}
		if filters, err = d.describe(r, filters); err == nil && filters[rec.Interface](rec.Data, rec.Length) {
			err = d.record(rec)
		}
		if d.q.Count > 0 && d.shown >= d.q.Count && err == nil {
			err = errCounted
		}
	}
	var told *Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errCounted):
		return nil
	case errors.As(err, &told):
		return err
	}
	return Errorf(1, "tcpdump: pcap_loop: %v", err)
}

// describe compiles the filter for the interfaces that the file has told of since
// the last record. With the first ones it begins.
func (d *dumper) describe(r *capture.Reader, filters []FrameFilter) ([]FrameFilter, error) {
	all := r.Interfaces()
	for _, i := range all[len(filters):] {
		f, err := CompileFilter(d.q.Filter, i.Type)
		if err != nil {
			return nil, err
		}
		filters = append(filters, f)
	}
	if len(d.ifaces) > 0 || len(all) == 0 {
		if d.out != nil && len(all) > len(d.ifaces) {
			return nil, Errorf(1, "tcpdump: %s: interfaces among the packets", d.q.read)
		}
		d.ifaces = all
		return filters, nil
	}
	d.ifaces = all
	if d.q.write == "" {
		d.c.Warn("reading from file %s, link-type %s, snapshot length %d", d.q.read, linkTypes(all), max(all[0].Snaplen, 0))
	}
	return filters, d.begin()
}

func (d *dumper) openRead() (io.ReadCloser, error) {
	switch {
	case d.q.read == "-" && d.c.Stdin != nil:
		return io.NopCloser(d.c.Stdin), nil
	case d.q.read == "-":
		return io.NopCloser(strings.NewReader("")), nil
	case d.c.Open == nil:
		return nil, Errorf(1, "tcpdump: %s: No such file or directory", d.q.read)
	}
	f, err := d.c.Open(d.q.read)
	if err != nil {
		return nil, Errorf(1, "tcpdump: %s", fileReason(err, d.q.read))
	}
	return f, nil
}

// fileReason says why a file was not opened.
func fileReason(err error, name string) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		err = e
	}
	text := err.Error()
	return fmt.Sprintf("%s: %s", name, strings.ToUpper(text[:1])+text[1:])
}

// A FrameFilter reports whether a frame of length bytes, of which data is the
// beginning, is wanted. It may be called concurrently and does not allocate.
type FrameFilter func(data []byte, length int) bool

// CompileFilter compiles an expression of pcap-filter(7) for frames of a link type.
// Errors are *Error, with tcpdump's words.
func CompileFilter(expr string, t capture.LinkType) (FrameFilter, error) {
	l := pcapfilter.Raw
	switch t {
	case capture.LinkEthernet:
		l = pcapfilter.Ethernet
	case capture.LinkRaw:
	default:
		return nil, Errorf(1, "tcpdump: link type %v: want EN10MB or RAW", t)
	}
	f, err := pcapfilter.Compile(expr, l)
	if err != nil {
		return nil, Errorf(1, "tcpdump: can't parse filter expression: %v", err)
	}
	return f.Match, nil
}
