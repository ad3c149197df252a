package nftcase

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
)

func parseHits(w *words) (step, error) {
	ref, err := parseRuleRef(w)
	if err != nil {
		return nil, err
	}
	if !w.take("->") {
		return nil, fmt.Errorf("want -> and a number")
	}
	word, err := w.next("how often the rule held")
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is no number of packets", word)
	}
	return &hits{ref, n}, nil
}

func parseReplay(w *words) (step, error) {
	file, err := w.next("the name of a capture")
	if err != nil {
		return nil, err
	}
	word, err := w.next("in DEVICE")
	if err != nil {
		return nil, err
	}
	if word != "in" {
		return nil, fmt.Errorf("%s: want in DEVICE", word)
	}
	s := &replay{file: unquote(file), want: map[string]int{}}
	if s.from, err = parseSite("in", w); err != nil {
		return nil, err
	}
	if !w.take("->") {
		return nil, fmt.Errorf("want -> and how many packets come to which verdict")
	}
	for !w.end() {
		verdict, _ := w.next("")
		if verdict != accept && verdict != drop && verdict != reject {
			return nil, fmt.Errorf("%s: want accept, drop or reject and a number", verdict)
		}
		word, err := w.next("a number of packets")
		if err != nil {
			return nil, err
		}
		if s.want[verdict], err = strconv.Atoi(word); err != nil || s.want[verdict] < 0 {
			return nil, fmt.Errorf("%s is no number of packets", word)
		}
	}
	return s, nil
}

func (s *hits) run(r *runner, _ *Line) (res Result) {
	n, found := uint64(0), false
	for _, t := range r.rules.Tables() {
		for _, c := range t.Chains {
			for _, x := range c.Rules {
				e := Event{Chain: c.Name, Handle: x.Handle, Comment: x.Comment, Rule: " "}
				if p, ok := r.places[x]; ok {
					e.At = &p
				}
				if s.rule.means(&e) {
					n, found = n+r.held[x], true
				}
			}
		}
	}
	switch {
	case !found:
		res.problem("there is no rule with %v", s.rule)
	case n != s.n:
		res.problem("want %d packets, got %d", s.n, n)
	}
	return res
}

// parseCounter reads `counter FAMILY TABLE NAME -> packets N bytes N`.
func parseCounter(w *words) (step, error) {
	s := &counter{family: "ip"}
	if _, ok := rule.ParseFamily(w.peek(0)); ok {
		s.family, _ = w.next("")
	}
	var err error
	if s.table, err = w.next("the name of a table"); err != nil {
		return nil, err
	}
	if s.name, err = w.next("the name of a counter"); err != nil {
		return nil, err
	}
	if !w.take("->") {
		return nil, fmt.Errorf("want -> and packets N, bytes N or both")
	}
	for s.packets == nil && s.bytes == nil || !w.end() {
		what, err := w.next("packets or bytes")
		if err != nil {
			return nil, err
		}
		word, err := w.next("a number")
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(word, 10, 64)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s is no number", word)
		case what == "packets":
			s.packets = &n
		case what == "bytes":
			s.bytes = &n
		default:
			return nil, fmt.Errorf("%s: want packets or bytes", what)
		}
	}
	return s, nil
}

func (s *counter) run(r *runner, _ *Line) (res Result) {
	packets, bytes, err := r.counter(s)
	if err != nil {
		res.problem("%v", err)
		return res
	}
	if s.packets != nil && *s.packets != packets {
		res.problem("want %d packets, got %d", *s.packets, packets)
	}
	if s.bytes != nil && *s.bytes != bytes {
		res.problem("want %d bytes, got %d", *s.bytes, bytes)
	}
	return res
}

// counter asks the packet filter for a counter.
func (r *runner) counter(s *counter) (packets, bytes uint64, err error) {
	var out strings.Builder
	q := &netfilter.NFTRequest{Text: fmt.Sprintf("list counter %s %s %s", s.family, s.table, s.name), JSON: true}
	if err := r.rules.Run(r.ctx, q, &out); err != nil {
		return 0, 0, err
	}
	var list struct {
		NFTables []struct {
			Counter *struct{ Packets, Bytes uint64 }
		}
	}
	if err := json.Unmarshal([]byte(out.String()), &list); err != nil {
		return 0, 0, err
	}
	for _, x := range list.NFTables {
		if x.Counter != nil {
			return x.Counter.Packets, x.Counter.Bytes, nil
		}
	}
	return 0, 0, fmt.Errorf("there is no counter %s", s.name)
}
