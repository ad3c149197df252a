package module

import (
	"path"
	"strings"
)

// matchAlias reports whether name matches an alias pattern as modprobe's
// fnmatch does: * ? and [] with ! for negation, - equal to _ outside brackets,
// and no special meaning for a slash.
func matchAlias(pattern, name string) (bool, error) {
	return path.Match(aliasPattern(pattern), aliasName(name))
}

// slash stands for '/' in path.Match, where a slash would stop a *.
const slash = "\x01"

func aliasName(name string) string {
	return strings.ReplaceAll(canonical(name), "/", slash)
}

// aliasPattern translates a pattern of fnmatch to one of path.Match.
func aliasPattern(p string) string {
	var b strings.Builder
	inside := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '/':
			b.WriteString(slash)
		case c == '[' && !inside:
			inside = true
			b.WriteByte(c)
			if i+1 < len(p) && p[i+1] == '!' {
				b.WriteByte('^')
				i++
			}
		case c == ']' && inside:
			inside = false
			b.WriteByte(c)
		case c == '-' && !inside:
			b.WriteByte('_')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
