package uplink

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// metric of the default routes: the worst there is, so that a route that somebody
// chose is used instead.
const metric = 1<<32 - 1

// takeDefaultRoutes makes everything elsewhere come here, in the IP versions that
// are loaded.
func (u *uplink) takeDefaultRoutes() error {
	lo := u.net.Loopback()
	if lo == nil {
		return errors.New("no loopback device is up: load the module loopback")
	}
	for v, all := range []netip.Prefix{
		network.V4: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
		network.V6: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	} {
		if u.net.Family(network.Version(v)) == nil {
			continue
		}
		r := route.Route{
			Dst: all, Type: route.Local, Scope: route.Host, Proto: route.ProtoKernel, Metric: metric,
			NextHops: []route.NextHop{{Index: lo.Index()}},
		}
		if err := u.net.AddRoute(r, route.Create); err != nil {
			return err
		}
		u.c.Cleanup(func() { u.net.DelRoute(r) })
		u.c.Cleanup(u.net.Hooks[v].Input.Add(hook.Entry{Owner: u.c.Name(), Priority: hook.First, Func: u.withoutEcho}))
	}
	return nil
}

// withoutEcho keeps the kernel from answering echo requests, and what else is no
// error, in the name of hosts elsewhere.
func (u *uplink) withoutEcho(pkt *packet.Packet) hook.Verdict {
	dst, at, ok := findICMP(pkt.Head())
	if !ok || dst.IsMulticast() || u.net.Local.Lookup(dst) != nil {
		return hook.Accept
	}
	var typ [1]byte
	if pkt.CopyOut(at, typ[:]) == 1 && isICMPError(dst, typ[0]) {
		return hook.Accept
	}
	return hook.Drop
}

// findICMP returns where the ICMP header of a packet is, behind options and
// extension headers, and whom it is for. It is not ok if there is none.
func findICMP(b []byte) (dst netip.Addr, at int, ok bool) {
	if h, ok := wire.ParseIPv4(b); ok {
		return h.Dst(), h.HeaderLen(), h.Protocol() == wire.ProtoICMP
	}
	h, ok := wire.ParseIPv6(b)
	if !ok {
		return dst, 0, false
	}
	exts := h.WalkExts()
	for more := true; more; {
		_, more = exts.Next()
	}
	proto, at := exts.Upper()
	return h.Dst(), at, proto == wire.ProtoICMPv6
}

func isICMPError(dst netip.Addr, typ uint8) bool {
	if dst.Is6() {
		return typ < 128 // RFC 4443 §2.1
	}
	return typ == wire.ICMP4Unreachable || typ == wire.ICMP4TimeExceeded || typ == wire.ICMP4ParamProblem
}

// outside translates what was called into an address of the host's world. It is
// not ok for what is no business of the uplink.
func (u *uplink) outside(r transport.Request) (to netip.AddrPort, ok bool) {
	to = r.LocalAddr()
	a := to.Addr()
	switch {
	case r.Foreign():
		return to, isElsewhere(a)
	case !u.hostLoopback || a.IsLoopback() || u.net.IsLocal(r.RemoteAddr().Addr()):
		return to, false
	case a.Is4():
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		a = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(a, to.Port()), true
}

// isElsewhere reports whether the host may be asked to connect to a: not to
// itself, whichever way it is written, and not to what means something else there
// than here.
func isElsewhere(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.Is4In6() || a.Is4() && a.IsLinkLocalUnicast()
}

// answer tells a peer why the host could not connect.
func (u *uplink) answer(r transport.Request, to netip.AddrPort, err error) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		r.Refuse()
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS),
		errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EAGAIN):
		u.warn.Warn("%v: %v", to, err)
		r.Ignore() // it is our shortage; the peer will ask again
	case u.c.Context().Err() != nil:
		r.Ignore()
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EAFNOSUPPORT),
		errors.Is(err, syscall.EADDRNOTAVAIL): // no source address, as where IPv6 is switched off
		r.Fail(network.NetUnreachable)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		r.Fail(network.AdminProhibited)
	default:
		r.Fail(network.HostUnreachable)
	}
}
