package lang

// grammarWords are the words of nft's grammar that it does not take for names.
var grammarWords = map[string]bool{
	"cgroup": true, "cpu": true, "iif": true, "iifgroup": true, "iifname": true, "iiftype": true, "nftrace": true, "oif": true,
	"oifgroup": true, "oifname": true, "oiftype": true, "pkttype": true, "rtclassid": true, "skgid": true, "skuid": true,
	"accept": true, "add": true, "ah": true, "alias-none": true, "all": true, "and": true, "arp": true, "at": true,
	"auto-merge": true, "bridge": true, "burst": true, "chain": true, "chains": true, "checksum": true, "comment": true,
	"comp": true, "constant": true, "continue": true, "counter": true, "counters": true, "create": true, "ct": true, "daddr": true,
	"dccp": true, "define": true, "delete": true, "describe": true, "destroy": true, "device": true, "devices": true, "dnat": true,
	"dport": true, "drop": true, "dst": true, "dup": true, "dynamic": true, "element": true, "elements": true, "eq": true,
	"esp": true, "ether": true, "expires": true, "export": true, "exthdr": true, "fib": true, "flags": true, "flow": true,
	"flowtable": true, "flowtables": true, "flush": true, "frag": true, "fwd": true, "gc-interval": true, "ge": true, "goto": true,
	"gt": true, "handle": true, "hbh": true, "helper": true, "helpers": true, "hook": true, "hooks": true, "hoplimit": true,
	"icmp": true, "icmpv6": true, "igmp": true, "import": true, "include": true, "index": true, "inet": true, "insert": true,
	"interval": true, "ip": true, "ip6": true, "ipsec": true, "jhash": true, "json": true, "jump": true, "last": true, "le": true,
	"length": true, "limit": true, "limits": true, "list": true, "log": true, "lshift": true, "lt": true, "map": true, "maps": true,
	"mark": true, "masquerade": true, "memory": true, "meta": true, "meter": true, "meters": true, "mh": true, "monitor": true,
	"mptcp": true, "ne": true, "netdev": true, "nexthdr": true, "not": true, "notrack": true, "numgen": true, "or": true,
	"osf": true, "over": true, "performance": true, "policy": true, "position": true, "priority": true, "protocol": true,
	"queue": true, "quota": true, "quotas": true, "redefine": true, "redirect": true, "reject": true, "rename": true,
	"replace": true, "reset": true, "return": true, "rshift": true, "rt": true, "rt0": true, "rt2": true, "rule": true,
	"rules": true, "ruleset": true, "saddr": true, "sctp": true, "secmark": true, "secmarks": true, "set": true, "sets": true,
	"size": true, "snat": true, "socket": true, "sport": true, "srh": true, "symhash": true, "synproxy": true, "synproxys": true,
	"table": true, "tables": true, "tcp": true, "th": true, "timeout": true, "timeouts": true, "to": true, "tproxy": true,
	"type": true, "typeof": true, "udp": true, "udplite": true, "undefine": true, "until": true, "update": true, "vlan": true,
	"vmap": true, "xor": true,
}

// softWords are keywords of one place only, which are names everywhere else.
var softWords = map[string]bool{
	"cgroup": true, "cpu": true,
	"alias-none": true, "all": true, "at": true, "auto-merge": true, "burst": true, "checksum": true, "constant": true,
	"daddr": true, "device": true, "devices": true, "dport": true, "dynamic": true, "elements": true, "expires": true,
	"export": true, "gc-interval": true, "helper": true, "helpers": true, "hook": true, "hooks": true, "hoplimit": true,
	"import": true, "index": true, "interval": true, "ipsec": true, "json": true, "last": true, "length": true, "memory": true,
	"monitor": true, "nexthdr": true, "osf": true, "over": true, "performance": true, "policy": true, "priority": true,
	"protocol": true, "saddr": true, "size": true, "sport": true, "timeouts": true, "to": true, "until": true,
}

// keyword reports whether nft's grammar has the word.
func keyword(w string) bool { return grammarWords[w] }

// reserved reports whether a word cannot be a name.
func reserved(w string) bool { return grammarWords[w] && !softWords[w] }
