// Package ftpnat is the module nf_nat_ftp: where a control connection of FTP is
// translated, it writes into the announcements of data connections the address and
// a port that the other side can reach.
package ftpnat

import (
	"errors"
	"math/rand/v2"
	"syscall"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/helper"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "nf_nat_ftp",
	Version:     "1.0",
	Description: "ftp NAT helper",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"ip_nat_ftp", "nf-nat-ftp"},
	Imports:     []string{netfilter.TrackerSymbol, netfilter.TranslatorSymbol, netfilter.FTPSymbol},
	Init:        start,
}

// A writer rewrites announcements in one kernel.
type writer struct {
	track  netfilter.Tracker
	nat    netfilter.Translator
	follow func(c *netfilter.Conn, x *netfilter.Expectation)
}

func start(c *module.Context) error {
	track, err := module.Import[netfilter.Tracker](c, netfilter.TrackerSymbol)
	if err != nil {
		return err
	}
	nat, err := module.Import[netfilter.Translator](c, netfilter.TranslatorSymbol)
	if err != nil {
		return err
	}
	ftp, err := module.Import[netfilter.Announcer](c, netfilter.FTPSymbol)
	if err != nil {
		return err
	}
	w := &writer{track: track, nat: nat, follow: helper.Follow(nat)}
	c.Free(func() { helper.Forget(track, "ftp") })
	return c.Register(ftp.SetNAT(w.translate))
}

// translate implements what a netfilter.Announcer calls.
func (w *writer) translate(a *netfilter.Announcement) bool {
	if a.Text != nil { // sent again
		return w.nat.Mangle(a.Pkt, a.Conn, a.Info, a.Off, a.Len, a.Text)
	}
	x := a.Expect
	addr := a.Conn.Tuples[1-a.Info.Dir()].DstAddr()
	x.Tuple.SetDst(addr)
	x.Created = w.follow
	if !w.reserve(x) {
		return false
	}
	text := a.Append(nil, addr, x.Tuple.DstPort)
	if !w.nat.Mangle(a.Pkt, a.Conn, a.Info, a.Off, a.Len, text) {
		w.track.Unexpect(x)
		return false
	}
	a.Text = text
	return true
}

// attempts is how many ports are tried: there are far more than may be expected.
const attempts = 64

// reserve expects x at its own port, or at another one if somebody else is expected
// there.
func (w *writer) reserve(x *netfilter.Expectation) bool {
	for range attempts {
		err := w.track.Expect(x)
		if !errors.Is(err, syscall.EBUSY) {
			return err == nil
		}
		x.Tuple.DstPort = 1024 + uint16(rand.IntN(65536-1024))
	}
	return false
}
