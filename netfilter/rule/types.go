package rule

// The data types of nft without symbols.
var (
	VerdictType = &Type{Name: "verdict", Desc: "netfilter verdict"}
	IntegerType = &Type{Name: "integer", Desc: "integer"}
	// RawType is that of raw payload expressions, integers listed in hexadecimal.
	RawType     = &Type{Name: "integer", Desc: "integer", Format: HexShort}
	BitmaskType = &Type{Name: "bitmask", Desc: "bitmask", Base: IntegerType, Format: Hex}
	StringType  = &Type{Name: "string", Desc: "string", Format: Text}
	LLAddrType  = &Type{Name: "ll_addr", Desc: "link layer address", Base: IntegerType, Format: LinkAddress}
	EtherAddr   = &Type{Name: "ether_addr", Desc: "Ethernet address", Bits: 48, Base: LLAddrType, Format: LinkAddress}
	IPv4Type    = &Type{Name: "ipv4_addr", Desc: "IPv4 address", Bits: 32, Base: IntegerType, Format: IPv4Address}
	IPv6Type    = &Type{Name: "ipv6_addr", Desc: "IPv6 address", Bits: 128, Base: IntegerType, Format: IPv6Address}
	// InetProtoType has the names of /etc/protocols that every system has.
	InetProtoType = &Type{Name: "inet_proto", Desc: "Internet protocol", Bits: 8, Base: IntegerType, Symbols: protocols}
	// InetServiceType is listed in numbers; names are read.
	InetServiceType = &Type{Name: "inet_service", Desc: "internet network service", Bits: 16, Base: IntegerType, Format: Service}
	MarkType        = &Type{Name: "mark", Desc: "packet mark", Bits: 32, Base: IntegerType, Format: HexFill, Host: true}
	IfnameType      = &Type{Name: "ifname", Desc: "network interface name", Bits: 128, Base: StringType, Format: Text, Host: true}
	IfindexType     = &Type{Name: "iface_index", Desc: "network interface index", Bits: 32, Base: IntegerType, Format: Interface, Host: true}
	UIDType         = &Type{Name: "uid", Desc: "user ID", Bits: 32, Base: IntegerType, Host: true}
	GIDType         = &Type{Name: "gid", Desc: "group ID", Bits: 32, Base: IntegerType, Host: true}
	DevgroupType    = &Type{Name: "devgroup", Desc: "devgroup name", Bits: 32, Base: IntegerType, Host: true, Symbols: []Symbol{{"default", 0}}}
	RealmType       = &Type{Name: "realm", Desc: "routing realm", Bits: 32, Base: IntegerType, Host: true}
	ClassIDType     = &Type{Name: "classid", Desc: "TC classid", Bits: 32, Base: IntegerType, Format: ClassID, Host: true}
	DurationType    = &Type{Name: "time", Desc: "relative time", Bits: 32, Base: IntegerType, Format: Duration, Host: true}
	TimeType        = &Type{Name: "time", Desc: "Relative time of packet reception", Bits: 64, Base: IntegerType, Format: Time, Host: true}
	HourType        = &Type{Name: "hour", Desc: "Hour of day of packet reception", Bits: 32, Base: IntegerType, Format: Hour, Host: true}
	CgroupType      = &Type{Name: "cgroupsv2", Desc: "cgroupsv2 path", Bits: 64, Base: IntegerType, Host: true}
	CTLabelType     = &Type{Name: "ct_label", Desc: "conntrack label", Bits: 128, Base: BitmaskType, Format: Hex, Host: true}
	ECNType         = &Type{Name: "ecn", Desc: "Explicit Congestion Notification", Bits: 2, Base: IntegerType, Format: Hex, Symbols: []Symbol{
		{"not-ect", 0}, {"ect1", 1}, {"ect0", 2}, {"ce", 3},
	}}
)

var protocols = []Symbol{
	{"ip", 0}, {"icmp", 1}, {"igmp", 2}, {"ggp", 3}, {"ipencap", 4}, {"st", 5}, {"tcp", 6}, {"egp", 8}, {"igp", 9}, {"pup", 12}, {"udp", 17},
	{"hmp", 20}, {"xns-idp", 22}, {"rdp", 27}, {"iso-tp4", 29}, {"dccp", 33}, {"xtp", 36}, {"ddp", 37}, {"idpr-cmtp", 38},
	{"ipv6", 41}, {"ipv6-route", 43}, {"ipv6-frag", 44}, {"idrp", 45}, {"rsvp", 46}, {"gre", 47}, {"esp", 50}, {"ah", 51}, {"skip", 57},
	{"ipv6-icmp", 58}, {"ipv6-nonxt", 59}, {"ipv6-opts", 60}, {"rspf", 73}, {"vmtp", 81}, {"eigrp", 88}, {"ospf", 89}, {"ax.25", 93},
	{"ipip", 94}, {"etherip", 97}, {"encap", 98}, {"pim", 103}, {"ipcomp", 108}, {"vrrp", 112}, {"l2tp", 115}, {"isis", 124},
	{"sctp", 132}, {"fc", 133}, {"mobility-header", 135}, {"udplite", 136}, {"mpls-in-ip", 137}, {"manet", 138}, {"hip", 139}, {"shim6", 140},
	{"wesp", 141}, {"rohc", 142}, {"ethernet", 143},
}
