package server

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/transport"
)

func ss() Handler {
	return Handle(control.SS(), func(_ context.Context, e *Env, q control.SSRequest, emit func(control.SSReply) error) error {
		r := control.SSReply{Sockets: []control.Socket{}}
		if q.Summary {
			r.Summary = e.summary()
		}
		for _, proto := range q.Protos {
			kind, ok := socketKinds[proto]
			if !ok {
				continue // no sockets of this kind can be
			}
			for _, s := range e.sockets(kind) {
				if !slices.Contains(q.States, s.State) || !ofFamily(&s, q.Family) || !q.Filter.Match(&s) {
					continue
				}
				if q.Kill && !e.Kernel.Transport.Kill(kind, s.ID) {
					continue
				}
				r.Sockets = append(r.Sockets, s)
			}
		}
		return emit(r)
	})
}

var socketKinds = map[string]transport.Kind{
	"tcp": transport.TCP, "udp": transport.UDP, "raw": transport.Raw, "icmp": transport.Ping,
}

// ofFamily reports whether a socket is of a family; one that takes both is IPv6.
func ofFamily(s *control.Socket, family string) bool {
	v4 := s.Local.Addr().Is4() || s.Remote.Addr().Is4()
	return family == "" || v4 == (family == "inet")
}

// sockets lists a protocol's sockets, listeners first, in the order in which they
// were made.
func (e *Env) sockets(k transport.Kind) (out []control.Socket) {
	list := e.Kernel.Transport.Sockets(k)
	slices.SortStableFunc(list, func(a, b transport.SocketInfo) int { return cmp.Compare(a.ID, b.ID) })
	for i := range list {
		out = append(out, e.socket(&list[i]))
	}
	return out
}

func (e *Env) socket(s *transport.SocketInfo) control.Socket {
	out := control.Socket{
		Netid: s.Proto, State: s.State, RecvQ: s.RecvQ, SendQ: s.SendQ, Local: s.Local, Remote: s.Remote,
		Timer: s.Timer, Expires: s.TimerExpires / 1e6, Retransmits: s.Retransmits, Drops: s.Drops, ID: s.ID,
		V6Only: s.V6Only, Module: s.Owner, UID: s.UID, Mark: s.Mark,
	}
	if s.Owner == "" {
		out.Process, out.PID = filepath.Base(os.Args[0]), os.Getpid()
	}
	if dev := e.Kernel.Link.Device(s.Index); dev != nil {
		out.Dev = dev.Name()
	}
	if t := s.TCP; t != nil {
		out.TCP = tcpInfo(t, s.Retransmits)
	}
	return out
}

func tcpInfo(t *transport.TCPInfo, backoff int) *control.TCPInfo {
	return &control.TCPInfo{
		Options: t.Options, Congestion: t.Congestion, SndWScale: t.SndWScale, RcvWScale: t.RcvWScale,
		RTO: t.RTO, ATO: t.ATO, RTT: t.RTT, RTTVar: t.RTTVar, MinRTT: t.MinRTT, Backoff: backoff,
		MSS: t.MSS, PMTU: t.PMTU, RcvMSS: t.RcvMSS, AdvMSS: t.AdvMSS, Cwnd: t.Cwnd, Ssthresh: t.Ssthresh,
		BytesSent: t.BytesSent, BytesRetrans: t.BytesRetrans, BytesAcked: t.BytesAcked, BytesRcvd: t.BytesReceived,
		SegsOut: t.SegsOut, SegsIn: t.SegsIn, DataSegsOut: t.DataSegsOut, DataSegsIn: t.DataSegsIn,
		LastSend: t.LastSend, LastRecv: t.LastRecv, LastAck: t.LastAck, Busy: t.BusyTime, Delivered: t.Delivered,
		Unacked: t.Unacked, Retrans: t.Retrans, RetransTotal: t.RetransTotal, Lost: t.Lost, Sacked: t.Sacked,
		RcvSpace: t.RcvSpace, RcvSsthresh: t.RcvSsthresh, NotSent: t.NotSent, SndWnd: t.SndWnd,
	}
}

// summary counts all sockets. As on Linux those in TIME-WAIT are no sockets any
// more, and count as closed.
func (e *Env) summary() *control.SSSummary {
	sum := &control.SSSummary{}
	count := func(n *[2]int, s *control.Socket) {
		if ofFamily(s, "inet") {
			n[0]++
		} else {
			n[1]++
		}
	}
	for _, s := range e.sockets(transport.TCP) {
		switch s.State {
		case "TIME-WAIT":
			sum.TimeWait++
			sum.Closed++
			continue
		case "UNCONN":
			sum.Closed++
		case "ESTAB", "CLOSE-WAIT":
			sum.Estab++ // TCP-MIB's tcpCurrEstab
		}
		count(&sum.TCP, &s)
	}
	for _, s := range e.sockets(transport.UDP) {
		count(&sum.UDP, &s)
	}
	for _, s := range e.sockets(transport.Raw) {
		count(&sum.Raw, &s)
	}
	return sum
}
