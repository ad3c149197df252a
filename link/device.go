package link

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// A Type is the hardware type of a device (ARPHRD_*).
type Type uint16

// Hardware types.
const (
	Ether    Type = 1     // frames have an Ethernet header
	Loopback Type = 772   // no header; what is sent is received
	None     Type = 65534 // no header: a point-to-point IP device
)

// String returns the name `ip link` prints after "link/".
func (t Type) String() string {
	switch t {
	case Ether:
		return "ether"
	case Loopback:
		return "loopback"
	case None:
		return "none"
	}
	return fmt.Sprintf("[%d]", uint16(t))
}

// Flags are interface flags (IFF_*), with Linux's values.
type Flags uint32

// Interface flags.
const (
	Up           Flags = 1 << 0
	BroadcastDev Flags = 1 << 1
	LoopbackDev  Flags = 1 << 3
	PointToPoint Flags = 1 << 4
	Running      Flags = 1 << 6
	NoARP        Flags = 1 << 7
	Promisc      Flags = 1 << 8
	AllMulti     Flags = 1 << 9
	MasterDev    Flags = 1 << 10
	MulticastDev Flags = 1 << 12
	LowerUp      Flags = 1 << 16

	// noCarrier is set while the medium is cut. Users see it by the absence of
	// LowerUp.
	noCarrier Flags = 1 << 31
)

// Features are what a driver can do so that link need not (NETIF_F_*).
type Features uint32

// Features.
const (
	TxCsum  Features = 1 << iota // completes CsumPartial, or needs no checksum
	TSO4                         // takes GSOTCP4
	TSO6                         // takes GSOTCP6
	USO                          // takes GSOUDP
	GRO                          // received batches are worth merging
	AllTx   = TxCsum | TSO4 | TSO6 | USO
	Default = AllTx | GRO
)

// consistent returns f without what needs something that f lacks: a segment that the
// driver cuts has no checksum yet (Linux's netdev_fix_features).
func (f Features) consistent() Features {
	if f&TxCsum == 0 {
		f &^= AllTx
	}
	return f
}

// A Driver moves frames between a device and the outside world.
type Driver interface {
	// Transmit sends the packets of q, which it owns, in order. Frames have
	// their link header. What cannot be sent goes to Device.NotSent. It is called
	// concurrently.
	Transmit(dev *Device, q *packet.Queue)
	// Open is called when the device goes up; from then on the driver may call
	// Receive. An error keeps the device down.
	Open(dev *Device) error
	// Close is called when the device goes down or away. When it returns, the
	// driver calls Receive no more.
	Close(dev *Device)
}

// An MTUSetter is a Driver that has a say in the MTU.
type MTUSetter interface {
	SetMTU(dev *Device, mtu int) error
}

// A StateFollower is a Driver that acts when its device has gone up or down,
// after Open or Close and with no lock held: there it may set the carrier of
// another device.
type StateFollower interface {
	StateChanged(dev *Device)
}

// A Paired driver joins its device to another one, as veth does: `ip link` shows
// v0@v1. Peer returns nil when the other one is gone.
type Paired interface {
	Peer(dev *Device) *Device
}

// A ModuleDriver is a Driver whose device comes with its module and goes with it, so
// that who writes down what there is, as `knit save` does, need not make it.
type ModuleDriver interface {
	MadeByModule()
}

// A Deleter is a Driver that can delete its device, and what belongs to it, also
// where its kind is not known: in the other kernel of a pipe.
type Deleter interface {
	Delete(dev *Device) error
}

// Info describes a new device.
type Info struct {
	// Name may contain one %d, which becomes the first free number.
	Name string
	// Kind is the rtnl_link_ops name ("dummy", "veth", "tun"), for `ip -d link`.
	Kind string
	Type Type
	// Hardware is the Ethernet address; zero means a random one.
	Hardware wire.MAC
	// MTU in bytes without the link header; zero means 1500.
	MTU int
	// MinMTU and MaxMTU bound later changes; zero means 68 and 65535.
	MinMTU, MaxMTU int
	// Flags in addition to those that follow from Type, and Without which of those.
	Flags    Flags
	Without  Flags
	Features Features
	// Driver parameters of interest to `ip -d link`.
	Detail string
}

// A Device is one network interface. Its methods are safe for concurrent use.
type Device struct {
	layer  *Layer
	driver Driver
	info   Info
	index  int32

	mtu      atomic.Int32
	features atomic.Uint32
	flags    atomic.Uint32
	taps     atomic.Pointer[[]*Tap]
	name     atomic.Pointer[string]
	hw       atomic.Uint64 // the address's six bytes, big endian
	alias    atomic.Pointer[string]
	master   atomic.Pointer[Device]
	// options are those that Layer.Create made it with.
	options atomic.Pointer[map[string]string]

	rx, tx Traffic

	config sync.Mutex // serialises Open and Close of the driver
	gone   bool       // under config

	enslave sync.Mutex // serialises changes of master

	// listen guards who listens in. It is not config, because Close waits for
	// packets that are inside, and those may be adding a listener.
	listen                      sync.Mutex
	promiscCount, allMultiCount int
	asked                       Flags // Promisc and AllMulti of the user, who counts as one
}

// Traffic counts one direction of a device.
type Traffic struct {
	Packets, Bytes, Errors, Dropped, Multicast stat.Counter
	_                                          [24]byte // rx and tx apart
}

// Attach makes a device of d, down at first. Detach ends it.
func (l *Layer) Attach(info Info, d Driver) (*Device, error) {
	info = withDefaults(info)
	if info.MTU < info.MinMTU || info.MTU > info.MaxMTU {
		return nil, fmt.Errorf("mtu %d of %s: %w: want %d to %d", info.MTU, info.Name, syscall.EINVAL, info.MinMTU, info.MaxMTU)
	}
	dev := &Device{layer: l, driver: d, info: info}
	dev.mtu.Store(int32(info.MTU))
	dev.features.Store(uint32(info.Features.consistent()))
	dev.flags.Store(uint32(info.Flags))
	dev.storeMAC(info.Hardware)
	if err := l.insert(dev); err != nil {
		return nil, err
	}
	l.notify(Event{Added, dev})
	return dev, nil
}

func withDefaults(info Info) Info {
	if info.MTU == 0 {
		info.MTU = 1500
	}
	if info.MinMTU == 0 {
		info.MinMTU = 68
	}
	if info.MaxMTU == 0 {
		info.MaxMTU = 65535
	}
	switch info.Type {
	case Ether:
		info.Flags |= BroadcastDev | MulticastDev
		if info.Hardware.IsZero() {
			var b [6]byte
			rand.Read(b[:])
			info.Hardware = newMAC(b)
		}
	case Loopback:
		info.Flags |= LoopbackDev
	case None:
		info.Flags |= PointToPoint | NoARP | MulticastDev
	}
	info.Flags &^= info.Without
	return info
}

func (l *Layer) insert(dev *Device) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, err := l.freeName(dev.info.Name)
	if err != nil {
		return err
	}
	dev.name.Store(&name)
	l.last++
	dev.index = l.last
	var table []*Device
	if t := l.byIndex.Load(); t != nil {
		table = slices.Clone(*t)
	}
	for len(table) <= int(dev.index) {
		table = append(table, nil)
	}
	table[dev.index] = dev
	l.byIndex.Store(&table)
	return nil
}

// freeName checks a name, or finds one for a pattern. l.mu is held.
func (l *Layer) freeName(name string) (string, error) {
	base, rest, pattern := strings.Cut(name, "%d")
	if pattern && strings.Contains(base+rest, "%") {
		return "", fmt.Errorf("device name %q: %w: want at most one %%d and no other %%", name, syscall.EINVAL)
	}
	taken := make(map[string]bool)
	for _, d := range l.Devices() {
		taken[d.Name()] = true
	}
	for i := 0; pattern; i++ {
		if n := fmt.Sprint(base, i, rest); !taken[n] {
			name = n
			break
		}
	}
	if err := checkName(name); err != nil {
		return "", err
	}
	if taken[name] {
		return "", fmt.Errorf("device %q: %w", name, ErrExists)
	}
	return name, nil
}

// checkName holds Linux's rules for interface names (dev_valid_name).
func checkName(name string) error {
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\r\v\f\x00") {
		return fmt.Errorf("device name %q: %w: want 1 to 15 characters without '/', ':' and white space", name, syscall.EINVAL)
	}
	return nil
}

// Detach takes the device down and out of the table. Taking it out twice is
// harmless. It must not be called from the packet path.
func (dev *Device) Detach() {
	dev.config.Lock()
	if dev.gone {
		dev.config.Unlock()
		return
	}
	dev.gone = true
	dev.config.Unlock()
	dev.SetUp(false)
	dev.free()
	dev.layer.remove(dev)
	dev.layer.notify(Event{Removed, dev})
}

func (l *Layer) remove(dev *Device) {
	l.mu.Lock()
	defer l.mu.Unlock()
	table := slices.Clone(*l.byIndex.Load())
	table[dev.index] = nil
	l.byIndex.Store(&table)
}

// Layer returns the table the device is in.
func (dev *Device) Layer() *Layer { return dev.layer }

// Index returns the interface index, from 1 on.
func (dev *Device) Index() int32 { return dev.index }

// Name returns the current name.
func (dev *Device) Name() string { return *dev.name.Load() }

// Kind returns the name of the device's kind, such as "veth"; "" if it has none.
func (dev *Device) Kind() string { return dev.info.Kind }

// Detail returns what the driver wants `ip -d link` to show.
func (dev *Device) Detail() string { return dev.info.Detail }

// Type returns the hardware type.
func (dev *Device) Type() Type { return dev.info.Type }

// Driver returns what Attach was given.
func (dev *Device) Driver() Driver { return dev.driver }

// MTU returns the largest network packet in bytes.
func (dev *Device) MTU() int { return int(dev.mtu.Load()) }

// MTURange returns the bounds of SetMTU in bytes.
func (dev *Device) MTURange() (lo, hi int) { return dev.info.MinMTU, dev.info.MaxMTU }

// Flags returns the flags of now.
func (dev *Device) Flags() Flags { return Flags(dev.flags.Load()) &^ noCarrier }

// Up reports whether the device is administratively up.
func (dev *Device) Up() bool { return dev.Flags()&Up != 0 }

// Features returns what is switched on.
func (dev *Device) Features() Features { return Features(dev.features.Load()) }

// MAC returns the hardware address; zero for devices without.
func (dev *Device) MAC() wire.MAC {
	v := dev.hw.Load()
	return wire.MAC{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

func (dev *Device) storeMAC(m wire.MAC) {
	var v uint64
	for _, b := range m {
		v = v<<8 | uint64(b)
	}
	dev.hw.Store(v)
}

// Rx and Tx return the counters of received and of sent packets.
func (dev *Device) Rx() *Traffic { return &dev.rx }

// Tx returns the counters of sent packets.
func (dev *Device) Tx() *Traffic { return &dev.tx }

// HeaderLen returns the length of the link header in bytes.
func (dev *Device) HeaderLen() int {
	if dev.info.Type == Ether {
		return wire.EthernetLen
	}
	return 0
}

// NeedsNeighbour reports whether a packet needs the next hop's hardware address.
func (dev *Device) NeedsNeighbour() bool { return dev.info.Type == Ether }
