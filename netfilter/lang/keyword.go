package lang

import "strings"

// grammarWords are the words of nft's grammar that it does not take for names.
const grammarWords = ` accept add alias-none all and arp at auto-merge bridge chain chains comment continue counter counters
 create ct dccp define delete describe destroy device devices drop dup dynamic element ether export exthdr fib flags flow flowtable flowtables
 flush fwd goto handle hook icmp icmpv6 igmp import include index inet insert interval ip ip6 jhash json jump limit limits list log map maps
 masquerade meta meter meters monitor mptcp netdev notrack numgen or performance memory policy position priority queue quota quotas
 redefine redirect reject rename replace reset return rt rule rules ruleset sctp secmark secmarks set sets size
 snat dnat socket symhash synproxy synproxys table tables tcp timeout timeouts to tproxy type typeof udp udplite undefine update
 vlan vmap xor lshift rshift eq ne lt gt le ge not hbh frag dst mh esp ah comp th srh rt0 rt2 osf ipsec
 saddr daddr sport dport length protocol mark nexthdr hoplimit checksum gc-interval elements expires constant
 last over until burst helper helpers hooks `

func wordSet(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// keyword reports whether nft's grammar has the word.
func keyword(w string) bool {
	return strings.Contains(strings.ReplaceAll(grammarWords, "\n", " "), " "+w+" ")
}

// reserved reports whether a word cannot be a name.
func reserved(w string) bool { return keyword(w) && !soft(w) }

// soft are keywords of one place only, which are names everywhere else.
func soft(w string) bool {
	const words = ` saddr daddr sport dport length protocol nexthdr hoplimit checksum gc-interval elements expires constant last over
 until burst helper helpers hooks ipsec osf devices device interval dynamic auto-merge size performance memory policy priority
 hook index json export import monitor at to all timeouts alias-none `
	return strings.Contains(strings.ReplaceAll(words, "\n", " "), " "+w+" ")
}
