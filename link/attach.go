package link

import (
	"os"

	"github.com/knitnet/knit/wire"
)

// TUNAttachSymbol and TAPAttachSymbol are the symbols, exported by the modules
// tun and tap, of an AttachFunc: for descriptors that carry IP packets, and for
// those that carry Ethernet frames.
const (
	TUNAttachSymbol = "tun.attach"
	TAPAttachSymbol = "tap.attach"
)

// An AttachConfig describes a device over descriptors that somebody else opened:
// queues of a TUN or a TAP, or a packet socket.
type AttachConfig struct {
	// Name of the device; may contain %d.
	Name string
	// Files are the queues, from 1 on; each read and each write is one packet or
	// frame. They are duplicated: the caller keeps its own, which become non-blocking
	// with them, and closes them.
	Files []*os.File
	// VNetHdrLen is the length in bytes of the virtio-net header before each
	// frame: 10 or 12, or 0 for none. Its fields are little-endian.
	VNetHdrLen int
	// Features are what may be written unfinished. They need the header; zero
	// means what every Linux with the header takes: TxCsum, TSO4 and TSO6.
	Features Features
	// MTU in bytes. Zero means 1500.
	MTU int
	// Hardware is the Ethernet address; zero means a random one.
	Hardware wire.MAC
}

// An AttachFunc makes a device, down at first. Layer.Delete or unloading the
// module removes it. It is ENOTSUP on systems other than Linux.
type AttachFunc func(cfg AttachConfig) (*Device, error)
