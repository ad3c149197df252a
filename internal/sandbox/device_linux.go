package sandbox

import (
	"fmt"
	"strings"

	"github.com/knitnet/knit/internal/tunfd"
)

// openDevice opens the device in the child's network namespace. A note says
// why it is not of the kind that the configuration prefers.
func (c Config) openDevice() (Device, []string, error) {
	if c.Require == Packet {
		d, err := c.openPacket()
		return d, nil, err
	}
	d, tunErr := c.openTUN()
	if tunErr == nil || c.Require != "" {
		return d, nil, tunErr
	}
	d, err := c.openPacket()
	if err != nil {
		// The second error counts: it needs nothing but the namespaces.
		return d, nil, fmt.Errorf("%v; nor does a packet socket go: %w", tunErr, err)
	}
	return d, []string{"using a veth pair and a packet socket: " + tunErr.Error()}, nil
}

func (c Config) openTUN() (Device, error) {
	kind := TUN
	if c.TAP && c.Require == "" || c.Require == TAP {
		kind = TAP
	}
	opened, err := tunfd.Open(tunfd.Config{
		Name:       c.nameFor(kind),
		TAP:        kind == TAP,
		VnetHdr:    true,
		MultiQueue: c.Queues,
		Path:       c.TUNPath,
	})
	if err != nil {
		return Device{}, &tunError{kind, err}
	}
	return Device{
		Kind:       kind,
		Name:       opened.Name,
		VnetHdrLen: opened.VnetHdrLen,
		Offload:    opened.Offload,
		Files:      opened.Files,
	}, nil
}

// A tunError is an error of tunfd, which says itself what to do: the settings
// of namespaces have nothing to do with it.
type tunError struct {
	kind Kind
	err  error
}

func (e *tunError) Error() string {
	return fmt.Sprintf("no %s: %v", strings.ToUpper(string(e.kind)), e.err)
}

func (e *tunError) Unwrap() error { return e.err }

func (c Config) nameFor(k Kind) string {
	switch {
	case c.Name != "":
		return c.Name
	case k == TUN:
		return "tun0"
	}
	return "eth0"
}
