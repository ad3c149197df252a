//go:build !linux

package hostfd

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/internal/tunfd"
	"github.com/knitnet/knit/link"
)

// A driver cannot be made here.
type driver struct{}

func (*driver) detach(*link.Device) {}

func openDevice(m *maker, name string, _ tunfd.Config) (*link.Device, *driver, error) {
	return nil, nil, unsupported(m, name)
}

func attachDevice(m *maker, cfg link.AttachConfig) (*link.Device, *driver, error) {
	return nil, nil, unsupported(m, cfg.Name)
}

func unsupported(m *maker, name string) error {
	return fmt.Errorf("%s %q: %w: %w", m.kind, name, syscall.ENOTSUP, tunfd.ErrUnsupported)
}
