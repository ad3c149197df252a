package knit_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/network"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/std"
)

// broken is a module that panics wherever the kernel calls it. fired is closed by
// its timer's panic.
func broken(fired func()) module.Spec {
	return module.Spec{Name: "broken", Params: []module.Param{module.Int("n", 0, "").Writable()}, Init: func(c *module.Context) error {
		n, err := module.Import[*network.Layer](c, network.Symbol)
		if err != nil {
			return err
		}
		files, err := module.Import[*proc.Table](c, knit.ProcSymbol)
		if err != nil {
			return err
		}
		settings, err := module.Import[*sysctl.Table](c, knit.SysctlSymbol)
		if err != nil {
			return err
		}
		out := &n.Hooks[network.V4].Output
		c.Cleanup(out.Add(hook.Entry{Owner: c.Name(), Func: func(*packet.Packet) hook.Verdict { panic("in hook") }}))
		c.Cleanup(out.Add(hook.Entry{Owner: c.Name(), Batch: func(*packet.Queue) { panic("not reached: the first hook lets nothing through") }}))
		timer := n.Clock.AfterFunc(0, func(clock.Time) { defer fired(); panic("in timer") })
		c.Cleanup(timer.StopWait)
		c.OnParam("n", func() { panic("in callback") })
		if err := c.Register(files.Register("broken", func(io.Writer) error { panic("in file") })); err != nil {
			return err
		}
		return c.Register(settings.Register(sysctl.Entry{
			Name: "broken", Get: func() string { panic("in get") }, Set: func(string) error { panic("in set") },
		}))
	}}
}

// TestBrokenModuleIsContained: a module that panics in a hook, a timer, a file, a
// setting or a callback is an entry in dmesg each. Its packets are dropped, and
// when it is gone the kernel works as before.
func TestBrokenModuleIsContained(t *testing.T) {
	leak.Check(t)
	fired := make(chan struct{})
	k, err := knit.New(knit.Config{Modules: append(std.Modules(), broken(sync.OnceFunc(func() { close(fired) })))})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	ctx := context.Background()
	for _, m := range []string{"tcp", "broken"} {
		if err := k.Modprobe(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := k.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	<-fired
	dial, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if c, err := k.DialContext(dial, "tcp", "127.0.0.1:80"); err == nil {
		c.Close()
		t.Error("a hook that panics let packets through")
	}
	if _, err := k.Proc.Read("broken"); !errors.Is(err, syscall.EIO) {
		t.Errorf("read of the broken file: %v, want EIO", err)
	}
	if v, err := k.Sysctl.Get("broken"); v != "" || err != nil {
		t.Errorf("broken setting: %q, %v", v, err)
	}
	if err := k.Sysctl.Set("broken", "1"); !errors.Is(err, syscall.EIO) {
		t.Errorf("change of the broken setting: %v, want EIO", err)
	}
	if err := k.Modules.SetParam("broken", "n", "1"); err != nil {
		t.Errorf("change of a parameter: %v", err)
	}
	if err := k.Rmmod(ctx, "broken"); err != nil {
		t.Fatal(err)
	}
	c, err := k.Dial("tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatalf("dial without the broken module: %v", err)
	}
	c.Close()
	var log strings.Builder
	for _, e := range k.Log.Entries() {
		log.WriteString(e.String() + "\n")
	}
	for _, want := range []string{
		"broken: BUG: panic in a hook: in hook\n", "BUG: panic in a timer: in timer\n", "BUG: panic in /proc/broken: in file\n",
		"BUG: panic in sysctl broken: in get\n", "BUG: panic in sysctl broken: in set\n",
		"broken: BUG: panic in a parameter callback: in callback\n", "oops_test.go:",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("dmesg has no %q:\n%s", want, &log)
		}
	}
	if k.Log.Oopses() == 0 {
		t.Error("the kernel does not know that it had an oops")
	}
}
