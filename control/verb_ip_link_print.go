package control

import (
	"fmt"
	"strings"
)

// links prints devices as ip link and ip address do.
func (o *ipOut) links(q IPRequest, list []IPLink) {
	withAddrs := q.Object == "address"
	o.beginArray("")
	for i := range list {
		l := &list[i]
		switch {
		case o.f.brief:
			o.brief(l, withAddrs)
		case withAddrs && o.f.oneline && !o.f.json:
			o.addrLines(list[i : i+1])
		default:
			o.beginObject("")
			if q.Filter == nil || q.Filter.Label == "" || o.f.json {
				// Where label says which addresses are wanted, they come alone.
				o.link(q, l, withAddrs)
			}
			if withAddrs {
				o.beginArray("addr_info")
				for j := range l.Addrs {
					o.beginObject("")
					o.addr(&l.Addrs[j])
					o.endObject()
				}
				o.endArray()
			}
			o.endObject()
		}
	}
	o.endArray()
}

// name prints index and name of a device, and the other end of a pair.
func (o *ipOut) name(l *IPLink) {
	if l.Peer == "" {
		o.val("ifname", "%s", l.Name)
		return
	}
	if o.f.json {
		o.val("link", "", l.Peer)
		o.val("ifname", "", l.Name)
		return
	}
	o.text("%s@%s", l.Name, l.Peer)
}

func (o *ipOut) brief(l *IPLink, withAddrs bool) {
	o.beginObject("")
	if o.f.json {
		o.name(l)
		o.val("operstate", "", l.Operstate)
	} else {
		name := l.Name
		if l.Peer != "" {
			name += "@" + l.Peer
		}
		o.text("%-16s %-14s ", name, l.Operstate)
	}
	if withAddrs {
		o.beginArray("addr_info")
		for i := range l.Addrs {
			o.beginObject("")
			o.local(&l.Addrs[i])
			o.endObject()
		}
		o.endArray()
	} else {
		if l.Type == "ether" || l.Type == "loopback" {
			o.val("address", "%s ", l.Address)
		}
		o.flags(l)
	}
	o.text("\n")
	o.endObject()
}

func (o *ipOut) flags(l *IPLink) {
	o.text("<%s> ", strings.Join(l.Flags, ","))
	o.list("flags", l.Flags)
}

// link prints the lines of one device.
func (o *ipOut) link(q IPRequest, l *IPLink, withAddrs bool) {
	o.val("ifindex", "%d: ", l.Index)
	o.name(l)
	o.text(": ")
	o.flags(l)
	o.val("mtu", "mtu %d ", l.MTU)
	o.val("qdisc", "qdisc %s ", l.Qdisc)
	if l.Master != "" {
		o.val("master", "master %s ", l.Master)
	}
	o.val("operstate", "state %s ", l.Operstate)
	if !withAddrs && q.Command != "monitor" {
		o.val("linkmode", "mode %s ", "DEFAULT")
	}
	o.val("group", "group %s ", "default")
	if l.TxQueue != 0 && q.Command != "monitor" {
		o.val("txqlen", "qlen %d", l.TxQueue)
	}
	if q.Family == "" || q.Family == "link" || !withAddrs {
		o.linkAddress(l)
	}
	if o.f.details {
		o.linkDetails(l)
	}
	if l.Alias != "" && (q.Object == "link" || o.f.details) {
		o.line()
		o.val("ifalias", "    alias %s", l.Alias)
	}
	if o.f.stats > 0 {
		o.traffic(l)
	}
	o.text("\n")
}

func (o *ipOut) linkAddress(l *IPLink) {
	o.line()
	o.val("link_type", "    link/%s ", l.Type)
	if l.Address == "" {
		return
	}
	o.val("address", "%s", l.Address)
	o.val("broadcast", " brd %s", l.Broadcast)
}

func (o *ipOut) linkDetails(l *IPLink) {
	one := map[bool]int{true: 1}
	o.val("promiscuity", " promiscuity %d ", one[l.Promiscuous])
	o.val("allmulti", " allmulti %d ", one[l.AllMulti])
	o.val("min_mtu", "minmtu %d ", l.MinMTU)
	o.val("max_mtu", "maxmtu %d ", l.MaxMTU)
	if l.Kind == "" && l.SlaveKind == "" {
		return
	}
	o.beginObject("linkinfo")
	if l.Kind != "" {
		o.line()
		o.val("info_kind", "    %s ", l.Kind)
		o.linkData(l)
	}
	if l.SlaveKind != "" {
		o.line()
		o.val("info_slave_kind", "    %s_slave ", l.SlaveKind)
		o.tableData("info_slave_data", l.SlaveTable)
	}
	o.endObject()
}

// linkData prints what the driver says of a device.
func (o *ipOut) linkData(l *IPLink) {
	if l.Table != 0 {
		o.tableData("info_data", l.Table)
	} else if detail := strings.TrimPrefix(l.Detail, l.Kind+" "); detail != "" { // it may begin with the kind, as ip prints it
		o.val("info_data", "%s ", detail)
	}
}

// tableData prints the table of a VRF, if there is one.
func (o *ipOut) tableData(key string, table uint32) {
	if table == 0 {
		return
	}
	o.beginObject(key)
	o.val("table", "table %d ", table)
	o.endObject()
}

// traffic prints the counters of a device. The second -s adds the kinds of errors,
// none of which a device without a wire has.
func (o *ipOut) traffic(l *IPLink) {
	o.beginObject("stats64")
	o.direction("rx", []column{
		{"bytes", "bytes", l.Rx.Bytes}, {"packets", "packets", l.Rx.Packets}, {"errors", "errors", l.Rx.Errors},
		{"dropped", "dropped", l.Rx.Dropped}, {"over_errors", "missed", 0}, {"multicast", "mcast", l.Rx.Multicast},
	}, []column{
		{"length_errors", "length", 0}, {"crc_errors", "crc", 0}, {"frame_errors", "frame", 0}, {"fifo_errors", "fifo", 0},
		{"missed_errors", "overrun", 0},
	})
	o.direction("tx", []column{
		{"bytes", "bytes", l.Tx.Bytes}, {"packets", "packets", l.Tx.Packets}, {"errors", "errors", l.Tx.Errors},
		{"dropped", "dropped", l.Tx.Dropped}, {"carrier_errors", "carrier", 0}, {"collisions", "collsns", 0},
	}, []column{
		{"aborted_errors", "aborted", 0}, {"fifo_errors", "fifo", 0}, {"window_errors", "window", 0},
		{"heartbeat_errors", "heartbt", 0}, {"carrier_changes", "transns", 0},
	})
	o.endObject()
}

type column struct {
	key, title string
	n          uint64
}

// minWidths are the widths of the columns of counters, wider numbers make wider.
var minWidths = [...]int{6, 7, 6, 7, 7, 7}

// direction prints titles and below them numbers, right aligned. The columns of
// the errors are those of all counters but the first.
func (o *ipOut) direction(key string, columns, errors []column) {
	width := minWidths
	for i, c := range columns {
		width[i] = max(width[i], len(jsonText(c.n)))
	}
	o.beginObject(key)
	name := strings.ToUpper(key)
	o.columns("    "+name+": ", columns, width[:])
	if o.f.stats > 1 {
		o.columns(fmt.Sprintf("%-*s", 9+width[0], "    "+name+" errors:"), errors, width[1:])
	}
	o.endObject()
}

func (o *ipOut) columns(head string, cs []column, width []int) {
	o.line()
	o.text("%s", head)
	for i, c := range cs {
		o.text("%*s", width[i], c.title)
		if i < len(cs)-1 {
			o.text(" ")
		}
	}
	if len(cs) == len(minWidths) {
		o.text("           ") // the column of compressed packets, which has no title
	}
	o.line()
	o.text("%*s", len(head), "")
	for i, c := range cs {
		o.text("%*d ", width[i], c.n)
		o.val(c.key, "", c.n)
	}
}

// tuntaps prints TUN and TAP devices.
func (o *ipOut) tuntaps(list []IPLink) {
	o.beginArray("")
	for i := range list {
		o.beginObject("")
		o.val("ifname", "%s: ", list[i].Name)
		o.val("mode", "%s\n", list[i].Kind)
		o.endObject()
	}
	o.endArray()
}
