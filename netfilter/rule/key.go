package rule

// A MetaKey is something known about a packet.
type MetaKey uint8

// Meta keys.
const (
	MetaLength MetaKey = iota
	MetaNFProto
	MetaL4Proto
	MetaProtocol
	MetaPriority
	MetaMark
	MetaIif
	MetaIifname
	MetaIiftype
	MetaOif
	MetaOifname
	MetaOiftype
	MetaSKUID
	MetaSKGID
	MetaNFTrace
	MetaRtClassID
	MetaIbrname
	MetaObrname
	MetaPkttype
	MetaCPU
	MetaIifgroup
	MetaOifgroup
	MetaCgroup
	MetaRandom
	MetaSecpath
	MetaIifkind
	MetaOifkind
	MetaTime
	MetaDay
	MetaHour
	MetaSDIF
	MetaSDIFname
	MetaIbrPVID
	MetaIbrVproto
	MetaBroute
	metaKeys
)

type keyInfo struct {
	name string
	typ  *Type
	bits int
	// short: nft lists it without the word meta.
	short bool
	// settable: Assign may have it on the left.
	settable bool
}

var metaTable = [metaKeys]keyInfo{
	MetaLength:    {"length", IntegerType, 32, false, false},
	MetaNFProto:   {"nfproto", NFProtoType, 8, false, false},
	MetaL4Proto:   {"l4proto", InetProtoType, 8, false, false},
	MetaProtocol:  {"protocol", EtherType, 16, false, false},
	MetaPriority:  {"priority", ClassIDType, 32, false, true},
	MetaMark:      {"mark", MarkType, 32, false, true},
	MetaIif:       {"iif", IfindexType, 32, true, false},
	MetaIifname:   {"iifname", IfnameType, 128, true, false},
	MetaIiftype:   {"iiftype", IftypeType, 16, false, false},
	MetaOif:       {"oif", IfindexType, 32, true, false},
	MetaOifname:   {"oifname", IfnameType, 128, true, false},
	MetaOiftype:   {"oiftype", IftypeType, 16, false, false},
	MetaSKUID:     {"skuid", UIDType, 32, false, false},
	MetaSKGID:     {"skgid", GIDType, 32, false, false},
	MetaNFTrace:   {"nftrace", IntegerType, 1, false, true},
	MetaRtClassID: {"rtclassid", RealmType, 32, false, false},
	MetaIbrname:   {"ibrname", IfnameType, 128, false, false},
	MetaObrname:   {"obrname", IfnameType, 128, false, false},
	MetaPkttype:   {"pkttype", PkttypeType, 8, false, true},
	MetaCPU:       {"cpu", IntegerType, 32, false, false},
	MetaIifgroup:  {"iifgroup", DevgroupType, 32, true, false},
	MetaOifgroup:  {"oifgroup", DevgroupType, 32, true, false},
	MetaCgroup:    {"cgroup", IntegerType, 32, false, false},
	MetaRandom:    {"random", IntegerType, 32, false, false},
	MetaSecpath:   {"ipsec", BooleanType, 1, false, false},
	MetaIifkind:   {"iifkind", IfnameType, 128, false, false},
	MetaOifkind:   {"oifkind", IfnameType, 128, false, false},
	MetaTime:      {"time", TimeType, 64, false, false},
	MetaDay:       {"day", DayType, 8, false, false},
	MetaHour:      {"hour", HourType, 32, false, false},
	MetaSDIF:      {"sdif", IfindexType, 32, false, false},
	MetaSDIFname:  {"sdifname", IfnameType, 128, false, false},
	MetaIbrPVID:   {"ibrpvid", IntegerType, 16, false, false},
	MetaIbrVproto: {"ibrvproto", EtherType, 16, false, false},
	MetaBroute:    {"broute", IntegerType, 1, false, true},
}

func (k MetaKey) info() *keyInfo { return &metaTable[k] }

// String returns nft's name of k, without the word meta.
func (k MetaKey) String() string { return k.info().name }

// Short reports whether nft lists k without the word meta.
func (k MetaKey) Short() bool { return k.info().short }

// Settable reports whether rules can change k.
func (k MetaKey) Settable() bool { return k.info().settable }

// ParseMetaKey returns the key with nft's name s.
func ParseMetaKey(s string) (MetaKey, bool) {
	for k := range metaKeys {
		if metaTable[k].name == s {
			return k, true
		}
	}
	return 0, false
}

// A CTKey is something connection tracking knows.
type CTKey uint8

// Conntrack keys.
const (
	CTState CTKey = iota
	CTDirection
	CTStatus
	CTMark
	CTExpiration
	CTHelper
	CTL3Proto
	CTProto
	CTSrc
	CTDst
	CTProtoSrc
	CTProtoDst
	CTLabel
	CTPackets
	CTBytes
	CTAvgPkt
	CTZone
	CTEvent
	CTSecmark
	CTID
	ctKeys
)

var ctTable = [ctKeys]keyInfo{
	CTState:      {"state", CTStateType, 32, false, false},
	CTDirection:  {"direction", CTDirType, 8, false, false},
	CTStatus:     {"status", CTStatusType, 32, false, false},
	CTMark:       {"mark", MarkType, 32, false, true},
	CTExpiration: {"expiration", DurationType, 32, false, false},
	CTHelper:     {"helper", StringType, 128, false, false},
	CTL3Proto:    {"l3proto", NFProtoType, 8, false, false},
	CTProto:      {"protocol", InetProtoType, 8, false, false},
	CTSrc:        {"saddr", nil, 0, false, false},
	CTDst:        {"daddr", nil, 0, false, false},
	CTProtoSrc:   {"proto-src", InetServiceType, 16, false, false},
	CTProtoDst:   {"proto-dst", InetServiceType, 16, false, false},
	CTLabel:      {"label", CTLabelType, 128, false, true},
	CTPackets:    {"packets", IntegerType, 64, false, false},
	CTBytes:      {"bytes", IntegerType, 64, false, false},
	CTAvgPkt:     {"avgpkt", IntegerType, 64, false, false},
	CTZone:       {"zone", IntegerType, 16, false, true},
	CTEvent:      {"event", CTEventType, 32, false, true},
	CTSecmark:    {"secmark", IntegerType, 32, false, true},
	CTID:         {"id", IntegerType, 32, false, false},
}

func (k CTKey) info() *keyInfo { return &ctTable[k] }

// String returns nft's name of k.
func (k CTKey) String() string { return k.info().name }

// Settable reports whether rules can change k.
func (k CTKey) Settable() bool { return k.info().settable }

// ParseCTKey returns the key with nft's name s.
func ParseCTKey(s string) (CTKey, bool) {
	for k := range ctKeys {
		if ctTable[k].name == s {
			return k, true
		}
	}
	return 0, false
}

// An RTKey is something known of a packet's route.
type RTKey uint8

// Route keys.
const (
	RTClassID RTKey = iota
	RTNexthop
	RTMTU
	RTIPsec
)

var rtNames = [...]string{"classid", "nexthop", "mtu", "ipsec"}

// String returns nft's name.
func (k RTKey) String() string { return rtNames[k] }

// A SocketKey is something known of the socket a packet is for.
type SocketKey uint8

// Socket keys.
const (
	SocketTransparent SocketKey = iota
	SocketMark
	SocketWildcard
	SocketCgroup
)

var socketNames = [...]string{"transparent", "mark", "wildcard", "cgroupv2"}

// String returns nft's name.
func (k SocketKey) String() string { return socketNames[k] }
