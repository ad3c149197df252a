package link

// PipeSymbol is the symbol, exported by module pipe, of a PipeFunc.
const PipeSymbol = "pipe.new"

// A PipeConfig describes a pipe. The zero value makes a pair of point-to-point IP
// devices with an MTU of 1500 bytes over which segments of 64 KiB pass uncut.
type PipeConfig struct {
	// A and B are the names of the ends. Empty means "pipe%d".
	A, B string
	// MTU of both ends in bytes. Zero means 1500.
	MTU int
	// Features of both ends. Zero means Default. TxCsum alone lets link cut
	// segments to the MTU, as for a medium that cannot; without TxCsum it
	// computes every checksum too.
	Features Features
	// Ethernet makes the ends Ethernet devices, which need ARP and neighbour
	// discovery.
	Ethernet bool
}

// A PipeFunc joins two layers, of two kernels or of one, by a pair of devices: x
// in a and y in b, both down. What x sends y receives and the other way round, in
// the goroutine of the sender. Detaching one end leaves the other one without a
// carrier; unloading the module detaches both.
type PipeFunc func(a, b *Layer, cfg PipeConfig) (x, y *Device, err error)
