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
	// Inline: the text is that of a command line, whose errors name no file.
	Inline bool
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
