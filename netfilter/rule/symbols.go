package rule

// The data types of nft that have symbols, with their values.
var (
	CTStateType = &Type{Name: "ct_state", Desc: "conntrack state", Bits: 32, Base: BitmaskType, Format: Hex, Symbols: []Symbol{
		{"invalid", 1}, {"new", 8}, {"established", 2}, {"related", 4}, {"untracked", 64},
	}}
	CTStatusType = &Type{Name: "ct_status", Desc: "conntrack status", Bits: 32, Base: BitmaskType, Format: Hex, Symbols: []Symbol{
		{"expected", 1}, {"seen-reply", 2}, {"assured", 4}, {"confirmed", 8}, {"snat", 16}, {"dnat", 32},
		{"dying", 0x200},
	}}
	CTDirType = &Type{Name: "ct_dir", Desc: "conntrack direction", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"original", 0}, {"reply", 1},
	}}
	CTEventType = &Type{Name: "ct_event", Desc: "conntrack event bits", Bits: 32, Base: BitmaskType, Format: Hex, Symbols: []Symbol{
		{"new", 1}, {"related", 2}, {"destroy", 4}, {"reply", 8}, {"assured", 0x10}, {"protoinfo", 0x20}, {"helper", 0x40},
		{"mark", 0x80}, {"seqadj", 0x100}, {"secmark", 0x200}, {"label", 0x400},
	}}
	TCPFlagType = &Type{Name: "tcp_flag", Desc: "TCP flag", Bits: 8, Base: BitmaskType, Format: Hex, Symbols: []Symbol{
		{"fin", 1}, {"syn", 2}, {"rst", 4}, {"psh", 8}, {"ack", 16}, {"urg", 32}, {"ecn", 64}, {"cwr", 128},
	}}
	FIBAddrType = &Type{Name: "fib_addrtype", Desc: "fib address type", Bits: 32, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"unspec", 0}, {"unicast", 1}, {"local", 2}, {"broadcast", 3}, {"anycast", 4}, {"multicast", 5},
		{"blackhole", 6}, {"unreachable", 7}, {"prohibit", 8},
	}}
	PkttypeType = &Type{Name: "pkt_type", Desc: "packet type", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"host", 0}, {"unicast", 0}, {"broadcast", 1}, {"multicast", 2}, {"other", 3},
	}}
	NFProtoType = &Type{Name: "nf_proto", Desc: "netfilter protocol", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"ipv4", 2}, {"ipv6", 10},
	}}
	EtherType = &Type{Name: "ether_type", Desc: "Ethernet protocol", Bits: 16, Base: IntegerType, Format: Hex, Symbols: []Symbol{
		{"ip", 0x800}, {"arp", 0x806}, {"ip6", 0x86dd}, {"8021q", 0x8100}, {"8021ad", 0x88a8}, {"vlan", 0x8100},
	}}
	ARPOpType = &Type{Name: "arp_op", Desc: "ARP operation", Bits: 16, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"request", 0x1}, {"reply", 0x2}, {"rrequest", 0x3}, {"rreply", 0x4}, {"inrequest", 0x8}, {"inreply", 0x9},
		{"nak", 0xa},
	}}
	IftypeType = &Type{Name: "iface_type", Desc: "network interface type", Bits: 16, Host: true, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"ether", 1}, {"ppp", 512}, {"ipip", 768}, {"ipip6", 769}, {"loopback", 772}, {"sit", 776},
		{"ipgre", 778},
	}}
	ICMPTypeType = &Type{Name: "icmp_type", Desc: "ICMP type", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"echo-reply", 0}, {"destination-unreachable", 3}, {"source-quench", 4}, {"redirect", 5},
		{"echo-request", 8}, {"router-advertisement", 9}, {"router-solicitation", 10}, {"time-exceeded", 11},
		{"parameter-problem", 12}, {"timestamp-request", 13}, {"timestamp-reply", 14}, {"info-request", 15},
		{"info-reply", 16}, {"address-mask-request", 17}, {"address-mask-reply", 18},
	}}
	ICMPCodeType = &Type{Name: "icmp_code", Desc: "icmp code", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"net-unreachable", 0}, {"host-unreachable", 1}, {"prot-unreachable", 2}, {"port-unreachable", 3},
		{"net-prohibited", 9}, {"host-prohibited", 10}, {"admin-prohibited", 13}, {"frag-needed", 4},
	}}
	ICMPv6TypeType = &Type{Name: "icmpv6_type", Desc: "ICMPv6 type", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"destination-unreachable", 1}, {"packet-too-big", 2}, {"time-exceeded", 3}, {"parameter-problem", 4},
		{"echo-request", 128}, {"echo-reply", 129}, {"mld-listener-query", 130}, {"mld-listener-report", 131},
		{"mld-listener-done", 132}, {"mld-listener-reduction", 132}, {"nd-router-solicit", 133},
		{"nd-router-advert", 134}, {"nd-neighbor-solicit", 135}, {"nd-neighbor-advert", 136}, {"nd-redirect", 137},
		{"router-renumbering", 138}, {"ind-neighbor-solicit", 141}, {"ind-neighbor-advert", 142},
		{"mld2-listener-report", 143},
	}}
	ICMPv6CodeType = &Type{Name: "icmpv6_code", Desc: "icmpv6 code", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"no-route", 0}, {"admin-prohibited", 1}, {"addr-unreachable", 3}, {"port-unreachable", 4},
		{"policy-fail", 5}, {"reject-route", 6},
	}}
	ICMPXCodeType = &Type{Name: "icmpx_code", Desc: "icmpx code", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"port-unreachable", 1}, {"admin-prohibited", 3}, {"no-route", 0}, {"host-unreachable", 2},
	}}
	IGMPTypeType = &Type{Name: "igmp_type", Desc: "IGMP type", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"membership-query", 17}, {"membership-report-v1", 18}, {"membership-report-v2", 22},
		{"membership-report-v3", 34}, {"leave-group", 23},
	}}
	DSCPType = &Type{Name: "dscp", Desc: "Differentiated Services Code Point", Bits: 6, Base: IntegerType, Format: Hex, Symbols: []Symbol{
		{"cs0", 0}, {"cs1", 8}, {"cs2", 16}, {"cs3", 24}, {"cs4", 32}, {"cs5", 40}, {"cs6", 48}, {"cs7", 56},
		{"df", 0}, {"be", 0}, {"lephb", 1}, {"af11", 10}, {"af12", 12}, {"af13", 14}, {"af21", 18}, {"af22", 20},
		{"af23", 22}, {"af31", 26}, {"af32", 28}, {"af33", 30}, {"af41", 34}, {"af42", 36}, {"af43", 38}, {"va", 44},
		{"ef", 46},
	}}
	MHType = &Type{Name: "mh_type", Desc: "Mobility Header Type", Bits: 8, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"binding-refresh-request", 0}, {"home-test-init", 1}, {"careof-test-init", 2}, {"home-test", 3},
		{"careof-test", 4}, {"binding-update", 5}, {"binding-acknowledgement", 6}, {"binding-error", 7},
		{"fast-binding-update", 8}, {"fast-binding-acknowledgement", 9}, {"fast-binding-advertisement", 10},
		{"experimental-mobility-header", 11}, {"home-agent-switch-message", 12},
	}}
	DCCPPkttypeType = &Type{Name: "dccp_pkttype", Desc: "DCCP packet type", Bits: 4, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"request", 0}, {"response", 1}, {"data", 2}, {"ack", 3}, {"dataack", 4}, {"closereq", 5}, {"close", 6},
		{"reset", 7}, {"sync", 8}, {"syncack", 9},
	}}
	BooleanType = &Type{Name: "boolean", Desc: "boolean type", Bits: 1, Base: IntegerType, Format: Decimal, Symbols: []Symbol{
		{"exists", 1}, {"missing", 0},
	}}
	DayType = &Type{Name: "day", Desc: "Day of week of packet reception", Bits: 8, Base: IntegerType, Format: Day, Symbols: []Symbol{
		{"Sunday", 0}, {"Monday", 1}, {"Tuesday", 2}, {"Wednesday", 3}, {"Thursday", 4}, {"Friday", 5},
		{"Saturday", 6},
	}}
)
