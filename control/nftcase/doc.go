// Package nftcase runs a table of packets through an nft ruleset and compares what
// becomes of them with what the table expects. The packets pass a kernel made for
// the purpose: the shipped packet filter, connection tracking and NAT, in virtual
// time, without a network, a daemon or root.
//
// A table is a text with one line per packet:
//
//	device lan 10.0.0.1/24
//	device wan 203.0.113.1/24
//	route default via 203.0.113.254
//
//	case the LAN may browse
//	flow web in lan tcp 10.0.0.5:40000 > 198.51.100.7:80
//	web syn              -> accept to wan snat 203.0.113.1
//	web reply syn,ack    -> accept to lan
//	+30s
//	web ack              -> accept
//
//	case nobody comes in
//	in wan tcp 198.51.100.7:1 > 203.0.113.1:22 -> drop by comment "no ssh"
//
// docs/netfilter.md describes it in full. Parse reads a table, Run runs it, and a
// Report says what happened, which rules no case has reached, and which rules no
// packet can match.
package nftcase
