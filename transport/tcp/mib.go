package tcp

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/stat"
)

// mib holds the counters of the Tcp group (RFC 4022) and of TcpExt, with Linux's
// names.
type mib struct {
	activeOpens, passiveOpens, attemptFails, estabResets, currEstab,
	inSegs, outSegs, retransSegs, inErrs, outRsts, csumErrors stat.Counter

	cookiesSent, cookiesRecv, cookiesFailed, listenOverflows, listenDrops, outOfWindowICMPs stat.Counter
}

func constant(n uint64) func() uint64 { return func() uint64 { return n } }

// publish registers what the module shows of itself.
func (t *tcp) publish(c *module.Context) error {
	m := &t.mib
	err := c.Register(t.net.Stats.Add("Tcp",
		stat.Field{Name: "RtoAlgorithm", Load: constant(1)}, stat.Field{Name: "RtoMin", Load: constant(200)},
		stat.Field{Name: "RtoMax", Load: constant(120000)}, stat.Field{Name: "MaxConn", Load: constant(^uint64(0))},
		stat.F("ActiveOpens", &m.activeOpens), stat.F("PassiveOpens", &m.passiveOpens),
		stat.F("AttemptFails", &m.attemptFails), stat.F("EstabResets", &m.estabResets),
		stat.F("CurrEstab", &m.currEstab), stat.F("InSegs", &m.inSegs), stat.F("OutSegs", &m.outSegs),
		stat.F("RetransSegs", &m.retransSegs), stat.F("InErrs", &m.inErrs), stat.F("OutRsts", &m.outRsts),
		stat.F("InCsumErrors", &m.csumErrors)))
	if err != nil {
		return err
	}
	return c.Register(t.net.Stats.Add("TcpExt",
		stat.F("SyncookiesSent", &m.cookiesSent), stat.F("SyncookiesRecv", &m.cookiesRecv),
		stat.F("SyncookiesFailed", &m.cookiesFailed), stat.F("ListenOverflows", &m.listenOverflows),
		stat.F("ListenDrops", &m.listenDrops), stat.F("OutOfWindowIcmps", &m.outOfWindowICMPs)))
}
