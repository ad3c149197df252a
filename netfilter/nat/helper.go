package nat

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
)

// Mangle implements netfilter.Translator.
func (t *translator) Mangle(pkt *packet.Packet, c *netfilter.Conn, info netfilter.Info, off, n int, with []byte) bool {
	return n == len(with)
}
