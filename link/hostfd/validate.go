package hostfd

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/internal/tunfd"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

func validate(cfg link.AttachConfig) error {
	switch {
	case len(cfg.Files) == 0 || len(cfg.Files) > tunfd.MaxQueues:
		return fmt.Errorf("%d descriptors: %w: want 1 to %d", len(cfg.Files), syscall.EINVAL, tunfd.MaxQueues)
	case cfg.VNetHdrLen != 0 && cfg.VNetHdrLen != wire.VNetLen && cfg.VNetHdrLen != wire.VNetV1Len:
		return fmt.Errorf("virtio-net header of %d bytes: %w: want 0, %d or %d", cfg.VNetHdrLen, syscall.EINVAL, wire.VNetLen, wire.VNetV1Len)
	case cfg.VNetHdrLen == 0 && cfg.Features&link.AllTx != 0:
		return fmt.Errorf("features %#x: %w: offloads need the virtio-net header", uint32(cfg.Features), syscall.EINVAL)
	}
	return nil
}

// features returns what an attached device can do.
func features(cfg link.AttachConfig) link.Features {
	switch {
	case cfg.VNetHdrLen == 0:
		return link.GRO
	case cfg.Features == 0:
		return link.TxCsum | link.TSO4 | link.TSO6 | link.GRO
	}
	return cfg.Features
}

// hostFeatures translates what the host's interface takes; it takes for sending
// what it may leave to the reader.
func hostFeatures(o tunfd.Offload) link.Features {
	f := link.GRO
	for _, t := range []struct {
		offload tunfd.Offload
		feature link.Features
	}{
		{tunfd.OffloadChecksum, link.TxCsum},
		{tunfd.OffloadTSO4, link.TSO4},
		{tunfd.OffloadTSO6, link.TSO6},
		{tunfd.OffloadUSO4 | tunfd.OffloadUSO6, link.USO},
	} {
		if o&t.offload == t.offload {
			f |= t.feature
		}
	}
	return f
}
