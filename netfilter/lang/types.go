package lang

import (
	"fmt"
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
)

// allTypes are the data types that sets can name.
func allTypes() []*rule.Type {
	return []*rule.Type{rule.VerdictType, rule.IntegerType, rule.BitmaskType, rule.StringType, rule.LLAddrType, rule.EtherAddr, rule.IPv4Type,
		rule.IPv6Type, rule.InetProtoType, rule.InetServiceType, rule.MarkType, rule.IfnameType, rule.IfindexType, rule.UIDType, rule.GIDType,
		rule.DevgroupType, rule.RealmType, rule.ClassIDType, rule.DurationType, rule.HourType, rule.DayType, rule.CgroupType, rule.CTLabelType,
		rule.ECNType, rule.CTStateType, rule.CTStatusType, rule.CTDirType, rule.CTEventType, rule.TCPFlagType, rule.FIBAddrType,
		rule.PkttypeType, rule.NFProtoType, rule.EtherType, rule.ARPOpType, rule.IftypeType, rule.ICMPTypeType, rule.ICMPCodeType,
		rule.ICMPv6TypeType, rule.ICMPv6CodeType, rule.ICMPXCodeType, rule.IGMPTypeType, rule.DSCPType, rule.MHType, rule.DCCPPkttypeType,
		rule.BooleanType}
}

// typeByName returns a data type, or nil.
func typeByName(name string) *rule.Type {
	for _, t := range allTypes() {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// typeDesc is what messages call a type.
func typeDesc(t *rule.Type) string {
	if len(t.Parts) == 0 {
		return t.Desc
	}
	var parts []string
	for _, p := range t.Parts {
		parts = append(parts, p.Desc)
	}
	return "concatenation of (" + strings.Join(parts, ", ") + ")"
}

func sizeText(t *rule.Type, bits int) string {
	if t.Format == rule.Text {
		return fmt.Sprintf("%d characters", bits/8)
	}
	return bitsText(bits)
}

func bitsText(n int) string {
	if n == 1 {
		return "1 bit"
	}
	return fmt.Sprintf("%d bits", n)
}

// describeType is nft's answer about a data type.
func describeType(t *rule.Type) string {
	return fmt.Sprintf("datatype %s (%s)", t.Name, t.Desc) + describeBase(t, fmt.Sprintf("%d bits", t.Bits), t.Bits)
}

func describeBase(t *rule.Type, size string, bits int) string {
	var b strings.Builder
	if t.Base != nil {
		names := []string{}
		for x := t.Base; x != nil; x = x.Base {
			names = append(names, x.Desc)
		}
		fmt.Fprintf(&b, " (basetype %s)", strings.Join(names, ", "))
	}
	fmt.Fprintf(&b, ", %s\n", size)
	switch hex := t.Format == rule.Hex || t == rule.ARPOpType; {
	case t == rule.InetProtoType: // those of the system
		for _, s := range t.Symbols {
			fmt.Fprintf(&b, "\t%-30s\t%d\n", s.Name, s.Value)
		}
	case len(t.Symbols) > 0:
		b.WriteString("\npre-defined symbolic constants")
		if hex || t.Bitmask() {
			b.WriteString(" (in hexadecimal)")
		} else {
			b.WriteString(" (in decimal)")
		}
		b.WriteString(":\n")
		for _, s := range t.Symbols {
			if hex {
				fmt.Fprintf(&b, "\t%-30s\t0x%0*x\n", s.Name, (bits+7)/8*2, s.Value)
			} else {
				fmt.Fprintf(&b, "\t%-30s\t%20d\n", s.Name, s.Value)
			}
		}
	}
	return b.String()
}

// describeExpr is nft's answer about an expression.
func describeExpr(e rule.Expr) string {
	kind := "payload expression"
	switch e.(type) {
	case *rule.Meta:
		kind = "meta expression"
	case *rule.CT:
		kind = "ct expression"
	case *rule.Exthdr:
		kind = "exthdr expression"
	case *rule.RT:
		kind = "rt expression"
	case *rule.FIB:
		kind = "fib expression"
	case *rule.Socket:
		kind = "socket expression"
	}
	t := e.Type()
	return fmt.Sprintf("%s, datatype %s (%s)", kind, t.Name, t.Desc) + describeBase(t, sizeText(t, e.Bits()), e.Bits())
}
