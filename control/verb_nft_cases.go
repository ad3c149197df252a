package control

import "strings"

// NFTTest is one call of `nft test`, which needs no daemon.
type NFTTest struct {
	Rules NFTRequest
	// Cases are the files with cases.
	Cases   []string
	JSON    bool
	Verbose bool // traces of what passed, too
}

const nftTestUsage = `Usage: nft [ -D name=value ] [ -I directory ] test [ -j ] [ -v ] RULES CASES...

Runs the packets and flows of the files CASES through the ruleset of the file RULES,
in a kernel of its own and in virtual time, and compares what becomes of them with
what the files expect. Without CASES it looks for rules that no packet can match.

  -j, --json      one JSON document
  -v, --verbose   the rules that held for each packet, also where nothing is wrong

Exit status: 0 all is as expected, 1 something is not, 2 the files are wrong.
`

var nftTestOptions = []option{{'h', "help", noArg}, {'j', "json", noArg}, {'v', "verbose", noArg}}

// IsNFTTest reports whether the words behind nft are those of `nft test`.
func IsNFTTest(args []string) bool {
	n := leadingOptions(args)
	return n < len(args) && args[n] == "test"
}

// ParseNFTTest reads the words behind nft, for which IsNFTTest is true, and the rules.
func ParseNFTTest(c *Console, args []string) (q NFTTest, err error) {
	n := leadingOptions(args)
	given, rest, err := getopt("nft test", 2, nftTestOptions, args[n+1:])
	if err != nil {
		return q, err
	}
	for _, o := range given {
		switch o.name {
		case "help":
			return q, &Error{Text: strings.TrimSuffix(nftTestUsage, "\n"), help: true}
		case "json":
			q.JSON = true
		case "verbose":
			q.Verbose = true
		}
	}
	if len(rest) == 0 {
		return q, Errorf(2, "nft test: want the file of the rules and those of the cases")
	}
	for _, o := range rest[1:] {
		q.Cases = append(q.Cases, o.text)
	}
	q.Rules, err = parseNFT(c, append(args[:n:n], "-f", rest[0].text))
	if err != nil {
		e := *asError(err)
		e.Status = 2
		return q, &e
	}
	q.JSON = q.JSON || q.Rules.JSON
	q.Rules.JSON = false
	return q, nil
}
