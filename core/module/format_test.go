package module

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var sample = Spec{
	Name: "hello", Version: "1.0", Description: "Sample service", Author: "A. U. Thor", License: "Apache-2.0",
	Alias: []string{"net-hello", "hi-*"}, Softdep: Softdep{Pre: []string{"x", "y"}, Post: []string{"z"}},
	Depends: []string{"tcp", "ip-common"},
	Params:  []Param{String("greeting", "hi", "What to say"), Uint("port", 8000, "TCP port to listen on")},
	Init:    idle,
}

const sampleModinfo = `name:           hello
filename:       (builtin)
version:        1.0
description:    Sample service
author:         A. U. Thor
license:        Apache-2.0
alias:          net-hello
alias:          hi-*
softdep:        pre: x y post: z
depends:        tcp,ip_common
kind:           native (unloading frees the instance; its code stays in the program)
parm:           greeting:What to say (charp)
parm:           port:TCP port to listen on (uint)
`

func TestModinfo(t *testing.T) {
	fields := sample.Modinfo()
	if got := FormatModinfo(fields); got != sampleModinfo {
		t.Errorf("modinfo\n%s\nwant\n%s", got, sampleModinfo)
	}
	for field, want := range map[string]string{
		"alias": "net-hello\nhi-*\n", "Depends": "tcp,ip_common\n", "filename": "(builtin)\n", "nope": "",
		"parm": "greeting:What to say (charp)\nport:TCP port to listen on (uint)\n",
	} {
		if got := FormatModinfoField(fields, field, '\n'); got != want {
			t.Errorf("modinfo -F %s = %q, want %q", field, got, want)
		}
	}
	if got := FormatModinfoField(fields, "alias", 0); got != "net-hello\x00hi-*\x00" {
		t.Errorf("modinfo -0 -F alias = %q", got)
	}
	file := Spec{Name: "a-b", Filename: "/lib/a-b.wasm", Init: idle}
	if got, want := FormatModinfo(file.Modinfo()), "filename:       /lib/a-b.wasm\ndepends:        \nname:           a_b\n"; got != want {
		t.Errorf("modinfo of a file\n%s\nwant\n%s", got, want)
	}
}

// The real modinfo prints the same for a built-in module with this metadata.
func TestModinfoAgainstKmod(t *testing.T) {
	for _, tool := range []string{"modinfo", "depmod"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no kmod on this machine: " + tool + " is not in PATH")
		}
	}
	base := t.TempDir()
	dir := filepath.Join(base, "lib/modules/6.1.0")
	must(t, os.MkdirAll(dir, 0o755))
	var meta strings.Builder
	for _, f := range sample.Modinfo() {
		switch f.Key {
		case "name", "filename", "parm": // kmod makes these up
		default:
			meta.WriteString("hello." + f.Key + "=" + f.Value + "\x00")
		}
	}
	for _, p := range slices.Backward(sample.Params) { // kmod prints them last first
		meta.WriteString("hello.parm=" + p.Name() + ":" + p.Description() + "\x00hello.parmtype=" + p.Name() + ":" + p.Kind().String() + "\x00")
	}
	for name, content := range map[string]string{
		"modules.builtin": "kernel/net/hello.ko\n", "modules.order": "", "modules.builtin.modinfo": meta.String(),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	if out, err := exec.Command("depmod", "-b", base, "6.1.0").CombinedOutput(); err != nil {
		t.Fatalf("depmod: %v\n%s", err, out)
	}
	fields := sample.Modinfo()
	for _, c := range []struct{ args, want string }{
		{"", FormatModinfo(fields)},
		{"-0", FormatModinfo0(fields)},
		{"-F parm", FormatModinfoField(fields, "parm", '\n')},
		{"-F depends", FormatModinfoField(fields, "depends", '\n')},
		{"-0 -F alias", FormatModinfoField(fields, "alias", 0)},
	} {
		args := append([]string{"-b", base, "-k", "6.1.0"}, strings.Fields(c.args)...)
		out, err := exec.Command("modinfo", append(args, "hello")...).Output()
		if err != nil {
			t.Fatalf("modinfo %s: %v", c.args, err)
		}
		if string(out) != c.want {
			t.Errorf("modinfo %s prints\n%q\nwe print\n%q", c.args, out, c.want)
		}
	}
}

// The lines of lsmod and /proc/modules; lsmod's as kmod 30 prints them.
func TestListings(t *testing.T) {
	big := Spec{Name: "tcp", Size: 200000, Init: idle}
	r, _ := newRegistry(t, spec("hello", "tcp"), spec("udp-lite", "tcp"), big, spec("nf-conntrack-with-long-name"))
	must(t, r.Modprobe(ctx, "hello"))
	must(t, r.Modprobe(ctx, "udp_lite"))
	must(t, r.Modprobe(ctx, "nf_conntrack_with_long_name"))
	const lsmod = `Module                  Size  Used by
nf_conntrack_with_long_name    16384  0
udp_lite               16384  0
hello                  16384  0
tcp                   200000  2 hello,udp_lite
`
	const proc = `nf_conntrack_with_long_name 16384 0 - Live 0x0000000000000000
udp_lite 16384 0 - Live 0x0000000000000000
hello 16384 0 - Live 0x0000000000000000
tcp 200000 2 hello,udp_lite, Live 0x0000000000000000
`
	if got := FormatLsmod(r.Modules()); got != lsmod {
		t.Errorf("lsmod\n%s\nwant\n%s", got, lsmod)
	}
	if got := FormatProcModules(r.Modules()); got != proc {
		t.Errorf("/proc/modules\n%s\nwant\n%s", got, proc)
	}
}

func TestPlural(t *testing.T) {
	for _, c := range []struct {
		n    int
		noun string
		want string
	}{
		{1, "socket", "1 socket"}, {2, "socket", "2 sockets"}, {0, "timer", "0 timers"}, {2, "address", "2 addresses"},
		{3, "query", "3 queries"}, {3, "relay", "3 relays"}, {2, "switch", "2 switches"}, {2, "y", "2 ys"},
	} {
		if got := count(c.n, c.noun); got != c.want {
			t.Errorf("count(%d, %s) = %s, want %s", c.n, c.noun, got, c.want)
		}
	}
}

// Depmod's and modprobe's view of a name.
func TestLookup(t *testing.T) {
	r, _ := newRegistry(t, sample, spec("b-a"))
	s, ok := r.Lookup("b_a")
	if !ok || s.Name != "b_a" {
		t.Errorf("Lookup(b_a) = %v, %v", s.Name, ok)
	}
	if _, ok := r.Lookup("nope"); ok {
		t.Error("Lookup finds what is not there")
	}
	list := r.Available()
	if len(list) != 2 || list[0].Name != "b_a" || list[1].Name != "hello" {
		t.Errorf("Available = %v", list)
	}
}
