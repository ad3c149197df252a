// Package nfttest tests nft rulesets in go test: packets and flows, from a table or
// built one by one, pass the shipped packet filter in virtual time, without root, and
// what becomes of them is compared with what is expected.
//
// Run takes the files of `knit nft test`; New takes rules and lets a test send packets
// itself.
package nfttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/knitnet/knit/control/nftcase"
	"github.com/knitnet/knit/netfilter"
)

// Run runs a table of cases, whose format package nftcase describes, through the
// ruleset of a file. Each case is a subtest, and each line that goes wrong an error
// with the rules that held. The report is returned for more: coverage, rules that no
// packet can match.
func Run(t *testing.T, rules, cases string) *nftcase.Report {
	t.Helper()
	text, err := os.ReadFile(cases)
	if err != nil {
		t.Fatal(err)
	}
	table, err := nftcase.Parse(cases, string(text))
	if err != nil {
		t.Fatal(err)
	}
	rep, err := nftcase.Run(t.Context(), Rules(t, rules), table, nftcase.Options{Open: opener(cases)})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(rep.Results); {
		n := i
		for n < len(rep.Results) && rep.Results[n].Case == rep.Results[i].Case {
			n++
		}
		t.Run(rep.Results[i].Case, func(t *testing.T) {
			for _, r := range rep.Results[i:n] {
				complain(t, &r)
			}
		})
		i = n
	}
	return rep
}

// complain tells of a line that went wrong.
func complain(t testing.TB, r *nftcase.Result) {
	t.Helper()
	if r.Pass {
		return
	}
	text := fmt.Sprintf("%v: %s", r.Position, r.Text)
	for _, p := range r.Problems {
		text += "\n\t" + p
	}
	for i := range r.Trace {
		text += "\n\ttrace: " + r.Trace[i].String()
	}
	t.Error(text)
}

// Rules reads a ruleset from a file; what it includes lies beside it or is named by
// its whole path.
func Rules(t testing.TB, file string) *netfilter.NFTRequest {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	open := opener(file)
	return &netfilter.NFTRequest{Name: file, Text: string(text), Include: func(pattern string) (out []netfilter.NFTFile, err error) {
		names := []string{pattern}
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(file), pattern)
		}
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			names = found
		}
		for _, name := range names {
			b, err := open(name)
			if errors.Is(err, fs.ErrNotExist) {
				//lint:ignore ST1005 nft's words
				return nil, fmt.Errorf("File not found: %s", name)
			} else if err != nil {
				return nil, err
			}
			out = append(out, netfilter.NFTFile{Name: name, Text: string(b)})
		}
		return out, nil
	}}
}

// opener reads files beside another one.
func opener(beside string) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(name) {
			return os.ReadFile(filepath.Join(filepath.Dir(beside), name))
		}
		return b, err
	}
}

// A Filter is a kernel with a ruleset, for packets that a test sends one by one. Its
// methods are for the test's goroutine.
type Filter struct {
	t testing.TB
	s *nftcase.Session
}

// New returns a kernel with the ruleset of a text. setup is the beginning of a table:
// lines with device, route and sysctl; with an empty one the kernel has the usual
// network: eth0 with 10.0.0.1/24 and fd00::1/64, and eth1 with 192.0.2.1/24 and
// 2001:db8::1/64, where the way to everywhere begins. It ends with the test.
func New(t testing.TB, setup, rules string) *Filter {
	t.Helper()
	s, err := nftcase.Open(context.Background(), &netfilter.NFTRequest{Name: "rules", Text: rules}, setup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Filter{t, s}
}

// Line runs one line of a table, such as
// `in eth0 tcp 10.0.0.5:40000 > 10.0.0.1:22 -> drop`, and fails the test if it goes
// wrong.
func (f *Filter) Line(line string) *nftcase.Result {
	f.t.Helper()
	r, err := f.s.Line(line)
	if err != nil {
		f.t.Fatal(err)
	}
	complain(f.t, r)
	return r
}

// In lets a packet come in by a device; Want says what should become of it.
func (f *Filter) In(device string, p *Packet) *Sent {
	return &Sent{f, "in " + device + " " + p.String()}
}

// Out lets the host send a packet.
func (f *Filter) Out(p *Packet) *Sent { return &Sent{f, "out " + p.String()} }

// A Sent is a packet that is about to be sent: Want sends it.
type Sent struct {
	f    *Filter
	line string
}

// Want sends the packet and fails the test unless it becomes of it what a table's line
// says behind `->`: `accept to eth1 snat 192.0.2.1`, `drop by comment "no"`.
func (s *Sent) Want(expected string) *nftcase.Result {
	s.f.t.Helper()
	return s.f.Line(s.line + " -> " + expected)
}
