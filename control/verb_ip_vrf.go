package control

import "strconv"

// vrf lists VRFs. What iproute2 does with processes and VRFs is a matter of the host's
// control groups.
func (p *ipParser) vrf() error {
	command := "show"
	if p.more() {
		command = p.next()
	}
	p.q.Command, p.q.Filter = "show", &IPFilter{}
	switch {
	case abbreviates(command, "show"), command == "list", command == "lst":
		if p.more() {
			p.q.Filter.VRF = p.next()
		}
		return nil
	case command == "identify", command == "pids", command == "exec":
		return p.fail(2, "ip vrf %s: Operation not supported\nSockets are bound to a VRF by its name, as ping -I NAME does", command)
	case abbreviates(command, "help"):
		return p.usage("vrf")
	}
	return p.fail(255, "Command %q is unknown, try \"ip vrf help\".", command)
}

// vrfOptions reads what comes after "type vrf".
func (p *ipParser) vrfOptions(c *IPLinkChange) error {
	for p.more() {
		switch word := p.next(); word {
		case "table":
			name, err := p.table("invalid table ID", true)
			if err != nil {
				return err
			}
			n, _ := TableNumber(name)
			c.Options = map[string]string{"table": strconv.FormatUint(uint64(n), 10)}
		case "help":
			return p.fail(255, "Usage: ... vrf table TABLEID")
		default:
			return p.fail(1, "vrf: unknown option %q?\nUsage: ... vrf table TABLEID", word)
		}
	}
	return nil
}

// matchMaster reports whether a device with a master passes the filter.
func (f *IPFilter) matchMaster(master string) bool {
	return (f.Master == "" || f.Master == master) && (f.VRF == "" || f.VRF == master) && !(f.NoMaster && master != "")
}

// vrfs prints VRFs as ip vrf does.
func (o *ipOut) vrfs(q IPRequest, list []IPLink) {
	one := q.Filter.VRF != ""
	if !one {
		o.text("%-16s  %5s\n-----------------------\n", "Name", "Table")
		if len(list) == 0 {
			o.text("No VRF has been configured\n")
		}
	}
	o.beginArray("")
	for i := range list {
		o.beginObject("")
		o.val("name", "%-16s", list[i].Name)
		o.val("table", " %5d", list[i].Table)
		o.text("\n")
		o.endObject()
	}
	o.endArray()
}
