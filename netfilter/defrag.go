package netfilter

// Symbols of the modules that put fragments together in front of connection
// tracking; the modules have the same names.
const (
	Defrag4Symbol = "nf_defrag_ipv4"
	Defrag6Symbol = "nf_defrag_ipv6"
)

// A Defragmenter puts fragments together before other hooks see them.
type Defragmenter interface {
	// Hold makes it work until release is called. The caller has borrowed the symbol,
	// which keeps the module.
	Hold() (release func())
}
