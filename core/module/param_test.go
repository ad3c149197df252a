package module

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	addr   = netip.MustParseAddr("10.0.0.1")
	prefix = netip.MustParsePrefix("fe80::/64")
)

// every declares one parameter of each type.
func every() []Param {
	return []Param{
		Bool("debug", false, "Say more"),
		Int("delta", -1, "Difference").Range(-5, 5),
		Uint("port", 8000, "TCP port to listen on").Range(1, 65535).Writable(),
		String("greeting", "hi there", "What to say"),
		Duration("idle", time.Minute, "Idle time").Range(time.Second, time.Hour),
		Addr("local", addr, "Own address"),
		Prefix("net", prefix, "Own network"),
		List("names", []string{"a", "b"}, "Names"),
	}
}

func TestParamDefaultsAndValues(t *testing.T) {
	var got []any
	m := spec("m")
	m.Params = every()
	m.Init = func(c *Context) error {
		got = []any{c.Bool("debug"), c.Int("delta"), c.Uint("port"), c.String("greeting"), c.Duration("idle"), c.Addr("local"), c.Prefix("net"), c.List("names")}
		return nil
	}
	r, _ := newRegistry(t, m)
	load := func(want []any, args ...string) {
		t.Helper()
		must(t, r.Load(ctx, "m", args...))
		must(t, r.Unload(ctx, "m"))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("with %q: %v, want %v", args, got, want)
		}
	}
	load([]any{false, int64(-1), uint64(8000), "hi there", time.Minute, addr, prefix, []string{"a", "b"}})
	load([]any{true, int64(5), uint64(0x50), "a=b", 90 * time.Second, netip.MustParseAddr("::1"), netip.MustParsePrefix("10.0.0.0/8"), []string{"x", "", "y"}},
		"debug", "delta=+5", "port=0x50", "greeting=a=b", "idle=1m30s", "local=::1", "net=10.0.0.0/8", "names=x,,y")
	load([]any{true, int64(-1), uint64(2), "", 5 * time.Second, netip.Addr{}, netip.Prefix{}, []string(nil)},
		"debug=on", "port=1", "port=2", "greeting=", "idle=5", "local=", "net=", "names=")

	r.SetDefaultParams("m", "port=81", "debug")
	load([]any{true, int64(-1), uint64(82), "hi there", time.Minute, addr, prefix, []string{"a", "b"}}, "port=82")
}

// Linux's words in dmesg; the error also says what was expected. Nothing is
// loaded.
func TestParamErrors(t *testing.T) {
	m := spec("hello", "tcp")
	m.Params = every()
	for _, c := range []struct{ arg, dmesg, want string }{
		{"port=99999", "'99999' invalid for parameter 'port'", "an unsigned integer from 1 to 65535"},
		{"port=-1", "'-1' invalid for parameter 'port'", "an unsigned integer from 1 to 65535"},
		{"port", "'' invalid for parameter 'port'", "port=VALUE"},
		{"port=1_0", "'1_0' invalid for parameter 'port'", "an unsigned integer from 1 to 65535"},
		{"port=0b11", "'0b11' invalid for parameter 'port'", "an unsigned integer from 1 to 65535"},
		{"delta=+-5", "'+-5' invalid for parameter 'delta'", "an integer from -5 to 5"},
		{"delta=--5", "'--5' invalid for parameter 'delta'", "an integer from -5 to 5"},
		{"debug=maybe", "'maybe' invalid for parameter 'debug'", "y or n"},
		{"idle=0", "'0' invalid for parameter 'idle'", "a duration such as 1m30s from 1s to 1h0m0s"},
		{"idle=9223372036854775807", "'9223372036854775807' invalid for parameter 'idle'", "a duration such as 1m30s from 1s to 1h0m0s"},
		{"local=10.0.0", "'10.0.0' invalid for parameter 'local'", "an IP address"},
		{"net=10.0.0.0", "'10.0.0.0' invalid for parameter 'net'", "an IP prefix such as 10.0.0.0/8"},
		{"prot=80", "unknown parameter 'prot'", "one of debug, delta, port, greeting, idle, local, net, names"},
	} {
		r, log := newRegistry(t, m, spec("tcp"))
		err := r.Modprobe(ctx, "hello", c.arg)
		wantErr(t, err, syscall.EINVAL, "could not insert 'hello': hello: "+c.dmesg+": want "+c.want)
		if got := dmesg(log); got != "hello: "+c.dmesg+"\n" {
			t.Errorf("%s: dmesg %q", c.arg, got)
		}
		wantNames(t, r, "")
	}
	r, _ := newRegistry(t, spec("plain"))
	wantErr(t, r.Load(ctx, "plain", "x=1"), syscall.EINVAL,
		"could not insert 'plain': plain: unknown parameter 'x': want no parameter: plain has none")
}

func TestSetParam(t *testing.T) {
	m := spec("m")
	m.Params = every()
	var seen []uint64
	var r *Registry
	m.Init = func(c *Context) error {
		c.OnParam("port", func() {
			seen = append(seen, c.Uint("port"))
			wantErr(t, r.Unload(ctx, "m"), ErrInUse, "Module m is in use by 1 parameter change")
		})
		return nil
	}
	r, _ = newRegistry(t, m)
	wantErr(t, r.SetParam("m", "port", "1"), ErrNotLoaded, "")
	must(t, r.Load(ctx, "m"))
	must(t, r.SetParam("m", "port", "80"))
	wantErr(t, r.SetParam("m", "port", "0"), syscall.EINVAL, "m: '0' invalid for parameter 'port': want an unsigned integer from 1 to 65535")
	wantErr(t, r.SetParam("m", "greeting", "x"), syscall.EACCES, "m: parameter 'greeting' is read-only")
	wantErr(t, r.SetParam("m", "nope", "x"), syscall.ENOENT, "")
	if !slices.Equal(seen, []uint64{80}) {
		t.Errorf("callbacks saw %v, want [80]", seen)
	}
	info, _ := r.Loaded("m")
	var values []string
	for _, p := range info.Params {
		values = append(values, p.Name+"="+p.Value)
	}
	if got, want := strings.Join(values, " "), "debug=N delta=-1 port=80 greeting=hi there idle=1m0s local=10.0.0.1 net=fe80::/64 names=a,b"; got != want {
		t.Errorf("values %s, want %s", got, want)
	}
}

func TestParseArgs(t *testing.T) {
	for line, want := range map[string][]string{
		"":                           nil,
		" port=80\tdebug\n":          {"port=80", "debug"},
		`greeting="hello world" x=1`: {"greeting=hello world", "x=1"},
		`"greeting=hello world"`:     {"greeting=hello world"},
		`greeting="" ""`:             {"greeting=", ""},
		`names=a,"b c",d`:            {"names=a,b c,d"},
	} {
		if got, err := ParseArgs(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseArgs(%q) = %q, %v; want %q", line, got, err, want)
		}
	}
	if _, err := ParseArgs(`a="b`); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("open quote: %v, want EINVAL", err)
	}
}

// What FormatArgs writes, ParseArgs reads.
func TestFormatArgsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(rapid.StringMatching(`[^"]*`), 0, 4).Draw(t, "args")
		got, err := ParseArgs(FormatArgs(args))
		if err != nil || !slices.Equal(got, args) {
			t.Fatalf("%q -> %q -> %q, %v", args, FormatArgs(args), got, err)
		}
	})
}

func FuzzParseArgs(f *testing.F) {
	f.Add(`a=b c="d e"`)
	f.Fuzz(func(t *testing.T, line string) {
		args, err := ParseArgs(line)
		if err != nil {
			return
		}
		again, err := ParseArgs(FormatArgs(args))
		if err != nil || !slices.Equal(again, args) {
			t.Fatalf("%q -> %q -> %q, %v", line, args, again, err)
		}
	})
}

// A value that a parameter takes, it also takes in the form it prints; and it
// is within the range.
func FuzzParseParam(f *testing.F) {
	for _, s := range []string{"1", "y", "-0x5", "1m30s", "10.0.0.1", "::/0", "a,b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range every() {
			v, err := p.Parse(text)
			if err != nil {
				continue
			}
			if reflect.TypeOf(v) != reflect.TypeOf(p.def) || !p.inRange(v) {
				t.Fatalf("%s takes %q as %T %v", p.name, text, v, v)
			}
			again, err := p.Parse(p.format(v))
			if err != nil || p.format(again) != p.format(v) {
				t.Fatalf("%s: %q prints as %q, which it reads as %v, %v", p.name, text, p.format(v), again, err)
			}
		}
	})
}

func TestGettersDoNotAllocate(t *testing.T) {
	m := spec("m")
	m.Params = every()
	var c *Context
	m.Init = func(ctx *Context) error { c = ctx; return nil }
	r, _ := newRegistry(t, m)
	must(t, r.Load(ctx, "m"))
	if n := testing.AllocsPerRun(100, func() { c.Uint("port"); c.String("greeting") }); n != 0 {
		t.Errorf("%v allocations per read of two parameters", n)
	}
	u := c.Users("socket")
	if n := testing.AllocsPerRun(100, func() { u.Get(); u.Put() }); n != 0 {
		t.Errorf("%v allocations per user", n)
	}
}
