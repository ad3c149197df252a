// Package lang is nft's language: it reads rulesets and commands as text or JSON,
// checks them and gives them out as values of package rule, and it writes such values
// as nft lists them, byte by byte as nft 1.0.6 does.
//
// What a rule needs in silence (`tcp dport 80` needs `meta l4proto tcp`) stands in the
// rule as a statement, as it does in Linux; the listing leaves it away again.
package lang

import "github.com/knitnet/knit/netfilter/rule"

// An Env is what is there already. Parse asks it while it checks; what the source
// itself adds in front of a use counts as well.
type Env interface {
	// Table returns a table with all that is in it, or nil. It is not changed.
	Table(f rule.Family, name string) *rule.Table
	// InterfaceIndex returns the index of a device.
	InterfaceIndex(name string) (uint32, bool)
	// InterfaceName returns the name of a device.
	InterfaceName(index uint32) (string, bool)
}

// Options are how Parse reads.
type Options struct {
	// Env may be nil: there is nothing yet.
	Env Env
	// Include returns the files of an include statement; nil: none can be included.
	// The pattern is as written, with the base directory being the caller's matter.
	Include func(pattern string) ([]File, error)
	// Define are the variables given with -D.
	Define map[string]string
	// Refusals: what Parse knows that Linux refuses stays with the commands (Command.Refused),
	// for a caller that has refusals of its own and tells of all of them. Else it is an error
	// like any other.
	Refusals bool
}

// Limits of what a source may ask for.
const (
	maxSource   = 16 << 20 // bytes, all files together
	maxDepth    = 16       // includes in each other, as nft's MAX_INCLUDE_DEPTH
	maxFiles    = 1024
	maxNesting  = 64 // expressions and blocks in each other
	maxErrors   = 10
	maxCommands = 1 << 20
	maxWeight   = 1 << 21 // expressions that all uses of variables stand for
)

// Parse reads commands. It returns all commands or Errors, never both.
func Parse(src, filename string, opts Options) ([]Command, error) {
	s := newSource(opts)
	return s.parse(&File{Name: filename, Text: src})
}
