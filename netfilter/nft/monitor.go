package nft

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/lang"
)

// A hub tells those who monitor what happens. What a slow one has no room for is
// lost, and it is told so.
type hub struct {
	// traces is how many want traces: nobody writes them else.
	traces atomic.Int32

	mu   sync.Mutex
	subs map[*sub]struct{}
}

// A sub is one who monitors.
type sub struct {
	trace bool
	lines chan string
	lost  atomic.Bool
}

// backlog is how many lines wait for one who monitors.
const backlog = 4096

func (h *hub) join(trace bool) *sub {
	s := &sub{trace: trace, lines: make(chan string, backlog)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[*sub]struct{}{}
	}
	h.subs[s] = struct{}{}
	if trace {
		h.traces.Add(1)
	}
	return s
}

func (h *hub) leave(s *sub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
	if s.trace {
		h.traces.Add(-1)
	}
}

// heard reports whether somebody wants events: they cost a listing of each rule.
func (h *hub) heard() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if !s.trace {
			return true
		}
	}
	return false
}

// tell gives a text to those who want traces, or to those who want events.
func (h *hub) tell(trace bool, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if s.trace != trace {
			continue
		}
		select {
		case s.lines <- text:
		default:
			s.lost.Store(true)
		}
	}
}

// Monitor implements netfilter.Ruleset.
func (m *machine) Monitor(ctx context.Context, req *netfilter.NFTRequest, out io.Writer) error {
	m.mu.Lock()
	commands, err := m.parse(req)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if len(commands) != 1 || commands[0].Verb != lang.Monitor {
		return fmt.Errorf("monitor stands alone")
	}
	s := m.hub.join(commands[0].Trace)
	defer m.hub.leave(s)
	for {
		select {
		case <-ctx.Done():
			return nil
		case text := <-s.lines:
			if s.lost.Swap(false) {
				text += "# ERROR: monitor: some events were lost\n"
			}
			if _, err := io.WriteString(out, text); err != nil {
				return err
			}
		}
	}
}

// event writes what a command has done, as `nft monitor` does.
func (r *running) event(c *lang.Command) string {
	where := fmt.Sprintf("%v %s", c.Family, c.Table)
	verb := "add"
	if c.Verb >= lang.Delete {
		verb = "delete"
	}
	switch c.Kind {
	case lang.Table:
		return fmt.Sprintf("%s table %s\n", verb, where)
	case lang.Rule:
		return r.ruleEvent(c, where)
	case lang.Chain, lang.Set, lang.Map, lang.Flowtable:
		kind := [...]string{lang.Chain: "chain", lang.Set: "set", lang.Map: "map", lang.Flowtable: "flowtable"}[c.Kind]
		return fmt.Sprintf("%s %s %s %s\n", verb, kind, where, c.Name)
	case lang.Object:
		return fmt.Sprintf("%s %v %s %s\n", verb, c.ObjectKind, where, c.Name)
	}
	return ""
}

func (r *running) ruleEvent(c *lang.Command, where string) string {
	if c.RuleSpec == nil {
		return fmt.Sprintf("delete rule %s %s handle %d\n", where, c.Name, c.Handle)
	}
	verb := "add"
	if c.Verb == lang.Insert || c.Verb == lang.Replace {
		verb = c.Verb.String()
	}
	return fmt.Sprintf("%s rule %s %s %s\n", verb, where, c.Name, strings.TrimSpace(r.listing.Rule(c.Family, c.RuleSpec)))
}
