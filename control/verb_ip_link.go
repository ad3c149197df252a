package control

import (
	"math"
)

// An IPLink is a device, with its addresses for ip address.
type IPLink struct {
	Index int32  `json:"ifindex"`
	Name  string `json:"ifname"`
	// Peer is the other end of a pair, "NONE" if it is gone or in another kernel.
	Peer  string   `json:"peer,omitempty"`
	Flags []string `json:"flags"` // in iproute2's order
	MTU   int      `json:"mtu"`
	Qdisc string   `json:"qdisc"`
	// Master is the device that it is enslaved to.
	Master    string `json:"master,omitempty"`
	Operstate string `json:"operstate"`
	TxQueue   int    `json:"txqlen"`
	Type      string `json:"link_type"` // "ether", "loopback", "none"
	Address   string `json:"address,omitempty"`
	Broadcast string `json:"broadcast,omitempty"`

	// Promiscuous and AllMulti: somebody sees frames for others, or all multicast;
	// Flags have the user's wish alone.
	Promiscuous bool   `json:"promiscuous,omitempty"`
	AllMulti    bool   `json:"allmulti,omitempty"`
	Alias       string `json:"alias,omitempty"`

	Kind   string `json:"kind,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Table is that of a VRF. SlaveKind is the kind of Master, SlaveTable its table.
	Table      uint32 `json:"table,omitempty"`
	SlaveKind  string `json:"slave_kind,omitempty"`
	SlaveTable uint32 `json:"slave_table,omitempty"`
	MinMTU     int    `json:"min_mtu"`
	MaxMTU     int    `json:"max_mtu"`

	Rx IPTraffic `json:"rx"`
	Tx IPTraffic `json:"tx"`

	Addrs []IPAddr `json:"addrs,omitempty"`
}

// Up reports whether the device is up.
func (l *IPLink) Up() bool { return l.has("UP") }

func (l *IPLink) has(flag string) bool {
	for _, f := range l.Flags {
		if f == flag {
			return true
		}
	}
	return false
}

// IPTraffic are the counters of one direction of a device.
type IPTraffic struct {
	Bytes     uint64 `json:"bytes"`
	Packets   uint64 `json:"packets"`
	Errors    uint64 `json:"errors"`
	Dropped   uint64 `json:"dropped"`
	Multicast uint64 `json:"multicast"`
}

// An IPLinkChange makes, changes or deletes a device. Nil fields stay as they are.
type IPLinkChange struct {
	// Dev is the device; of a new one the name, or "" for one that the kernel
	// chooses.
	Dev string `json:"dev,omitempty"`
	// Kind and Options are those of a new device.
	Kind    string            `json:"kind,omitempty"`
	Options map[string]string `json:"options,omitempty"`

	Up       *bool   `json:"up,omitempty"`
	MTU      *int    `json:"mtu,omitempty"`
	Name     string  `json:"name,omitempty"`
	Address  string  `json:"address,omitempty"`
	Promisc  *bool   `json:"promisc,omitempty"`
	AllMulti *bool   `json:"allmulticast,omitempty"`
	Alias    *string `json:"alias,omitempty"`  // "" takes it away
	Master   *string `json:"master,omitempty"` // "": it leaves the one it has
	// TxQueue, Multicast and ARP are Linux's; the kernel says EOPNOTSUPP.
	TxQueue   *uint32 `json:"txqueuelen,omitempty"`
	Multicast *bool   `json:"multicast,omitempty"`
	ARP       *bool   `json:"arp,omitempty"`
}

func (p *ipParser) link() error {
	command, err := p.command("add", "set|change", "show|lst|list", "delete", "replace", "property", "xstats", "afstats")
	if err != nil {
		return err
	}
	switch command {
	case "add":
		return p.linkAdd()
	case "set":
		return p.linkSet()
	case "delete":
		return p.linkDelete()
	case "show":
		return p.linkShow()
	}
	return p.fail(2, "ip link %s: Operation not supported", command)
}

func (p *ipParser) linkAdd() error {
	c := &IPLinkChange{}
	p.q.Link = c
	for p.more() {
		switch word := p.next(); {
		case abbreviates(word, "type") && len(word) > 1:
			kind, err := p.arg()
			if err != nil {
				return err
			}
			c.Kind = kind
			if kind == "vrf" {
				return p.vrfOptions(c)
			}
			return p.linkOptions(c)
		case abbreviates(word, "name"):
			name, err := p.device("name")
			if err != nil {
				return err
			}
			c.Dev = name
		default:
			if err := p.linkField(c, word, "dev"); err != nil {
				return err
			}
		}
	}
	return p.fail(1, "Not enough information: \"type\" argument is required")
}

// linkOptions reads what comes after "type KIND": pairs of words. A peer's name
// may have the word name in front.
func (p *ipParser) linkOptions(c *IPLinkChange) error {
	for p.more() {
		word := p.next()
		if word == "help" {
			return p.usage("link")
		}
		if word == "peer" {
			p.skip("name")
		}
		value, err := p.arg()
		if err != nil {
			return err
		}
		if c.Options == nil {
			c.Options = map[string]string{}
		}
		if _, twice := c.Options[word]; twice {
			return p.fail(255, "Error: duplicate %s: %s is the second value.", inQuotes(word), inQuotes(value))
		}
		c.Options[word] = value
	}
	return nil
}

// maxAlias is Linux's IFALIASZ.
const maxAlias = 256

const linkFields = "up, down, mtu, name, address, promisc, allmulticast, txqueuelen, multicast, arp, alias, master or nomaster"

func (p *ipParser) linkSet() error {
	c := &IPLinkChange{}
	p.q.Link = c
	for p.more() {
		word := p.next()
		if abbreviates(word, "name") {
			name, err := p.device("name")
			if err != nil {
				return err
			}
			c.Name = name
			continue
		}
		if err := p.linkField(c, word, "dev"); err != nil {
			return err
		}
	}
	if c.Dev == "" {
		return p.fail(255, "Not enough information: \"dev\" argument is required.")
	}
	return nil
}

// linkField reads a field that add and set share; word is in hand. A word that is
// none is the device.
func (p *ipParser) linkField(c *IPLinkChange, word, what string) (err error) {
	on, off := true, false
	switch {
	case word == "up":
		c.Up = &on
	case word == "down":
		c.Up = &off
	case abbreviates(word, "mtu"):
		var n uint64
		n, err = p.number(math.MaxInt32, "Invalid \"mtu\" value")
		mtu := int(n)
		c.MTU = &mtu
	case len(word) > 1 && abbreviates(word, "address"):
		c.Address, err = p.mac()
	case word == "promisc":
		c.Promisc, err = p.onOff(word)
	case word == "allmulticast":
		c.AllMulti, err = p.onOff(word)
	case word == "multicast":
		c.Multicast, err = p.onOff(word)
	case word == "arp":
		c.ARP, err = p.onOff(word)
	case word == "master":
		var master string
		master, err = p.arg()
		c.Master = &master
	case word == "nomaster":
		c.Master = new(string)
	case word == "alias":
		var alias string
		if alias, err = p.arg(); err == nil && len(alias) >= maxAlias {
			err = p.invalid(alias, "alias too long")
		}
		c.Alias = &alias
	case abbreviates(word, "txqueuelen"), word == "qlen", abbreviates(word, "txqlen"):
		var n uint32
		n, err = p.u32("Invalid \"txqueuelen\" value")
		c.TxQueue = &n
	case abbreviates(word, "help"):
		return p.usage("link")
	default:
		return p.linkDevice(c, word, what)
	}
	return err
}

func (p *ipParser) linkDevice(c *IPLinkChange, word, what string) error {
	if word == "dev" {
		var err error
		if word, err = p.arg(); err != nil {
			return err
		}
	}
	if c.Dev != "" {
		return p.garbage(what, word, linkFields)
	}
	c.Dev = word
	return p.checkName(word, "dev")
}

func (p *ipParser) linkDelete() error {
	c := &IPLinkChange{}
	p.q.Link = c
	for p.more() {
		word := p.next()
		if abbreviates(word, "type") && len(word) > 1 && c.Dev != "" {
			kind, err := p.arg()
			if err != nil {
				return err
			}
			c.Kind = kind
			continue
		}
		if err := p.linkDevice(c, word, "dev"); err != nil {
			return err
		}
	}
	if c.Dev == "" {
		return p.fail(255, "Not enough information: \"dev\" argument is required.")
	}
	return nil
}

func (p *ipParser) linkShow() error {
	f := &IPFilter{}
	p.q.Filter = f
	for p.more() {
		if err := p.linkFilter(f, p.next()); err != nil {
			return err
		}
	}
	return nil
}

// linkFilter reads a filter on devices; word is in hand.
func (p *ipParser) linkFilter(f *IPFilter, word string) (err error) {
	switch {
	case word == "up":
		f.Up = true
	case word == "type":
		f.Kind, err = p.arg()
	case word == "master":
		f.Master, err = p.arg()
	case word == "vrf":
		f.VRF, err = p.arg()
	case word == "nomaster" && p.q.Object == "link":
		f.NoMaster = true
	case word == "group":
		return p.fail(2, "ip %s show %s: Operation not supported", p.q.Object, word)
	case abbreviates(word, "help"):
		return p.usage(p.q.Object)
	default:
		if word == "dev" {
			if word, err = p.arg(); err != nil {
				return err
			}
		}
		if f.Dev != "" {
			return p.garbage("dev", word, "up, type or a filter of addresses")
		}
		f.Dev = word
	}
	return err
}

// tuntap is the older way to make TUN and TAP devices.
func (p *ipParser) tuntap() error {
	command, err := p.command("add", "delete", "show|lst|list")
	if err != nil {
		return err
	}
	c, options := &IPLinkChange{}, map[string]string{}
	for p.more() {
		switch word := p.next(); {
		case word == "mode":
			mode, err := p.arg()
			if err != nil {
				return err
			}
			if mode != "tun" && mode != "tap" {
				return p.fail(255, "Unknown tunnel mode %s\nWant: tun or tap", inQuotes(mode))
			}
			c.Kind = mode
		case word == "vnet_hdr":
			options["vnet_hdr"] = "on"
		case word == "multi_queue":
			options["queues"] = "2"
		case abbreviates(word, "help") && len(word) > 1:
			return p.usage("tuntap")
		default:
			if word == "dev" || word == "name" {
				if word, err = p.arg(); err != nil {
					return err
				}
			}
			if c.Dev != "" {
				return p.garbage("name", word, "mode, multi_queue or vnet_hdr")
			}
			c.Dev = word
		}
	}
	if command == "show" {
		p.q.Filter = &IPFilter{Dev: c.Dev, Kind: c.Kind}
		return nil
	}
	if c.Kind == "" {
		return p.fail(1, "You failed to specify a tunnel mode")
	}
	if command == "add" {
		c.Options = options
	}
	p.q.Object, p.q.Link = "link", c
	return nil
}

// MatchLink reports whether a device passes the filter.
func (f *IPFilter) MatchLink(l *IPLink) bool {
	return (f.Dev == "" || f.Dev == l.Name) && (!f.Up || l.Up()) && (f.Kind == "" || f.Kind == l.Kind) && f.matchMaster(l.Master)
}
