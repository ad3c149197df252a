package control

import "strconv"

// routeGet reads which packet's way is asked for. Explain, which iproute2 does not
// have, takes the same words.
func (p *ipParser) routeGet() error {
	g := &IPRouteGet{Explain: p.q.Command == "explain"}
	p.q.Get, p.q.Command, p.q.Filter = g, "get", &IPFilter{Table: "all"}
	for p.more() {
		word := p.next()
		ok, err := p.getField(g, word)
		if !ok {
			err = p.getDst(g, word)
		}
		if err != nil {
			return err
		}
	}
	if !g.Dst.IsValid() {
		return p.fail(1, "need at least a destination address")
	}
	return nil
}

// getField reads what is said beside the destination; ok is false for other words.
func (p *ipParser) getField(g *IPRouteGet, word string) (ok bool, err error) {
	switch {
	case word == "from":
		g.From, err = p.addressArg(p.q.Family)
	case word == "oif", word == "dev":
		g.Oif, err = p.device("oif")
	case word == "iif":
		g.Iif, err = p.device("iif")
	case word == "mark":
		g.Mark, err = p.u32("invalid mark value")
	case word == "tos", word == "dsfield":
		g.TOS, err = p.tos("TOS value is invalid\n")
	case word == "ipproto":
		g.Proto, err = p.ipProto()
	case word == "sport":
		g.SPort, err = p.getPort("invalid sport\n")
	case word == "dport":
		g.DPort, err = p.getPort("invalid dport\n")
	case word == "uid":
		g.UID, err = p.ruleNumber("invalid UID\n")
	case word == "fibmatch":
		g.FIBMatch = true
	case word == "vrf":
		g.VRF, err = p.arg()
	case word == "connected", word == "notify":
		return true, p.fail(2, "ip route get %s: Operation not supported", word)
	case abbreviates(word, "help") && len(word) > 1:
		return true, p.usage("route")
	default:
		return false, nil
	}
	return true, err
}

func (p *ipParser) getPort(complaint string) (uint16, error) {
	n, err := p.number(1<<16-1, complaint)
	return uint16(n), err
}

func (p *ipParser) getDst(g *IPRouteGet, word string) (err error) {
	if word == "to" {
		if word, err = p.arg(); err != nil {
			return err
		}
	}
	pfx, err := p.prefix(word, p.q.Family)
	if err != nil {
		return err
	}
	if !pfx.IsSingleIP() {
		bits := pfx.Addr().BitLen()
		p.q.warning = "Warning: /" + strconv.Itoa(pfx.Bits()) + " as prefix is invalid, only /" + strconv.Itoa(bits) + " (or none) is supported."
	}
	g.Dst, p.q.Family = pfx.Addr(), familyOf(pfx.Addr())
	return nil
}
