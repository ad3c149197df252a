package control

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Forever is a lifetime without end, in seconds.
const Forever = math.MaxUint32

// An IPAddr is an address of a device.
type IPAddr struct {
	Family    string     `json:"family"` // "inet" or "inet6"
	Local     netip.Addr `json:"local"`
	PrefixLen int        `json:"prefixlen"`
	Peer      netip.Addr `json:"peer,omitzero"`
	Broadcast netip.Addr `json:"broadcast,omitzero"`
	Scope     string     `json:"scope"`
	Label     string     `json:"label,omitempty"`
	Metric    uint32     `json:"metric,omitempty"`
	// Flags are "secondary", "tentative", "dynamic" and so on, in iproute2's order.
	Flags []string `json:"flags,omitempty"`
	// Proto is the origin: "kernel_ll", "kernel_ra", "" for set by hand.
	Proto string `json:"proto,omitempty"`
	// Valid and Preferred are what is left of the lifetimes in seconds, or Forever.
	Valid     uint32 `json:"valid_life_time"`
	Preferred uint32 `json:"preferred_life_time"`
}

// Has reports whether a flag is set.
func (a *IPAddr) Has(flag string) bool { return slices.Contains(a.Flags, flag) }

// Prefix returns the address with its length.
func (a *IPAddr) Prefix() netip.Prefix { return netip.PrefixFrom(a.Local, a.PrefixLen) }

// An IPAddrChange adds, changes or removes an address.
type IPAddrChange struct {
	Dev string `json:"dev"`
	// Local has the prefix length of the subnet, which is Peer's if there is one.
	Local netip.Prefix `json:"local"`
	Peer  netip.Addr   `json:"peer,omitzero"`
	// Any: delete takes the address with any prefix length.
	Any bool `json:"any,omitempty"`
	// Broadcast is an address; "+" and "-" mean host bits set and clear.
	Broadcast string   `json:"broadcast,omitempty"`
	Label     string   `json:"label,omitempty"`
	Scope     string   `json:"scope,omitempty"` // "" follows the address
	Metric    uint32   `json:"metric,omitempty"`
	Flags     []string `json:"flags,omitempty"` // "nodad", "noprefixroute", "home", ...
	// Valid and Preferred are lifetimes in seconds; nil is Forever.
	Valid     *uint32 `json:"valid_lft,omitempty"`
	Preferred *uint32 `json:"preferred_lft,omitempty"`
}

const addrFields = "peer, broadcast, label, scope, metric, dev, valid_lft, preferred_lft, nodad, noprefixroute, home, mngtmpaddr or autojoin"

func (p *ipParser) address() error {
	command, err := p.command("add", "change|chg", "replace", "delete", "show|lst|list", "flush", "save", "showdump", "restore")
	if err != nil {
		return err
	}
	switch command {
	case "add", "change", "replace", "delete":
		return p.addrChange()
	case "show", "flush":
		return p.addrShow()
	}
	return p.fail(2, "ip address %s: Operation not supported", command)
}

func (p *ipParser) addrChange() error {
	c := &IPAddrChange{}
	p.q.Addr = c
	family := p.q.Family
	for p.more() {
		if err := p.addrField(c, &family, p.next()); err != nil {
			return err
		}
	}
	if c.Dev == "" {
		return p.fail(1, "Not enough information: \"dev\" argument is required.")
	}
	if !c.Local.IsValid() {
		return p.fail(2, "RTNETLINK answers: Operation not supported\nWant: an address with its prefix length")
	}
	return p.addrCheck(c)
}

func (p *ipParser) addrCheck(c *IPAddrChange) error {
	if c.Local.Addr().Is4() && slices.Contains(c.Flags, "nodad") {
		p.q.warning = "Warning: nodad option can be set only for IPv6 addresses"
		c.Flags = slices.DeleteFunc(c.Flags, func(s string) bool { return s == "nodad" })
	}
	if p.q.Command == "delete" {
		if c.Local.IsSingleIP() && c.Local.Addr().Is4() && !c.Peer.IsValid() && !p.slashed {
			c.Any = true
			p.q.warning = "Warning: Executing wildcard deletion to stay compatible with old scripts.\n" +
				"         Explicitly specify the prefix length (" + c.Local.String() + ") to avoid this warning."
		}
		return nil
	}
	if c.Broadcast != "" && c.Local.Addr().Is6() {
		return p.fail(1, "Broadcast can be set only for IPv4 addresses")
	}
	valid, preferred := uint32(Forever), uint32(Forever)
	if c.Valid != nil {
		valid = *c.Valid
	}
	if c.Preferred != nil {
		preferred = *c.Preferred
	}
	switch {
	case valid == 0:
		return p.fail(1, "valid_lft is zero")
	case c.Preferred != nil && preferred > valid:
		return p.fail(1, "preferred_lft is greater than valid_lft")
	}
	return nil
}

func (p *ipParser) addrField(c *IPAddrChange, family *string, word string) (err error) {
	switch {
	case word == "peer", word == "remote":
		return p.addrPeer(c, family)
	case abbreviates(word, "broadcast") && len(word) > 1, word == "brd":
		return p.addrBroadcast(c, *family)
	case word == "anycast":
		return p.fail(2, "ip address %s anycast: Operation not supported", p.q.Command)
	case abbreviates(word, "scope"):
		c.Scope, err = p.scope("invalid scope value.")
	case word == "dev":
		c.Dev, err = p.device("dev")
	case word == "label":
		c.Label, err = p.arg()
	case abbreviates(word, "metric") && len(word) > 1, word == "priority", word == "preference":
		c.Metric, err = p.u32("\"metric\" value is invalid")
	case word == "valid_lft":
		c.Valid, err = p.lifetime(word)
	case word == "preferred_lft":
		c.Preferred, err = p.lifetime(word)
	case slices.Contains([]string{"home", "nodad", "mngtmpaddr", "noprefixroute", "autojoin", "optimistic"}, word):
		c.Flags = append(c.Flags, word)
	default:
		return p.addrLocal(c, family, word)
	}
	return err
}

func (p *ipParser) addrLocal(c *IPAddrChange, family *string, word string) (err error) {
	if word == "local" {
		if word, err = p.arg(); err != nil {
			return err
		}
	}
	if abbreviates(word, "help") && len(word) > 1 {
		return p.usage("address")
	}
	if c.Local.IsValid() {
		return p.garbage("local", word, addrFields)
	}
	pfx, err := p.prefix(word, *family)
	if err != nil {
		return err
	}
	p.slashed = strings.Contains(word, "/")
	*family = familyOf(pfx.Addr())
	if c.Peer.IsValid() {
		pfx = netip.PrefixFrom(pfx.Addr(), c.Local.Bits())
	}
	c.Local = pfx
	return nil
}

// addrPeer reads the other end: its prefix length is that of the address.
func (p *ipParser) addrPeer(c *IPAddrChange, family *string) error {
	word, err := p.arg()
	if err != nil {
		return err
	}
	pfx, err := p.prefix(word, *family)
	if err != nil {
		return err
	}
	if c.Peer.IsValid() {
		return p.fail(255, "Error: duplicate \"peer\": %s is the second value.", inQuotes(word))
	}
	*family, c.Peer = familyOf(pfx.Addr()), pfx.Addr()
	if c.Local.IsValid() {
		c.Local = netip.PrefixFrom(c.Local.Addr(), pfx.Bits())
	} else {
		return p.fail(1, "ip address: want the local address in front of peer")
	}
	return nil
}

func (p *ipParser) addrBroadcast(c *IPAddrChange, family string) error {
	word, err := p.arg()
	if err != nil {
		return err
	}
	if c.Broadcast != "" {
		return p.fail(255, "Error: duplicate \"broadcast\": %s is the second value.", inQuotes(word))
	}
	c.Broadcast = word
	if word == "+" || word == "-" {
		return nil
	}
	a, err := p.address1(word, family)
	c.Broadcast = a.String()
	return err
}

func (p *ipParser) address1(word, family string) (netip.Addr, error) {
	if family == "" {
		family = "inet"
	}
	return p.words.address(word, family)
}

// scope takes a scope by name or number.
func (p *ipParser) scope(complaint string) (string, error) {
	arg, err := p.arg()
	if err != nil {
		return "", err
	}
	if _, ok := ScopeNumber(arg); !ok {
		return "", p.invalid(arg, complaint)
	}
	return arg, nil
}

// ScopeNumber returns the number of a scope (RT_SCOPE_*), by name or in digits.
func ScopeNumber(name string) (n uint8, ok bool) {
	switch name {
	case "global", "universe":
		return 0, true
	case "site":
		return 200, true
	case "link":
		return 253, true
	case "host":
		return 254, true
	case "nowhere":
		return 255, true
	}
	v, err := strconv.ParseUint(name, 0, 8)
	return uint8(v), err == nil
}

func (p *ipParser) lifetime(what string) (*uint32, error) {
	if p.skip("forever") {
		n := uint32(Forever)
		return &n, nil
	}
	n, err := p.u32(what + " value")
	return &n, err
}
