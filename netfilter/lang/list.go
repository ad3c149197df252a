package lang

import "github.com/knitnet/knit/netfilter/rule"

// Listing is how rulesets are written: the options of nft.
type Listing struct {
	Handles         bool // -a
	Stateless       bool // -s
	Terse           bool // -t: sets without elements
	Numeric         bool // -n: priorities, protocols and symbols as numbers
	NumericPriority bool // -y
	NumericProtocol bool // -p
	NumericTime     bool // -T
	Services        bool // -S: ports by name
	GUID            bool // -u: users and groups by name
	// Env names devices; nil: indexes are written.
	Env Env
}

// family is the family of the table whose rules are written.
type printer struct {
	Listing
	family rule.Family
	table  *rule.Table
	out    []byte
}
