package knit_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file is the law of the house: who may import whom. It is policy; do
// not change it to make a build pass. ARCHITECTURE.md says why.

const modulePath = "github.com/knitnet/knit"

// layers are the top folders from the cellar up. A package imports packages
// of its own folder and of the layers below, never of those above, nor of the
// other folder of its own layer; only the top layer's folders see each other.
var layers = [][]string{
	{"wire"},
	{"core"},
	{"link"},
	{"network"},
	{"transport", "netfilter"},
	{"socket"},
	{"service"},
	{"."}, // the kernel itself
	{"std", "kmod", "wasm", "control", "cmd", "lab", "e2e"},
}

// beside is the folder that stands beside the layers. Who imports a package of
// it is held to account for everything that package imports.
const beside = "internal"

// modular are the folders whose sub-folders are modules if they have a
// module.go; everywhere else the name is reserved.
var modular = []string{"link", "network", "netfilter", "transport", "service"}

// shared are folders among the modules that hold contracts and tables which
// the modules share, so they cannot be modules.
var shared = []string{
	"link", "link/qdisc", "network", "network/route", "network/neigh", "network/frag",
	"network/offload", "netfilter", "transport", "transport/tcp/cc", "service",
}

// The libraries of other projects. DESIGN: beyond what knit exists for, a
// well-kept library beats own code - but a program that embeds knit should
// get only the first two.
const (
	xsys       = "golang.org/x/sys"
	bart       = "github.com/gaissmai/bart"
	xnet       = "golang.org/x/net"
	wazero     = "github.com/tetratelabs/wazero"
	netlink    = "github.com/vishvananda/netlink"
	netns      = "github.com/vishvananda/netns"
	dns        = "github.com/miekg/dns"
	dhcp       = "github.com/insomniacslk/dhcp"
	wireguard  = "golang.zx2c4.com/wireguard"
	compress   = "github.com/klauspost/compress"
	xz         = "github.com/ulikunitz/xz"
	cobra      = "github.com/spf13/cobra"
	pflag      = "github.com/spf13/pflag"
	prometheus = "github.com/prometheus/client_golang"
	gopacket   = "github.com/gopacket/gopacket"
	fuse       = "github.com/hanwen/go-fuse"
	testscript = "github.com/rogpeppe/go-internal"
	rapid      = "pgregory.net/rapid"
)

// library is what a program that embeds knit needs.
var library = []string{xsys, bart}

// thirdParty says which libraries a folder and those below it may import. The
// longest path that fits counts; a folder that is not here may import none.
var thirdParty = map[string][]string{
	".":                 library,
	"link":              library,
	"network":           library,
	"transport":         library,
	"netfilter":         library,
	"socket":            library,
	"service":           library,
	"service/dns":       {dns},
	"service/dns64":     {dns},
	"service/dhcp":      {dhcp},
	"service/wireguard": {wireguard, xsys},
	"kmod":              {compress, xz},
	"wasm/host":         {wazero},
	"control":           {xsys},
	"control/server":    {xsys, prometheus, fuse},
	"cmd":               {xsys, cobra, pflag, netlink, netns, gopacket},
	"internal":          {xsys, xnet, netlink, netns, gopacket},
}

// inTests are libraries that every test may import besides.
var inTests = []string{xsys, bart, xnet, netlink, netns, dns, gopacket, testscript, rapid}

// forTests are folders that help tests, beside those whose name ends in test:
// the rules of tests hold in them, and only tests and each other import them.
var forTests = []string{"internal/leak", "internal/script", "lab", "wasm/tck", "e2e"}

func helpsTests(folder string) bool {
	return under(folder, forTests...) || strings.HasSuffix(folder, "test")
}

// inside turns an import path into a folder of this module.
func inside(imp string) (folder string, ok bool) {
	if imp == modulePath {
		return ".", true
	}
	return strings.CutPrefix(imp, modulePath+"/")
}

// under reports whether folder is one of parents or below one of them.
func under(folder string, parents ...string) bool {
	return slices.ContainsFunc(parents, func(p string) bool {
		return folder == p || strings.HasPrefix(folder, p+"/")
	})
}

func top(folder string) string { t, _, _ := strings.Cut(folder, "/"); return t }

func layer(folder string) int {
	return slices.IndexFunc(layers, func(s []string) bool { return slices.Contains(s, top(folder)) })
}

// mayImport says why a package in folder from may not import one in folder
// to; isModule reports whether to is a module.
func mayImport(from, to string, isModule bool) error {
	switch {
	case isModule && top(from) != "std":
		return errors.New("it is a module, and only std imports modules; ask the kernel for its symbol or put what both need into the layer's package")
	case top(from) == top(to) || top(from) == beside:
		return nil
	case layer(from) <= layer("core") && top(to) == beside:
		return errors.New("wire and core stand on the standard library alone")
	case top(to) == beside:
		return nil // what it drags in is checked apart
	case layer(to) > layer(from):
		return errors.New("it is in a layer above; declare an interface here and let it register")
	case layer(to) == layer(from) && layer(from) < len(layers)-1:
		return errors.New("it is in the other folder of the same layer")
	case top(from) == "core":
		return errors.New("core knows no protocol")
	}
	return nil
}

// mayUse says why a package in folder may not import a library.
func mayUse(folder, imp string, test bool) error {
	allowed := thirdParty[folder]
	for p := folder; allowed == nil && p != "."; {
		if p = path.Dir(p); p != "." {
			allowed = thirdParty[p]
		}
	}
	if test {
		allowed = slices.Concat(allowed, inTests)
	}
	if under(imp, allowed...) {
		return nil
	}
	return fmt.Errorf("thirdParty allows there: %s", cmp.Or(strings.Join(allowed, ", "), "nothing"))
}

func TestImports(t *testing.T) {
	house := loadHouse(t)
	n := 0
	for _, folder := range house.folders() {
		if layer(folder) < 0 && top(folder) != beside {
			t.Errorf("%s: folder of no layer; the layers are %v", folder, layers)
			continue
		}
		for _, f := range house[folder] {
			for _, imp := range f.imports() {
				n++
				for _, complaint := range house.checkImport(folder, f.test(), imp) {
					t.Errorf("%s: imports %s", f.name, complaint)
				}
			}
		}
	}
	t.Logf("%d imports in %d folders checked", n, len(house))
}

// checkImport returns what is wrong with one import of a package or its test,
// and with what it drags in from beside the layers.
func (h house) checkImport(folder string, test bool, imp string) (complaints []string) {
	complain := func(imp string, err error) {
		if err != nil {
			complaints = append(complaints, fmt.Sprintf("%q: %v", imp, err))
		}
	}
	to, in := inside(imp)
	test = test || helpsTests(folder)
	switch {
	case !test && (imp == "testing" || in && helpsTests(to)):
		complain(imp, fmt.Errorf("only tests may, and the folders %v and those named ...test", forTests))
	case in && !test: // tests import what they need to set a scene
		complain(imp, mayImport(folder, to, h.isModule(to)))
	case !in && strings.Contains(top(imp), "."):
		complain(imp, mayUse(folder, imp, test))
	}
	if !test && in && top(to) == beside && top(folder) != beside {
		for _, f := range h[to] {
			for _, next := range f.imports() {
				if !f.test() {
					for _, c := range h.checkImport(folder, test, next) {
						complaints = append(complaints, fmt.Sprintf("%q, which imports %s", imp, c))
					}
				}
			}
		}
	}
	return complaints
}

// TestStdIsComplete fails when somebody adds a module and forgets std.
func TestStdIsComplete(t *testing.T) {
	house := loadHouse(t)
	listed := make(map[string]bool)
	for _, f := range house["std"] {
		for _, imp := range f.imports() {
			if folder, ok := inside(imp); ok && !f.test() {
				listed[folder] = true
			}
		}
	}
	n := 0
	for _, folder := range house.folders() {
		switch {
		case !house.hasModuleFile(folder):
		case !under(folder, modular...):
			t.Errorf("%s/module.go: the name module.go is reserved for modules, which live below %v", folder, modular)
		case slices.Contains(shared, folder):
			t.Errorf("%s/module.go: %s is shared by modules and so cannot be one", folder, folder)
		case len(house["std"]) == 0:
			n++
		case !listed[folder]:
			t.Errorf("std does not import the module %s", folder)
		default:
			n++
		}
	}
	t.Logf("%d modules, %d imports of std", n, len(listed))
}

// TestLibraryDependencies holds a program that embeds knit to the two
// libraries, on every kind of system.
func TestLibraryDependencies(t *testing.T) {
	if !slices.ContainsFunc(loadHouse(t)["."], func(f *source) bool { return !f.test() }) {
		t.Log("there is no root package yet")
		return
	}
	for _, target := range []string{"linux/amd64", "darwin/arm64", "windows/amd64", "freebsd/amd64", "wasip1/wasm"} {
		goos, goarch, _ := strings.Cut(target, "/")
		cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard", ".")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v: %v\n%s", target, cmd, err, stderr.Bytes())
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				ImportPath string
				Standard   bool
			}
			if err := dec.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if !p.Standard && !under(p.ImportPath, modulePath) && !under(p.ImportPath, library...) {
				t.Errorf("%s: the root package depends on %s; a program that embeds knit gets only %v", target, p.ImportPath, library)
			}
		}
	}
}

// TestPolicy tests the rules above on imports that must and must not pass.
func TestPolicy(t *testing.T) {
	for _, c := range []struct {
		from, to string
		isModule bool
		want     string // part of the complaint, or empty
	}{
		{"core/module", "core/clock", false, ""},
		{"core/packet", "wire", false, "core knows no protocol"},
		{"link", "core/packet", false, ""},
		{"link/tun", "wire", false, ""},
		{"link/tun", "internal/tunfd", false, ""},
		{"wire", "core/packet", false, "layer above"},
		{"wire", "internal/tunfd", false, "standard library alone"},
		{"network/ip4", "network/route", false, ""},
		{"network/ip4", "network/icmp4", true, "only std"},
		{"network", "transport", false, "layer above"},
		{"transport/tcp", "transport/tcp/internal/tcb", false, ""},
		{"transport/tcp", "netfilter", false, "other folder"},
		{"netfilter/nat", "network", false, ""},
		{".", "service", false, ""},
		{".", "network/ip4", true, "only std"},
		{".", "std", false, "layer above"},
		{"std", "network/ip4", true, ""},
		{"cmd/knit", "network/ip4", true, "only std"},
		{"cmd/knit", "std", false, ""},
		{"lab", "std", false, ""},
	} {
		err := mayImport(c.from, c.to, c.isModule)
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s imports %s: %v, want %s", c.from, c.to, err, strconv.Quote(c.want))
		}
	}
	for _, c := range []struct {
		folder, imp string
		test, want  bool
	}{
		{"wire", xsys + "/unix", false, false},
		{"core/clock", rapid, false, false},
		{"core/clock", rapid, true, true},
		{".", cobra, false, false},
		{".", bart, false, true},
		{"link/tun", xsys + "/unix", false, true},
		{"network/ip4", netlink, false, false},
		{"cmd/knit", cobra, false, true},
		{"wasm/host/meter", wazero + "/api", false, true},
		{"wasm/abi", wazero, false, false},
		{"network/route", "github.com/gaissmai/bartender", false, false},
		{"service/dns", dns, false, true},
		{"service/hello", dns, false, false},
	} {
		if err := mayUse(c.folder, c.imp, c.test); (err == nil) != c.want {
			t.Errorf("%s (test: %v) uses %s: %v, want allowed: %v", c.folder, c.test, c.imp, err, c.want)
		}
	}
}

// TestHelpersStayInTests tests the rule for folders that help tests.
func TestHelpersStayInTests(t *testing.T) {
	for _, c := range []struct {
		folder, imp string
		test, want  bool
	}{
		{"link", "testing", false, false},
		{"link", "testing", true, true},
		{"link", modulePath + "/internal/leak", false, false},
		{"link", modulePath + "/internal/leak", true, true},
		{"link", modulePath + "/link/linktest", false, false},
		{"link/linktest", "testing", false, true},
		{"link/linktest", modulePath + "/internal/leak", false, true},
		{"link/linktest", rapid, false, true},
		{"internal/tunfd", "testing", false, false},
	} {
		if got := (house{}).checkImport(c.folder, c.test, c.imp); (len(got) == 0) != c.want {
			t.Errorf("%s (test: %v) imports %s: %q, want allowed: %v", c.folder, c.test, c.imp, got, c.want)
		}
	}
}
