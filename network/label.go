package network

import (
	"strconv"
	"strings"

	"github.com/knitnet/knit/link"
)

// maxLabel is the longest label in bytes (IFNAMSIZ - 1).
const maxLabel = 15

// relabel gives the IPv4 addresses of a device labels of its new name, as Linux does:
// the first one is the name, the others have what stood behind the colon, or their
// number.
func (l *Layer) relabel(dev *link.Device) {
	name, n := dev.Name(), 0
	for _, a := range l.Addrs(dev.Index()) {
		if !a.IP().Is4() {
			continue
		}
		n++
		label := name
		if n > 1 {
			_, tail, ok := strings.Cut(a.Label, ":")
			if !ok {
				tail = strconv.Itoa(n)
			}
			tail = ":" + tail
			label = name[:min(len(name), max(maxLabel-len(tail), 0))] + tail
		}
		l.UpdateAddr(dev, a.Prefix, func(a *Addr) { a.Label = label })
	}
}
