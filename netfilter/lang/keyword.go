package lang

import "github.com/knitnet/knit/netfilter/rule"

// reservedWords are the words that nft's grammar does not take for names.
var reservedWords = map[string]bool{
	"accept": true, "add": true, "ah": true, "all": true, "and": true, "arp": true, "auto-merge": true, "bridge": true,
	"cgroup": true, "chain": true, "comment": true, "comp": true, "constant": true, "continue": true, "counter": true,
	"cpu": true, "create": true, "ct": true, "day": true, "dccp": true, "define": true, "delete": true, "describe": true,
	"device": true, "devices": true, "dnat": true, "drop": true, "dst": true, "dup": true, "dynamic": true, "ecn": true,
	"element": true, "elements": true, "eq": true, "esp": true, "ether": true, "exists": true, "expires": true,
	"export": true, "exthdr": true, "fib": true, "flags": true, "flow": true, "flowtable": true, "flush": true,
	"frag": true, "fwd": true, "gc-interval": true, "ge": true, "get": true, "goto": true, "gt": true, "handle": true,
	"hbh": true, "hook": true, "hour": true, "ibriport": true, "ibrname": true, "icmp": true, "icmpv6": true, "igmp": true,
	"iif": true, "iifgroup": true, "iifname": true, "iiftype": true, "import": true, "include": true, "index": true,
	"inet": true, "insert": true, "interval": true, "ip": true, "ip6": true, "ipsec": true, "jhash": true, "jump": true,
	"le": true, "limit": true, "list": true, "log": true, "lshift": true, "lt": true, "map": true, "mark": true,
	"masquerade": true, "meta": true, "meter": true, "mh": true, "missing": true, "monitor": true, "ne": true,
	"netdev": true, "nftrace": true, "not": true, "notrack": true, "numgen": true, "obriport": true, "obrname": true,
	"offload": true, "oif": true, "oifgroup": true, "oifname": true, "oiftype": true, "or": true, "osf": true,
	"pkttype": true, "policy": true, "position": true, "priority": true, "queue": true, "quota": true, "random": true,
	"redefine": true, "redirect": true, "reject": true, "rename": true, "replace": true, "reset": true, "return": true,
	"rshift": true, "rt": true, "rt0": true, "rt2": true, "rtclassid": true, "rule": true, "ruleset": true, "sctp": true,
	"secmark": true, "set": true, "size": true, "skgid": true, "skuid": true, "snat": true, "socket": true, "srh": true,
	"symhash": true, "synproxy": true, "table": true, "tcp": true, "th": true, "time": true, "timeout": true,
	"tproxy": true, "type": true, "typeof": true, "udp": true, "udplite": true, "undefine": true, "update": true,
	"vlan": true, "vmap": true, "xor": true, "xt": true,
}

// scopeWords are keywords of one place only, which are names everywhere else.
var scopeWords = map[string]bool{
	"alias-none": true, "at": true, "burst": true, "chains": true, "checksum": true, "counters": true, "daddr": true,
	"destroy": true, "dport": true, "flowtables": true, "helper": true, "helpers": true, "hooks": true, "hoplimit": true,
	"json": true, "last": true, "length": true, "limits": true, "maps": true, "memory": true, "meters": true, "mptcp": true,
	"nexthdr": true, "over": true, "performance": true, "protocol": true, "quotas": true, "saddr": true,
	"secmarks": true, "sets": true, "sport": true, "synproxys": true, "tables": true, "to": true,
}

// noStatement are the words with which no statement begins.
var noStatement = map[string]bool{
	"all": true, "auto-merge": true, "bridge": true, "chain": true, "constant": true, "create": true, "define": true, "describe": true,
	"device": true, "devices": true, "dynamic": true, "element": true, "elements": true, "exists": true, "expires": true, "export": true,
	"flags": true, "flowtable": true, "flush": true, "gc-interval": true, "get": true, "handle": true, "hook": true, "import": true,
	"include": true, "index": true, "inet": true, "insert": true, "interval": true, "list": true, "missing": true, "monitor": true,
	"netdev": true, "offload": true, "policy": true, "position": true, "priority": true, "redefine": true, "rename": true,
	"replace": true, "rule": true, "ruleset": true, "size": true, "table": true, "timeout": true, "type": true,
	"typeof": true, "undefine": true,
}

// signs are the words that are said as signs.
var signs = map[string]string{"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=", "not": "!", "and": "&",
	"or": "'|'", "xor": "^", "lshift": "<<", "rshift": ">>"}

// keyword reports whether nft's grammar has the word.
func keyword(w string) bool { return reservedWords[w] || scopeWords[w] }

// reserved reports whether a word cannot be a name.
func reserved(w string) bool { return reservedWords[w] }

// constantWord reports whether a word can be a constant although the grammar has it.
// Those of protocols, and some more, have a type of their own.
func constantWord(w string) (own *rule.Type, ok bool) {
	switch w {
	case "arp", "dnat", "ecn", "ether", "ip", "ip6", "reset", "snat", "vlan":
		return nil, true
	case "ah", "comp", "dccp", "esp", "icmp", "icmpv6", "igmp", "sctp", "tcp", "udp", "udplite":
		return rule.InetProtoType, true
	case "redirect":
		return rule.ICMPTypeType, true
	case "exists", "missing":
		return rule.BooleanType, true
	}
	return nil, !reservedWords[w] && w != "length" && w != "protocol"
}
