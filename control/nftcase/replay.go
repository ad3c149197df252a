package nftcase

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/knitnet/knit/link/capture"
	"github.com/knitnet/knit/wire"
)

// maxReplay is how many packets of a capture are sent.
const maxReplay = 1_000_000

// run sends the packets of a capture at the times at which they were recorded,
// counted from the first one.
func (s *replay) run(r *runner, _ *Line) (res Result) {
	counts, err := r.replay(s, &res)
	if err != nil {
		res.problem("%s: %v", s.file, err)
		return res
	}
	for _, v := range []string{accept, drop, reject} {
		if counts[v] != s.want[v] {
			res.problem("want %d packets with verdict %s, got %d", s.want[v], v, counts[v])
		}
	}
	return res
}

func (r *runner) replay(s *replay, res *Result) (map[string]int, error) {
	if r.options.Open == nil {
		return nil, errors.New("no captures can be read here")
	}
	b, err := r.options.Open(s.file)
	if err != nil {
		return nil, err
	}
	d, err := capture.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	begin, first := r.elapsed(), time.Time{}
	for n := 0; ; n++ {
		rec, err := d.Next()
		switch {
		case errors.Is(err, io.EOF):
			return counts, nil
		case err != nil:
			return nil, err
		case n == maxReplay:
			return nil, errors.New("the capture has too many packets")
		case r.ctx.Err() != nil:
			return nil, r.ctx.Err()
		}
		typ := d.Interface(rec.Interface).Type
		if typ != capture.LinkEthernet && typ != capture.LinkRaw {
			return nil, fmt.Errorf("link type %v: want Ethernet or raw IP", typ)
		}
		if n == 0 {
			first = rec.Time
		}
		if wait := begin + rec.Time.Sub(first) - r.elapsed(); wait > 0 && wait <= maxStep {
			r.kernel.Clock.Advance(wait)
		}
		o := r.replayOne(s.from, typ, rec.Data)
		counts[o.verdict]++
		if text := o.String(); !slices.Contains(res.Got, text) && len(res.Got) < maxGot {
			res.Got = append(res.Got, text)
		}
		r.events = nil
	}
}

// maxGot is how many different outcomes of a capture are told.
const maxGot = 20

// replayOne sends one record. Frames go to the device, whoever they were for.
func (r *runner) replayOne(from site, t capture.LinkType, data []byte) *outcome {
	dev := r.devices[string(from)]
	etherType := uint16(wire.EtherTypeIPv4)
	if t == capture.LinkEthernet {
		h, ok := wire.ParseEthernet(data)
		if !ok {
			return &outcome{verdict: drop, reason: "a frame without header"}
		}
		etherType, data = h.EtherType(), h.Payload()
	} else if len(data) > 0 && data[0]>>4 == 6 {
		etherType = wire.EtherTypeIPv6
	}
	b := bytes.Clone(data)
	p := &Packet{}
	return r.receive(dev, p.frame(b, etherType, destinationMAC(b, dev.MAC()), wire.MAC{2, 0, 0, 0, dev.MAC()[4], 2}), b, 0)
}
