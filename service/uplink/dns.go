package uplink

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/knitnet/knit/service/internal/nameserver"
	"github.com/knitnet/knit/service/uplink/internal/resolve"
	"github.com/knitnet/knit/socket"
)

const dnsPort = "53"

// serveNames answers questions at the addresses of the parameter dns.
func (u *uplink) serveNames(sockets *socket.Sockets, r *resolve.Resolver) error {
	s := &nameserver.Server{Context: u.c, Clock: u.clock, Answer: r.Answer}
	for _, text := range u.c.List("dns") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("parameter dns: %q: want IP addresses of this kernel", text)
		}
		if err := s.Listen(sockets, net.JoinHostPort(a.String(), dnsPort)); err != nil {
			return err
		}
	}
	return nil
}
