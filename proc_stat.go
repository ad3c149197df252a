package knit

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/knitnet/knit/core/stat"
)

// The groups of /proc/net/snmp (RFC 1213 and its successors), in their order, and
// those of /proc/net/snmp6, which module ip6 writes.
var (
	snmpGroups  = [...]string{"Ip", "Icmp", "IcmpMsg", "Tcp", "Udp", "UdpLite"}
	snmp6Groups = [...]string{"Ip6", "Icmp6", "Udp6", "UdpLite6"}
)

func (k *Kernel) procSnmp(w io.Writer) error {
	for _, name := range snmpGroups {
		g, ok := k.Stats.Lookup(name)
		if name == "IcmpMsg" { // only the types that were seen
			g.Fields = slices.DeleteFunc(slices.Clone(g.Fields), func(f stat.Field) bool { return f.Load() == 0 })
			ok = len(g.Fields) > 0
		}
		if ok {
			if err := writeGroup(w, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// procNetstat writes the groups that Linux has beside the standard ones.
func (k *Kernel) procNetstat(w io.Writer) error {
	for _, g := range k.Stats.Groups() {
		if slices.Contains(snmpGroups[:], g.Name) || slices.Contains(snmp6Groups[:], g.Name) {
			continue
		}
		if err := writeGroup(w, g); err != nil {
			return err
		}
	}
	return nil
}

// writeGroup writes two lines: the names, and below them the values.
func writeGroup(w io.Writer, g stat.Group) error {
	var names, values strings.Builder
	for _, f := range g.Fields {
		names.WriteString(" " + f.Name)
		if f.Name == "MaxConn" {
			fmt.Fprintf(&values, " %d", int64(f.Load())) // -1 means no limit (RFC 4022 §3)
			continue
		}
		fmt.Fprintf(&values, " %d", f.Load())
	}
	_, err := fmt.Fprintf(w, "%s:%s\n%s:%s\n", g.Name, &names, g.Name, &values)
	return err
}
