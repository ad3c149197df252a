//go:build !linux

package sandbox

import (
	"context"
	"os"
)

// A Sandbox is a command in namespaces of its own. Outside Linux there is
// none.
type Sandbox struct{}

// A Report says what the machine allows.
type Report struct {
	TUN, Packet error
}

// MaybeChild does nothing.
func MaybeChild() {}

// Start returns ErrUnsupported.
func Start(Config) (*Sandbox, error) { return nil, ErrUnsupported }

// Run returns ErrUnsupported.
func Run(context.Context, Config, func(*Sandbox) error) (int, error) {
	return StatusFailed, ErrUnsupported
}

// Probe reports that nothing is supported.
func Probe() Report { return Report{TUN: ErrUnsupported, Packet: ErrUnsupported} }

// Diagnose returns ErrUnsupported.
func Diagnose() error { return ErrUnsupported }

// Err returns why no sandbox can be started.
func (r Report) Err() error { return r.Packet }

// String returns the report as text.
func (r Report) String() string { return ErrUnsupported.Error() }

// Device returns the zero Device.
func (s *Sandbox) Device() Device { return Device{} }

// Notes returns nil.
func (s *Sandbox) Notes() []string { return nil }

// Warnings returns nil.
func (s *Sandbox) Warnings() []string { return nil }

// Exec returns ErrUnsupported.
func (s *Sandbox) Exec() error { return ErrUnsupported }

// Signal returns ErrUnsupported.
func (s *Sandbox) Signal(os.Signal) error { return ErrUnsupported }

// Wait returns ErrUnsupported.
func (s *Sandbox) Wait() (int, error) { return StatusFailed, ErrUnsupported }

// Close does nothing.
func (s *Sandbox) Close() error { return nil }
