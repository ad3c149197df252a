package nat64

import "github.com/knitnet/knit/core/stat"

// reasons are why packets are dropped.
type reasons struct {
	// NAT64_ADDRESS: an address stands for nothing, or must not be translated.
	address stat.Reason
	// NAT64_NO_BINDING: nobody inside has the address and port.
	noBinding stat.Reason
	// NAT64_FILTERED: the inside has not spoken to the sender.
	filtered stat.Reason
	// NAT64_PORTS_USED_UP: the pool has no port left.
	usedUp stat.Reason
	// NAT64_TABLE_FULL: there are as many sessions as there may be.
	full stat.Reason
	// NAT64_SOURCE_ROUTE: it is not where its source wants it to be.
	sourceRoute stat.Reason
	// NAT64_PROTOCOL: neither TCP nor UDP nor ICMP.
	protocol stat.Reason
	// NAT64_UNTRANSLATABLE: an ICMP message that the other version does not have.
	untranslatable stat.Reason
	// NAT64_LOOP: it was translated too often.
	loop stat.Reason
}

func (r *reasons) init(d *stat.Drops) error {
	for name, to := range map[string]*stat.Reason{
		"NAT64_ADDRESS": &r.address, "NAT64_NO_BINDING": &r.noBinding, "NAT64_FILTERED": &r.filtered,
		"NAT64_PORTS_USED_UP": &r.usedUp, "NAT64_TABLE_FULL": &r.full, "NAT64_SOURCE_ROUTE": &r.sourceRoute,
		"NAT64_PROTOCOL": &r.protocol, "NAT64_UNTRANSLATABLE": &r.untranslatable, "NAT64_LOOP": &r.loop,
	} {
		var err error
		if *to, err = d.New(name); err != nil {
			return err
		}
	}
	return nil
}

// counters are the statistics group Nat64.
type counters struct{ to4, to6, errors4, errors6, dropped, probes stat.Counter }

func (c *counters) fields(t *table) []stat.Field {
	gauge := func(load func() int64) func() uint64 {
		return func() uint64 { return uint64(load()) }
	}
	return []stat.Field{
		stat.F("To4", &c.to4), stat.F("To6", &c.to6), stat.F("ErrorsTo4", &c.errors4), stat.F("ErrorsTo6", &c.errors6),
		stat.F("Dropped", &c.dropped), stat.F("Probes", &c.probes), stat.F("SessionsMade", &t.sessions),
		{Name: "Sessions", Load: gauge(t.count.Load)}, {Name: "Bindings", Load: gauge(t.bound.Load)},
	}
}
