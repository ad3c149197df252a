package stuntest

import (
	"net"
	"net/netip"
	"sync"
)

// Listen opens a datagram socket, as the method ListenPacket of a kernel or
// net.ListenPacket does.
type Listen func(network, address string) (net.PacketConn, error)

// A Server answers on two ports of each of two addresses.
type Server struct {
	conns [2][2]net.PacketConn
	at    [2][2]netip.AddrPort
	wait  sync.WaitGroup
}

// Serve makes a server and lets it run until Close.
func Serve(listen Listen, addrs [2]netip.Addr, ports [2]uint16) (*Server, error) {
	s := new(Server)
	for i, a := range addrs {
		for j, p := range ports {
			s.at[i][j] = netip.AddrPortFrom(a, p)
			c, err := listen("udp", s.at[i][j].String())
			if err != nil {
				s.Close()
				return nil, err
			}
			s.conns[i][j] = c
		}
	}
	for i := range s.conns {
		for j := range s.conns[i] {
			s.wait.Go(func() { s.serve(i, j) })
		}
	}
	return s, nil
}

// Addr is where the server is asked first.
func (s *Server) Addr() netip.AddrPort { return s.at[0][0] }

// Close ends the server.
func (s *Server) Close() {
	for i := range s.conns {
		for _, c := range s.conns[i] {
			if c != nil {
				c.Close()
			}
		}
	}
	s.wait.Wait()
}

// serve answers what comes to one address and port.
func (s *Server) serve(i, j int) {
	var b [1500]byte
	for {
		n, from, err := s.conns[i][j].ReadFrom(b[:])
		if err != nil {
			return
		}
		m, ok := Parse(b[:n])
		if !ok || m.Type != BindingRequest {
			continue
		}
		oi, oj := i, j
		if m.Change&ChangeIP != 0 {
			oi = 1 - i
		}
		if m.Change&ChangePort != 0 {
			oj = 1 - j
		}
		r := Message{
			Type: BindingResponse, ID: m.ID, Classic: m.Classic, Cookie: m.Cookie,
			Mapped: addrPort(from), Origin: s.at[oi][oj], Other: s.at[1-i][1-j],
		}
		// A lost answer is asked for again.
		_, _ = s.conns[oi][oj].WriteTo(r.Append(nil), from)
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	p := a.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
