package icmp4

import (
	"fmt"

	"github.com/knitnet/knit/core/stat"
)

// assigned is the largest type that IANA has assigned, 43, and some room.
const assigned = 48

// byType returns the fields of IcmpMsg, one for each type that may come and go.
func (m *mib) byType() (fs []stat.Field) {
	for typ := range assigned {
		fs = append(fs, stat.F(fmt.Sprintf("InType%d", typ), &m.in[typ]))
	}
	for typ := range assigned {
		fs = append(fs, stat.F(fmt.Sprintf("OutType%d", typ), &m.out[typ]))
	}
	return fs
}

// sent counts a message that is about to be sent.
func (m *mib) sent(typ uint8) {
	m.outMsgs.Inc()
	m.out[typ].Inc()
}
