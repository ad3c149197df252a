package netfilter

import (
	"context"
	"io"

	"github.com/knitnet/knit/netfilter/rule"
)

// A Ruleset is nf_tables as the tools see it.
type Ruleset interface {
	// Run runs nft commands as one transaction and writes what they list to out.
	Run(ctx context.Context, req *NFTRequest, out io.Writer) error
	// Monitor writes events until ctx ends.
	Monitor(ctx context.Context, req *NFTRequest, out io.Writer) error
}

// An NFTRequest is one call of nft.
type NFTRequest struct {
	// Text is the commands, Name where they come from, for messages.
	Text, Name string
	// Include returns the text of an included file or directory glob.
	Include func(pattern string) (files []NFTFile, err error)
	// Define are variables given with -D.
	Define map[string]string
	// Placed, unless it is nil, is told of each rule that the text adds, and where it
	// is written: the file and the line, from 1. It must not call the Ruleset.
	Placed func(r *rule.Rule, file string, line int)

	Check                              bool // -c
	JSON, Handles, Stateless, Terse    bool // -j -a -s -t
	Numeric, NumericPriority           bool // -n -y
	NumericProtocol, NumericTime, GUID bool // -p -T -u
	ServiceNames, ReverseDNS, Echo     bool // -S -N -e
}

// An NFTFile is an included file.
type NFTFile struct{ Name, Text string }
