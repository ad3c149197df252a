package lang

import (
	"os/user"
	"strconv"

	"github.com/knitnet/knit/netfilter/rule"
)

// ownerValue reads a user or a group: a number, or a name that this system knows
// (getpwnam(3), getgrnam(3)).
func (sc *scope) ownerValue(t *rule.Type, n *node) (*rule.Value, error) {
	if v, ok := parseInt(n.text); ok {
		if v.BitLen() > 32 {
			return nil, &Error{At: n.where(), Msg: "Value too large"}
		}
		return bigNumber(t, 32, v), nil
	}
	if id, ok := ownerID(t, n.text); ok {
		return number(t, 32, uint64(id)), nil
	}
	if t == rule.UIDType {
		return nil, &Error{At: n.where(), Msg: "User does not exist"}
	}
	return nil, &Error{At: n.where(), Msg: "Group does not exist"}
}

// ownerID returns the number of a user or group.
func ownerID(t *rule.Type, name string) (uint32, bool) {
	if name == "root" { // also where there is no file of users
		return 0, true
	}
	text := ""
	if t == rule.UIDType {
		if u, err := user.Lookup(name); err == nil {
			text = u.Uid
		}
	} else if g, err := user.LookupGroup(name); err == nil {
		text = g.Gid
	}
	id, err := strconv.ParseUint(text, 10, 32)
	return uint32(id), err == nil
}

// ownerName returns the name of a user or group.
func ownerName(t *rule.Type, id uint32) (string, bool) {
	if id == 0 {
		return "root", true
	}
	text := strconv.FormatUint(uint64(id), 10)
	if t == rule.UIDType {
		u, err := user.LookupId(text)
		if err != nil {
			return "", false
		}
		return u.Username, true
	}
	g, err := user.LookupGroupId(text)
	if err != nil {
		return "", false
	}
	return g.Name, true
}
