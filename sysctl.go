package knit

import (
	"fmt"

	"github.com/knitnet/knit/core/sysctl"
)

// registerSysctls publishes the settings that belong to no module.
func (k *Kernel) registerSysctls() error {
	ports := &k.Transport.Ephemeral
	_, err := k.Sysctl.Register(sysctl.String("net.ipv4.ip_local_port_range", func() string {
		lo, hi := ports.Get()
		return fmt.Sprintf("%d\t%d", lo, hi)
	}, func(text string) error {
		lo, hi := ports.Get()
		list := []uint64{uint64(lo), uint64(hi)} // one number alone changes the first, as on Linux
		if err := sysctl.ParseUints(list, text, 1, 1<<16-1); err != nil {
			return err
		}
		if err := ports.Set(uint16(list[0]), uint16(list[1])); err != nil {
			return fmt.Errorf("%w: %q, want the lower port first", err, text)
		}
		return nil
	}))
	return err
}
