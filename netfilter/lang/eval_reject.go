package lang

import "github.com/knitnet/knit/netfilter/rule"

// rejectTypes are the types of the codes of reject.
var rejectTypes = map[rule.RejectKind]*rule.Type{rule.RejectICMP: rule.ICMPCodeType, rule.RejectICMP6: rule.ICMPv6CodeType, rule.RejectICMPX: rule.ICMPXCodeType}

func (sc *scope) reject(r *rule.Reject, code *node, at Span) error {
	sc.first = true
	defer func() { sc.first = false }()
	if code != nil {
		v, err := sc.symbol(rejectTypes[r.Kind], 8, code)
		if err != nil {
			return err
		}
		r.Code = v.Data[0]
		fam := map[rule.RejectKind]string{rule.RejectICMP: "ip", rule.RejectICMP6: "ip6"}[r.Kind]
		if fam != "" {
			if sc.net != "" && sc.net != fam {
				if sc.netAt.File == nil { // the family of the table says so
					sc.netAt = at
				}
				return &Error{At: code.at, More: []Span{sc.netAt}, Msg: "conflicting protocols specified: " + sc.net + " vs " + fam}
			}
			if err := sc.needNet(fam, at); err != nil {
				return err
			}
		}
	}
	switch {
	case r.Kind == rule.RejectTCPReset && sc.trans != "" && sc.trans != "tcp":
		return &Error{At: at, More: []Span{sc.transAt}, Msg: "you cannot use tcp reset with this protocol"}
	case r.Kind == rule.RejectTCPReset && sc.trans == "":
		if err := sc.needTrans("tcp", at); err != nil {
			return err
		}
	case r.Kind != rule.RejectTCPReset && code == nil:
		r.Kind, r.Code = rule.RejectICMPX, 1
		switch sc.net {
		case "ip":
			r.Kind, r.Code = rule.RejectICMP, 3
		case "ip6":
			r.Kind, r.Code = rule.RejectICMP6, 4
		}
	}
	r.Explicit = !sc.defaultReject(r)
	sc.ended = &at
	sc.add(r)
	return nil
}

// defaultReject reports whether nft lists r as `reject` alone.
func (sc *scope) defaultReject(r *rule.Reject) bool {
	switch r.Kind {
	case rule.RejectICMP:
		return r.Code == 3 && sc.family == rule.IP
	case rule.RejectICMP6:
		return r.Code == 4 && sc.family == rule.IP6
	case rule.RejectICMPX:
		return r.Code == 1
	}
	return false
}
