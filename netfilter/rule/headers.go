package rule

// headers are the headers whose fields nft knows by name.
var headers = []Header{
	{Name: "ether", Fields: []Field{
		{"ether", "daddr", LinkHeader, 0, 48, EtherAddr},
		{"ether", "saddr", LinkHeader, 48, 48, EtherAddr},
		{"ether", "type", LinkHeader, 96, 16, EtherType},
	}},
	{Name: "vlan", Fields: []Field{
		{"vlan", "pcp", LinkHeader, 112, 3, IntegerType},
		{"vlan", "dei", LinkHeader, 115, 1, IntegerType},
		{"vlan", "cfi", LinkHeader, 115, 1, IntegerType},
		{"vlan", "id", LinkHeader, 116, 12, IntegerType},
		{"vlan", "type", LinkHeader, 128, 16, EtherType},
	}},
	{Name: "arp", Fields: []Field{
		{"arp", "htype", NetworkHeader, 0, 16, IntegerType},
		{"arp", "ptype", NetworkHeader, 16, 16, EtherType},
		{"arp", "hlen", NetworkHeader, 32, 8, IntegerType},
		{"arp", "plen", NetworkHeader, 40, 8, IntegerType},
		{"arp", "operation", NetworkHeader, 48, 16, ARPOpType},
		{"arp", "saddr ether", NetworkHeader, 64, 48, EtherAddr},
		{"arp", "saddr ip", NetworkHeader, 112, 32, IPv4Type},
		{"arp", "daddr ether", NetworkHeader, 144, 48, EtherAddr},
		{"arp", "daddr ip", NetworkHeader, 192, 32, IPv4Type},
	}},
	{Name: "ip", Fields: []Field{
		{"ip", "version", NetworkHeader, 0, 4, IntegerType},
		{"ip", "hdrlength", NetworkHeader, 4, 4, IntegerType},
		{"ip", "dscp", NetworkHeader, 8, 6, DSCPType},
		{"ip", "ecn", NetworkHeader, 14, 2, ECNType},
		{"ip", "length", NetworkHeader, 16, 16, IntegerType},
		{"ip", "id", NetworkHeader, 32, 16, IntegerType},
		{"ip", "frag-off", NetworkHeader, 48, 16, IntegerType},
		{"ip", "ttl", NetworkHeader, 64, 8, IntegerType},
		{"ip", "protocol", NetworkHeader, 72, 8, InetProtoType},
		{"ip", "checksum", NetworkHeader, 80, 16, IntegerType},
		{"ip", "saddr", NetworkHeader, 96, 32, IPv4Type},
		{"ip", "daddr", NetworkHeader, 128, 32, IPv4Type},
	}},
	{Name: "icmp", Fields: []Field{
		{"icmp", "type", TransportHeader, 0, 8, ICMPTypeType},
		{"icmp", "code", TransportHeader, 8, 8, ICMPCodeType},
		{"icmp", "checksum", TransportHeader, 16, 16, IntegerType},
		{"icmp", "id", TransportHeader, 32, 16, IntegerType},
		{"icmp", "sequence", TransportHeader, 48, 16, IntegerType},
		{"icmp", "gateway", TransportHeader, 32, 32, IntegerType},
		{"icmp", "mtu", TransportHeader, 48, 16, IntegerType},
	}},
	{Name: "igmp", Fields: []Field{
		{"igmp", "type", TransportHeader, 0, 8, IGMPTypeType},
		{"igmp", "mrt", TransportHeader, 8, 8, IntegerType},
		{"igmp", "checksum", TransportHeader, 16, 16, IntegerType},
		{"igmp", "group", TransportHeader, 32, 32, IntegerType},
	}},
	{Name: "ip6", Fields: []Field{
		{"ip6", "version", NetworkHeader, 0, 4, IntegerType},
		{"ip6", "dscp", NetworkHeader, 4, 6, DSCPType},
		{"ip6", "ecn", NetworkHeader, 10, 2, ECNType},
		{"ip6", "flowlabel", NetworkHeader, 12, 20, IntegerType},
		{"ip6", "length", NetworkHeader, 32, 16, IntegerType},
		{"ip6", "nexthdr", NetworkHeader, 48, 8, InetProtoType},
		{"ip6", "hoplimit", NetworkHeader, 56, 8, IntegerType},
		{"ip6", "saddr", NetworkHeader, 64, 128, IPv6Type},
		{"ip6", "daddr", NetworkHeader, 192, 128, IPv6Type},
	}},
	{Name: "icmpv6", Fields: []Field{
		{"icmpv6", "type", TransportHeader, 0, 8, ICMPv6TypeType},
		{"icmpv6", "code", TransportHeader, 8, 8, ICMPv6CodeType},
		{"icmpv6", "checksum", TransportHeader, 16, 16, IntegerType},
		{"icmpv6", "parameter-problem", TransportHeader, 32, 32, IntegerType},
		{"icmpv6", "mtu", TransportHeader, 32, 32, IntegerType},
		{"icmpv6", "id", TransportHeader, 32, 16, IntegerType},
		{"icmpv6", "sequence", TransportHeader, 48, 16, IntegerType},
		{"icmpv6", "max-delay", TransportHeader, 32, 16, IntegerType},
	}},
	{Name: "ah", Fields: []Field{
		{"ah", "nexthdr", TransportHeader, 0, 8, InetProtoType},
		{"ah", "hdrlength", TransportHeader, 8, 8, IntegerType},
		{"ah", "reserved", TransportHeader, 16, 16, IntegerType},
		{"ah", "spi", TransportHeader, 32, 32, IntegerType},
		{"ah", "sequence", TransportHeader, 64, 32, IntegerType},
	}},
	{Name: "esp", Fields: []Field{
		{"esp", "spi", TransportHeader, 0, 32, IntegerType},
		{"esp", "sequence", TransportHeader, 32, 32, IntegerType},
	}},
	{Name: "comp", Fields: []Field{
		{"comp", "nexthdr", TransportHeader, 0, 8, InetProtoType},
		{"comp", "flags", TransportHeader, 8, 8, IntegerType},
		{"comp", "cpi", TransportHeader, 16, 16, IntegerType},
	}},
	{Name: "udp", Fields: []Field{
		{"udp", "sport", TransportHeader, 0, 16, InetServiceType},
		{"udp", "dport", TransportHeader, 16, 16, InetServiceType},
		{"udp", "length", TransportHeader, 32, 16, IntegerType},
		{"udp", "checksum", TransportHeader, 48, 16, IntegerType},
	}},
	{Name: "udplite", Fields: []Field{
		{"udplite", "sport", TransportHeader, 0, 16, InetServiceType},
		{"udplite", "dport", TransportHeader, 16, 16, InetServiceType},
		{"udplite", "csumcov", TransportHeader, 32, 16, IntegerType},
		{"udplite", "checksum", TransportHeader, 48, 16, IntegerType},
	}},
	{Name: "tcp", Fields: []Field{
		{"tcp", "sport", TransportHeader, 0, 16, InetServiceType},
		{"tcp", "dport", TransportHeader, 16, 16, InetServiceType},
		{"tcp", "sequence", TransportHeader, 32, 32, IntegerType},
		{"tcp", "ackseq", TransportHeader, 64, 32, IntegerType},
		{"tcp", "doff", TransportHeader, 96, 4, IntegerType},
		{"tcp", "reserved", TransportHeader, 100, 4, IntegerType},
		{"tcp", "flags", TransportHeader, 104, 8, TCPFlagType},
		{"tcp", "window", TransportHeader, 112, 16, IntegerType},
		{"tcp", "checksum", TransportHeader, 128, 16, IntegerType},
		{"tcp", "urgptr", TransportHeader, 144, 16, IntegerType},
	}},
	{Name: "dccp", Fields: []Field{
		{"dccp", "sport", TransportHeader, 0, 16, InetServiceType},
		{"dccp", "dport", TransportHeader, 16, 16, InetServiceType},
		{"dccp", "type", TransportHeader, 67, 4, DCCPPkttypeType},
	}},
	{Name: "sctp", Fields: []Field{
		{"sctp", "sport", TransportHeader, 0, 16, InetServiceType},
		{"sctp", "dport", TransportHeader, 16, 16, InetServiceType},
		{"sctp", "vtag", TransportHeader, 32, 32, IntegerType},
		{"sctp", "checksum", TransportHeader, 64, 32, IntegerType},
	}},
	{Name: "th", Fields: []Field{
		{"th", "sport", TransportHeader, 0, 16, InetServiceType},
		{"th", "dport", TransportHeader, 16, 16, InetServiceType},
	}},
}

// ipv6Exts are the extension headers of IPv6.
var ipv6Exts = []Header{
	{Name: "hbh", Number: 0, Fields: []Field{
		{"hbh", "nexthdr", 0, 0, 8, InetProtoType},
		{"hbh", "hdrlength", 0, 8, 8, IntegerType},
	}},
	{Name: "rt", Number: 43, Fields: []Field{
		{"rt", "nexthdr", 0, 0, 8, InetProtoType},
		{"rt", "hdrlength", 0, 8, 8, IntegerType},
		{"rt", "type", 0, 16, 8, IntegerType},
		{"rt", "seg-left", 0, 24, 8, IntegerType},
	}},
	{Name: "rt0", Number: 43}, // its addresses are those of srh
	{Name: "rt2", Number: 43, Fields: []Field{
		{"rt2", "addr", 0, 64, 128, IPv6Type},
	}},
	{Name: "srh", Number: 43, Fields: []Field{
		{"srh", "last-entry", 0, 32, 8, IntegerType},
		{"srh", "flags", 0, 40, 8, IntegerType},
		{"srh", "tag", 0, 48, 16, IntegerType},
		{"srh", "sid[1]", 0, 64, 128, IPv6Type},
		{"srh", "sid[2]", 0, 192, 128, IPv6Type},
	}},
	{Name: "frag", Number: 44, Fields: []Field{
		{"frag", "nexthdr", 0, 0, 8, InetProtoType},
		{"frag", "reserved", 0, 8, 8, IntegerType},
		{"frag", "frag-off", 0, 16, 13, IntegerType},
		{"frag", "reserved2", 0, 29, 2, IntegerType},
		{"frag", "more-fragments", 0, 31, 1, IntegerType},
		{"frag", "id", 0, 32, 32, IntegerType},
	}},
	{Name: "dst", Number: 60, Fields: []Field{
		{"dst", "nexthdr", 0, 0, 8, InetProtoType},
		{"dst", "hdrlength", 0, 8, 8, IntegerType},
	}},
	{Name: "mh", Number: 135, Fields: []Field{
		{"mh", "nexthdr", 0, 0, 8, InetProtoType},
		{"mh", "hdrlength", 0, 8, 8, IntegerType},
		{"mh", "type", 0, 16, 8, MHType},
		{"mh", "reserved", 0, 24, 8, IntegerType},
		{"mh", "checksum", 0, 32, 16, IntegerType},
	}},
}

// tcpOptions are the options of TCP.
var tcpOptions = []Header{
	{Name: "eol", Number: 0, Fields: []Field{
		{"eol", "kind", 0, 0, 8, IntegerType},
	}},
	{Name: "nop", Number: 1, Fields: []Field{
		{"nop", "kind", 0, 0, 8, IntegerType},
	}},
	{Name: "maxseg", Number: 2, Fields: []Field{
		{"maxseg", "kind", 0, 0, 8, IntegerType},
		{"maxseg", "length", 0, 8, 8, IntegerType},
		{"maxseg", "size", 0, 16, 16, IntegerType},
	}},
	{Name: "window", Number: 3, Fields: []Field{
		{"window", "kind", 0, 0, 8, IntegerType},
		{"window", "length", 0, 8, 8, IntegerType},
		{"window", "count", 0, 16, 8, IntegerType},
	}},
	{Name: "sack-perm", Number: 4, Fields: []Field{
		{"sack-perm", "kind", 0, 0, 8, IntegerType},
		{"sack-perm", "length", 0, 8, 8, IntegerType},
	}},
	{Name: "sack", Number: 5, Fields: []Field{
		{"sack", "kind", 0, 0, 8, IntegerType},
		{"sack", "length", 0, 8, 8, IntegerType},
		{"sack", "left", 0, 16, 32, IntegerType},
		{"sack", "right", 0, 48, 32, IntegerType},
	}},
	{Name: "sack0", Number: 5, Fields: []Field{
		{"sack0", "kind", 0, 0, 8, IntegerType},
		{"sack0", "length", 0, 8, 8, IntegerType},
		{"sack0", "left", 0, 16, 32, IntegerType},
		{"sack0", "right", 0, 48, 32, IntegerType},
	}},
	{Name: "sack1", Number: 5, Fields: []Field{
		{"sack1", "kind", 0, 0, 8, IntegerType},
		{"sack1", "length", 0, 8, 8, IntegerType},
		{"sack1", "left", 0, 80, 32, IntegerType},
		{"sack1", "right", 0, 112, 32, IntegerType},
	}},
	{Name: "sack2", Number: 5, Fields: []Field{
		{"sack2", "kind", 0, 0, 8, IntegerType},
		{"sack2", "length", 0, 8, 8, IntegerType},
		{"sack2", "left", 0, 144, 32, IntegerType},
		{"sack2", "right", 0, 176, 32, IntegerType},
	}},
	{Name: "sack3", Number: 5, Fields: []Field{
		{"sack3", "kind", 0, 0, 8, IntegerType},
		{"sack3", "length", 0, 8, 8, IntegerType},
		{"sack3", "left", 0, 208, 32, IntegerType},
		{"sack3", "right", 0, 240, 32, IntegerType},
	}},
	{Name: "timestamp", Number: 8, Fields: []Field{
		{"timestamp", "kind", 0, 0, 8, IntegerType},
		{"timestamp", "length", 0, 8, 8, IntegerType},
		{"timestamp", "tsval", 0, 16, 32, IntegerType},
		{"timestamp", "tsecr", 0, 48, 32, IntegerType},
	}},
	{Name: "md5sig", Number: 19, Fields: []Field{
		{"md5sig", "kind", 0, 0, 8, IntegerType},
		{"md5sig", "length", 0, 8, 8, IntegerType},
	}},
	{Name: "mptcp", Number: 30, Fields: []Field{
		{"mptcp", "kind", 0, 0, 8, IntegerType},
		{"mptcp", "length", 0, 8, 8, IntegerType},
		{"mptcp", "subtype", 0, 16, 4, IntegerType},
	}},
	{Name: "fastopen", Number: 34, Fields: []Field{
		{"fastopen", "kind", 0, 0, 8, IntegerType},
		{"fastopen", "length", 0, 8, 8, IntegerType},
	}},
}

// ipOptions are the options of IPv4.
var ipOptions = []Header{
	{Name: "lsrr", Number: 131, Fields: []Field{
		{"lsrr", "type", 0, 0, 8, IntegerType},
		{"lsrr", "length", 0, 8, 8, IntegerType},
		{"lsrr", "ptr", 0, 16, 8, IntegerType},
		{"lsrr", "addr", 0, 24, 32, IPv4Type},
	}},
	{Name: "rr", Number: 7, Fields: []Field{
		{"rr", "type", 0, 0, 8, IntegerType},
		{"rr", "length", 0, 8, 8, IntegerType},
		{"rr", "ptr", 0, 16, 8, IntegerType},
		{"rr", "addr", 0, 24, 32, IPv4Type},
	}},
	{Name: "ssrr", Number: 137, Fields: []Field{
		{"ssrr", "type", 0, 0, 8, IntegerType},
		{"ssrr", "length", 0, 8, 8, IntegerType},
		{"ssrr", "ptr", 0, 16, 8, IntegerType},
		{"ssrr", "addr", 0, 24, 32, IPv4Type},
	}},
	{Name: "ra", Number: 148, Fields: []Field{
		{"ra", "type", 0, 0, 8, IntegerType},
		{"ra", "length", 0, 8, 8, IntegerType},
		{"ra", "value", 0, 16, 16, IntegerType},
	}},
}

// sctpChunks are the chunks of SCTP.
var sctpChunks = []Header{
	{Name: "data", Number: 0, Fields: []Field{
		{"data", "type", 0, 0, 8, IntegerType},
		{"data", "flags", 0, 8, 8, IntegerType},
		{"data", "length", 0, 16, 16, IntegerType},
		{"data", "tsn", 0, 32, 32, IntegerType},
		{"data", "stream", 0, 64, 16, IntegerType},
		{"data", "ssn", 0, 80, 16, IntegerType},
		{"data", "ppid", 0, 96, 32, IntegerType},
	}},
	{Name: "init", Number: 1, Fields: []Field{
		{"init", "type", 0, 0, 8, IntegerType},
		{"init", "flags", 0, 8, 8, IntegerType},
		{"init", "length", 0, 16, 16, IntegerType},
		{"init", "init-tag", 0, 32, 32, IntegerType},
		{"init", "a-rwnd", 0, 64, 32, IntegerType},
		{"init", "num-outbound-streams", 0, 96, 16, IntegerType},
		{"init", "num-inbound-streams", 0, 112, 16, IntegerType},
		{"init", "initial-tsn", 0, 128, 32, IntegerType},
	}},
	{Name: "init-ack", Number: 2, Fields: []Field{
		{"init-ack", "type", 0, 0, 8, IntegerType},
		{"init-ack", "flags", 0, 8, 8, IntegerType},
		{"init-ack", "length", 0, 16, 16, IntegerType},
		{"init-ack", "init-tag", 0, 32, 32, IntegerType},
		{"init-ack", "a-rwnd", 0, 64, 32, IntegerType},
		{"init-ack", "num-outbound-streams", 0, 96, 16, IntegerType},
		{"init-ack", "num-inbound-streams", 0, 112, 16, IntegerType},
		{"init-ack", "initial-tsn", 0, 128, 32, IntegerType},
	}},
	{Name: "sack", Number: 3, Fields: []Field{
		{"sack", "type", 0, 0, 8, IntegerType},
		{"sack", "flags", 0, 8, 8, IntegerType},
		{"sack", "length", 0, 16, 16, IntegerType},
		{"sack", "cum-tsn-ack", 0, 32, 32, IntegerType},
		{"sack", "a-rwnd", 0, 64, 32, IntegerType},
		{"sack", "num-gap-ack-blocks", 0, 96, 16, IntegerType},
		{"sack", "num-dup-tsns", 0, 112, 16, IntegerType},
	}},
	{Name: "heartbeat", Number: 4, Fields: []Field{
		{"heartbeat", "type", 0, 0, 8, IntegerType},
		{"heartbeat", "flags", 0, 8, 8, IntegerType},
		{"heartbeat", "length", 0, 16, 16, IntegerType},
	}},
	{Name: "heartbeat-ack", Number: 5, Fields: []Field{
		{"heartbeat-ack", "type", 0, 0, 8, IntegerType},
		{"heartbeat-ack", "flags", 0, 8, 8, IntegerType},
		{"heartbeat-ack", "length", 0, 16, 16, IntegerType},
	}},
	{Name: "abort", Number: 6, Fields: []Field{
		{"abort", "type", 0, 0, 8, IntegerType},
		{"abort", "flags", 0, 8, 8, IntegerType},
		{"abort", "length", 0, 16, 16, IntegerType},
	}},
	{Name: "shutdown", Number: 7, Fields: []Field{
		{"shutdown", "type", 0, 0, 8, IntegerType},
		{"shutdown", "flags", 0, 8, 8, IntegerType},
		{"shutdown", "length", 0, 16, 16, IntegerType},
		{"shutdown", "cum-tsn-ack", 0, 32, 32, IntegerType},
	}},
	{Name: "shutdown-ack", Number: 8, Fields: []Field{
		{"shutdown-ack", "type", 0, 0, 8, IntegerType},
		{"shutdown-ack", "flags", 0, 8, 8, IntegerType},
		{"shutdown-ack", "length", 0, 16, 16, IntegerType},
	}},
	{Name: "error", Number: 9, Fields: []Field{
		{"error", "type", 0, 0, 8, IntegerType},
		{"error", "flags", 0, 8, 8, IntegerType},
		{"error", "length", 0, 16, 16, IntegerType},
	}},
	{Name: "cookie-echo", Number: 10, Fields: []Field{
		{"cookie-echo", "type", 0, 0, 8, IntegerType},
		{"cookie-echo", "flags", 0, 8, 8, IntegerType},
		{"cookie-echo", "length", 0, 16, 16, IntegerType},
	}},
	{Name: "cookie-ack", Number: 11, Fields: []Field{
		{"cookie-ack", "type", 0, 0, 8, IntegerType},
		{"cookie-ack", "flags", 0, 8, 8, IntegerType},
		{"cookie-ack", "length", 0, 16, 16, IntegerType},
	}},
	{Name: "ecne", Number: 12, Fields: []Field{
		{"ecne", "type", 0, 0, 8, IntegerType},
		{"ecne", "flags", 0, 8, 8, IntegerType},
		{"ecne", "length", 0, 16, 16, IntegerType},
		{"ecne", "lowest-tsn", 0, 32, 32, IntegerType},
	}},
	{Name: "cwr", Number: 13, Fields: []Field{
		{"cwr", "type", 0, 0, 8, IntegerType},
		{"cwr", "flags", 0, 8, 8, IntegerType},
		{"cwr", "length", 0, 16, 16, IntegerType},
		{"cwr", "lowest-tsn", 0, 32, 32, IntegerType},
	}},
	{Name: "shutdown-complete", Number: 14, Fields: []Field{
		{"shutdown-complete", "type", 0, 0, 8, IntegerType},
		{"shutdown-complete", "flags", 0, 8, 8, IntegerType},
		{"shutdown-complete", "length", 0, 16, 16, IntegerType},
	}},
	{Name: "asconf-ack", Number: 128, Fields: []Field{
		{"asconf-ack", "type", 0, 0, 8, IntegerType},
		{"asconf-ack", "flags", 0, 8, 8, IntegerType},
		{"asconf-ack", "length", 0, 16, 16, IntegerType},
		{"asconf-ack", "seqno", 0, 32, 32, IntegerType},
	}},
	{Name: "forward-tsn", Number: 192, Fields: []Field{
		{"forward-tsn", "type", 0, 0, 8, IntegerType},
		{"forward-tsn", "flags", 0, 8, 8, IntegerType},
		{"forward-tsn", "length", 0, 16, 16, IntegerType},
		{"forward-tsn", "new-cum-tsn", 0, 32, 32, IntegerType},
	}},
	{Name: "asconf", Number: 193, Fields: []Field{
		{"asconf", "type", 0, 0, 8, IntegerType},
		{"asconf", "flags", 0, 8, 8, IntegerType},
		{"asconf", "length", 0, 16, 16, IntegerType},
		{"asconf", "seqno", 0, 32, 32, IntegerType},
	}},
}
