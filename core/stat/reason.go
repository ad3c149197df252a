package stat

import (
	"fmt"
	"sync"
)

// A Reason says why a packet was dropped. The well-known ones carry Linux's
// names (enum skb_drop_reason), so that what people know of kfree_skb holds here.
type Reason uint16

// The reasons the layers of the kernel use. Those of modules come from
// Drops.New and follow after them.
const (
	NotSpecified Reason = iota
	NoSocket
	PktTooSmall
	TCPCsum
	SocketFilter
	UDPCsum
	NetfilterDrop
	OtherHost
	IPCsum
	IPInHdr
	IPRPFilter
	UnicastInL2Multicast
	XfrmPolicy
	IPNoProto
	SocketRcvBuff
	ProtoMem
	TCPMD5Failure
	SocketBacklog
	TCPFlags
	TCPAbortOnData
	TCPZeroWindow
	TCPOldData
	TCPOverwindow
	TCPOfoMerge
	TCPRFC7323PAWS
	TCPOldSequence
	TCPInvalidSequence
	TCPInvalidAckSequence
	TCPReset
	TCPInvalidSyn
	TCPClose
	TCPOldAck
	TCPTooOldAck
	TCPAckUnsentData
	TCPOfoQueuePrune
	TCPOfoDrop
	IPOutNoRoutes
	IPv6NDisc
	NeighCreateFail
	NeighFailed
	NeighQueueFull
	NeighDead
	TCIngress
	TCEgress
	QdiscDrop
	CPUBacklog
	UnhandledProto
	SkbCsum
	SkbGSOSeg
	DevHdr
	DevReady
	FullRing
	NoMem
	HdrTrunc
	TapTxFilter
	ICMPCsum
	InvalidProto
	IPInAddrErrors
	IPInNoRoute
	PktTooBig
	DupFrag
	FragReasmTimeout
	FragTooFar
	TCPMinTTL
	IPv6BadExthdr
	IPv6NDiscFrag
	IPv6NDiscHopLimit
	IPv6NDiscBadCode
	IPv6NDiscBadOptions
	IPv6NDiscNSOtherHost
	TTLExceeded
	IPOptions
	ModuleUnload
	firstFree
)

var reasonNames = [firstFree]string{
	NotSpecified: "NOT_SPECIFIED", NoSocket: "NO_SOCKET", PktTooSmall: "PKT_TOO_SMALL", TCPCsum: "TCP_CSUM",
	SocketFilter: "SOCKET_FILTER", UDPCsum: "UDP_CSUM", NetfilterDrop: "NETFILTER_DROP", OtherHost: "OTHERHOST",
	IPCsum: "IP_CSUM", IPInHdr: "IP_INHDR", IPRPFilter: "IP_RPFILTER", UnicastInL2Multicast: "UNICAST_IN_L2_MULTICAST",
	XfrmPolicy: "XFRM_POLICY", IPNoProto: "IP_NOPROTO", SocketRcvBuff: "SOCKET_RCVBUFF", ProtoMem: "PROTO_MEM",
	TCPMD5Failure: "TCP_MD5FAILURE", SocketBacklog: "SOCKET_BACKLOG", TCPFlags: "TCP_FLAGS", TCPAbortOnData: "TCP_ABORT_ON_DATA",
	TCPZeroWindow: "TCP_ZEROWINDOW", TCPOldData: "TCP_OLD_DATA", TCPOverwindow: "TCP_OVERWINDOW", TCPOfoMerge: "TCP_OFOMERGE",
	TCPRFC7323PAWS: "TCP_RFC7323_PAWS", TCPOldSequence: "TCP_OLD_SEQUENCE", TCPInvalidSequence: "TCP_INVALID_SEQUENCE",
	TCPInvalidAckSequence: "TCP_INVALID_ACK_SEQUENCE", TCPReset: "TCP_RESET", TCPInvalidSyn: "TCP_INVALID_SYN", TCPClose: "TCP_CLOSE",
	TCPOldAck: "TCP_OLD_ACK", TCPTooOldAck: "TCP_TOO_OLD_ACK", TCPAckUnsentData: "TCP_ACK_UNSENT_DATA",
	TCPOfoQueuePrune: "TCP_OFO_QUEUE_PRUNE", TCPOfoDrop: "TCP_OFO_DROP", IPOutNoRoutes: "IP_OUTNOROUTES", IPv6NDisc: "IPV6_NDISC",
	NeighCreateFail: "NEIGH_CREATEFAIL", NeighFailed: "NEIGH_FAILED", NeighQueueFull: "NEIGH_QUEUEFULL", NeighDead: "NEIGH_DEAD",
	TCIngress: "TC_INGRESS", TCEgress: "TC_EGRESS", QdiscDrop: "QDISC_DROP", CPUBacklog: "CPU_BACKLOG",
	UnhandledProto: "UNHANDLED_PROTO", SkbCsum: "SKB_CSUM", SkbGSOSeg: "SKB_GSO_SEG", DevHdr: "DEV_HDR", DevReady: "DEV_READY",
	FullRing: "FULL_RING", NoMem: "NOMEM", HdrTrunc: "HDR_TRUNC", TapTxFilter: "TAP_TXFILTER", ICMPCsum: "ICMP_CSUM",
	InvalidProto: "INVALID_PROTO", IPInAddrErrors: "IP_INADDRERRORS", IPInNoRoute: "IP_INNOROUTES", PktTooBig: "PKT_TOO_BIG",
	DupFrag: "DUP_FRAG", FragReasmTimeout: "FRAG_REASM_TIMEOUT", FragTooFar: "FRAG_TOO_FAR", TCPMinTTL: "TCP_MINTTL",
	IPv6BadExthdr: "IPV6_BAD_EXTHDR", IPv6NDiscFrag: "IPV6_NDISC_FRAG", IPv6NDiscHopLimit: "IPV6_NDISC_HOP_LIMIT",
	IPv6NDiscBadCode: "IPV6_NDISC_BAD_CODE", IPv6NDiscBadOptions: "IPV6_NDISC_BAD_OPTIONS", IPv6NDiscNSOtherHost: "IPV6_NDISC_NS_OTHERHOST",
	TTLExceeded: "TTL_EXCEEDED", IPOptions: "IP_OPTIONS", ModuleUnload: "MODULE_UNLOAD",
}

// maxReasons bounds what modules can add; a Reason past it counts as NotSpecified.
const maxReasons = 256

// Drops counts dropped packets by reason. The zero Drops knows the well-known
// reasons and is safe for concurrent use.
type Drops struct {
	n [maxReasons]Counter

	mu    sync.Mutex
	extra []string // names of reasons from firstFree on
}

// New returns the reason called name, made if it is new. Names are upper case,
// as Linux's are, for example "NFT_QUOTA". It fails when 256 are in use.
func (d *Drops) New(name string) (Reason, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, n := range reasonNames {
		if n == name {
			return Reason(i), nil
		}
	}
	for i, n := range d.extra {
		if n == name {
			return firstFree + Reason(i), nil
		}
	}
	if int(firstFree)+len(d.extra) == maxReasons {
		return NotSpecified, fmt.Errorf("drop reason %s: all %d are in use", name, maxReasons)
	}
	d.extra = append(d.extra, name)
	return firstFree + Reason(len(d.extra)-1), nil
}

// Count counts one packet dropped for r.
func (d *Drops) Count(r Reason) {
	if r >= maxReasons {
		r = NotSpecified
	}
	d.n[r].Inc()
}

// Load returns how many packets were dropped for r.
func (d *Drops) Load(r Reason) uint64 { return d.n[r%maxReasons].Load() }

// A Dropped is one row of Drops.List.
type Dropped struct {
	Reason string `json:"reason"` // with Linux's prefix SKB_DROP_REASON_
	Count  uint64 `json:"count"`
}

// List returns the reasons that were ever used, in the order of their numbers.
func (d *Drops) List() []Dropped {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Dropped
	for i := range int(firstFree) + len(d.extra) {
		n := d.n[i].Load()
		if n == 0 {
			continue
		}
		out = append(out, Dropped{"SKB_DROP_REASON_" + d.name(Reason(i)), n})
	}
	return out
}

func (d *Drops) name(r Reason) string {
	if r < firstFree {
		return reasonNames[r]
	}
	return d.extra[r-firstFree]
}
