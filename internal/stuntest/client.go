package stuntest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// A Behaviour is what a mapping or a filter depends on, in the words of RFC 4787.
type Behaviour string

// Behaviours.
const (
	EndpointIndependent  Behaviour = "endpoint-independent"
	AddressDependent     Behaviour = "address-dependent"
	AddressPortDependent Behaviour = "address-and-port-dependent"
)

// ErrSilent says that a server that is there does not answer at all.
var ErrSilent = errors.New("stun: no answer")

// A Client asks a server. It has one socket.
type Client struct {
	Conn   net.PacketConn
	Server netip.AddrPort
	// Patience is how long one answer is waited for, and Tries how often it is asked
	// for.
	Patience time.Duration
	Tries    int
}

// Mapped is what the server sees of the client.
func (c *Client) Mapped() (netip.AddrPort, error) {
	m, ok, err := c.ask(c.Server, 0)
	if err == nil && !ok {
		err = ErrSilent
	}
	return m.Mapped, err
}

// Mapping finds how addresses are mapped (RFC 5780 §4.3).
func (c *Client) Mapping() (Behaviour, error) {
	first, ok, err := c.ask(c.Server, 0)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", ErrSilent
	case !first.Other.IsValid():
		return "", fmt.Errorf("stun: %v has no other address", c.Server)
	}
	second, ok, err := c.ask(netip.AddrPortFrom(first.Other.Addr(), c.Server.Port()), 0)
	switch {
	case err != nil || !ok:
		return "", errors.Join(err, ErrSilent)
	case second.Mapped == first.Mapped:
		return EndpointIndependent, nil
	}
	third, ok, err := c.ask(first.Other, 0)
	switch {
	case err != nil || !ok:
		return "", errors.Join(err, ErrSilent)
	case third.Mapped == second.Mapped:
		return AddressDependent, nil
	}
	return AddressPortDependent, nil
}

// Filtering finds who may answer (RFC 5780 §4.4). The socket must not have been used
// for anything else: what it has sent opens the filter.
func (c *Client) Filtering() (Behaviour, error) {
	if _, ok, err := c.ask(c.Server, 0); err != nil || !ok {
		return "", errors.Join(err, ErrSilent)
	}
	for _, x := range []struct {
		change uint32
		found  Behaviour
	}{{ChangeIP | ChangePort, EndpointIndependent}, {ChangePort, AddressDependent}} {
		if _, ok, err := c.ask(c.Server, x.change); err != nil || ok {
			return x.found, err
		}
	}
	return AddressPortDependent, nil
}

// Hairpins reports whether what is sent to the client's mapped address from another
// socket of the same host arrives (RFC 5780 §4.5), and where from.
func (c *Client) Hairpins(other net.PacketConn) (from netip.AddrPort, ok bool, err error) {
	to, err := c.Mapped()
	if err != nil {
		return from, false, err
	}
	for range c.Tries {
		if _, err := other.WriteTo([]byte("hairpin"), net.UDPAddrFromAddrPort(to)); err != nil {
			return from, false, err
		}
		b, src, err := c.read(time.Now().Add(c.Patience))
		if err == nil && string(b) == "hairpin" {
			return src, true, nil
		}
	}
	return from, false, nil
}

// ask sends a request and waits for its answer; false: there is none.
func (c *Client) ask(to netip.AddrPort, change uint32) (Message, bool, error) {
	m := Message{Type: BindingRequest, Change: change}
	rand.Read(m.ID[:])
	for range c.Tries {
		if _, err := c.Conn.WriteTo(m.Append(nil), net.UDPAddrFromAddrPort(to)); err != nil {
			return m, false, fmt.Errorf("stun: %w", err)
		}
		until := time.Now().Add(c.Patience)
		for {
			b, _, err := c.read(until)
			if err != nil {
				break
			}
			if r, ok := Parse(b); ok && r.Type == BindingResponse && r.ID == m.ID {
				return r, true, nil
			}
		}
	}
	return m, false, nil
}

// read returns the next datagram that comes in time. An ICMP error about an earlier
// one says nothing.
func (c *Client) read(until time.Time) ([]byte, netip.AddrPort, error) {
	if err := c.Conn.SetReadDeadline(until); err != nil {
		return nil, netip.AddrPort{}, err
	}
	var b [1500]byte
	for {
		n, from, err := c.Conn.ReadFrom(b[:])
		if err == nil {
			return b[:n], addrPort(from), nil
		}
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, net.ErrClosed) {
			return nil, netip.AddrPort{}, err
		}
	}
}
