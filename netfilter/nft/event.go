package nft

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/knitnet/knit/netfilter/lang"
	"github.com/knitnet/knit/netfilter/rule"
)

// text writes a change as `nft monitor` does.
func (c *change) text(l lang.Listing) string {
	where := fmt.Sprintf("%v %s", c.table.Family, c.table.Name)
	switch {
	case c.rule != nil && c.verb == "delete":
		return fmt.Sprintf("delete rule %s %s handle %d\n", where, c.chain.Name, c.rule.Handle)
	case c.rule != nil:
		text := strings.TrimSpace(l.Rule(c.table.Family, c.rule))
		return fmt.Sprintf("%s rule %s %s %s%s\n", c.verb, where, c.chain.Name, text, handle(l, c.rule.Handle))
	case c.elem != nil:
		return fmt.Sprintf("%s element %s %s { %s }\n", c.verb, where, c.set.Name, c.element(l))
	}
	kind, name := c.kind()
	head := strings.TrimSuffix(fmt.Sprintf("%s %s %s %s", c.verb, kind, where, name), " ")
	switch {
	case name == "":
		return head + handle(l, c.table.Handle) + "\n"
	case c.verb != "add":
		return head + "\n"
	case c.chain != nil:
		if body := c.body(l); body != "" {
			head += " { " + body + " }"
		}
		return head + handle(l, c.chain.Handle) + "\n"
	}
	body := c.body(l)
	if body != "" {
		body = " " + body
	}
	return head + " {" + handle(l, c.handle()) + body + " } \n" // the space is nft's
}

// handle is the comment that tells a handle, for who wants to know it.
func handle(l lang.Listing, n uint64) string {
	if !l.Handles {
		return ""
	}
	return fmt.Sprintf(" # handle %d", n)
}

// handle returns that of a set, an object or a flowtable.
func (c *change) handle() uint64 {
	switch {
	case c.set != nil:
		return c.set.Handle
	case c.object != nil:
		return c.object.Handle
	}
	return c.flow.Handle
}

// kind returns nft's word for what has changed, and its name.
func (c *change) kind() (kind, name string) {
	switch {
	case c.set != nil && c.set.Map() && c.verb != "delete": // what went has no type any more
		return "map", c.set.Name
	case c.set != nil:
		return "set", c.set.Name
	case c.object != nil:
		return c.object.Kind.String(), c.object.Name
	case c.flow != nil:
		return "flowtable", c.flow.Name
	case c.chain != nil:
		return "chain", c.chain.Name
	}
	return "table", ""
}

// alone returns a table that has nothing but what has changed.
func (c *change) alone() *rule.Table {
	t := &rule.Table{Family: c.table.Family, Name: c.table.Name, Handle: c.table.Handle}
	switch {
	case c.set != nil:
		s := *c.set
		if s.Elems = nil; c.elem != nil {
			s.Elems = []rule.Elem{*c.elem}
		}
		t.Sets = []*rule.Set{&s}
	case c.object != nil:
		o := *c.object
		if o.Quota != nil && c.verb == "delete" {
			o.Quota = &rule.Quota{} // only its name is told of
		}
		t.Objects = []*rule.Object{&o}
	case c.flow != nil:
		t.Flowtables = []*rule.Flowtable{c.flow}
	case c.chain != nil:
		ch := *c.chain
		if c.verb == "delete" {
			ch = rule.Chain{Name: ch.Name, Handle: ch.Handle}
		}
		ch.Comment = "" // it is not told of
		if ch.Rules = nil; c.rule != nil {
			ch.Rules = []*rule.Rule{c.rule}
		}
		t.Chains = []*rule.Chain{&ch}
	}
	return t
}

// body is the listing of what has changed on one line, empty if there is nothing to
// say.
func (c *change) body(l lang.Listing) string {
	var parts []string
	for _, line := range strings.Split(l.Table(c.alone()), "\n") {
		if rest, ok := strings.CutPrefix(line, "\t\t"); ok {
			parts = append(parts, rest)
		}
	}
	if c.object != nil {
		return strings.Join(parts, " ")
	}
	body := strings.Join(parts, "; ")
	if c.set != nil {
		body += ";"
	}
	return body
}

// element is one element as a listing shows it.
func (c *change) element(l lang.Listing) string {
	_, rest, _ := strings.Cut(l.Table(c.alone()), "elements = { ")
	text, _, _ := strings.Cut(rest, " }\n")
	return text
}

// json writes a change as `nft -j monitor` does: an object of its own line.
func (c *change) json(l lang.Listing) string {
	if c.rule != nil {
		return fmt.Sprintf("{\"%s\": %s}\n", c.verb, l.RuleJSON(c.table, c.chain, c.rule))
	}
	if c.set != nil && c.elem == nil && c.verb == "delete" {
		return fmt.Sprintf("{\"delete\": {\"set\": {\"family\": \"%v\", \"name\": \"%s\", \"table\": \"%s\", \"type\": \"invalid\", \"handle\": %d}}}\n",
			c.table.Family, c.set.Name, c.table.Name, c.set.Handle)
	}
	var doc struct {
		List []map[string]json.RawMessage `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(l.RulesetJSON([]*rule.Table{c.alone()})), &doc); err != nil || len(doc.List) == 0 {
		return ""
	}
	for kind, raw := range doc.List[len(doc.List)-1] { // one
		if c.elem != nil {
			var set struct {
				Elem json.RawMessage `json:"elem"`
			}
			if err := json.Unmarshal(raw, &set); err != nil {
				return ""
			}
			return fmt.Sprintf("{\"%s\": {\"element\": {\"family\": \"%v\", \"table\": \"%s\", \"name\": \"%s\", \"elem\": {\"set\": %s}}}}\n",
				c.verb, c.table.Family, c.table.Name, c.set.Name, set.Elem)
		}
		return fmt.Sprintf("{\"%s\": {\"%s\": %s}}\n", c.verb, kind, raw)
	}
	return ""
}
