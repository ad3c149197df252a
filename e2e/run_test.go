//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// knitRun runs `knit run ARGS...`, of the program that make build made, and returns
// what it printed.
func knitRun(t *testing.T, args ...string) string {
	t.Helper()
	knit, err := filepath.Abs("../bin/knit")
	if err == nil {
		_, err = os.Stat(knit)
	}
	if err != nil {
		t.Fatalf("run make build first: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, knit, append([]string{"run"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("knit run %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serveHost serves files on the host's loopback and returns the port.
func serveHost(t *testing.T, files map[string][]byte) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, ok := files[path.Clean(r.URL.Path)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// TestRunPackageManager: apt, which becomes another user where it can, updates its
// lists through the uplink and fetches a package whose checksum it knows.
func TestRunPackageManager(t *testing.T) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("this machine has no apt-get")
	}
	deb := []byte("!<arch>\nno real package, but so many bytes with this checksum\n")
	packages := fmt.Sprintf("Package: knit-test\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody\nDescription: a test\n"+
		"Filename: ./knit-test.deb\nSize: %d\nSHA256: %x\n", len(deb), sha256.Sum256(deb))
	release := fmt.Sprintf("Suite: test\nDate: %s\nSHA256:\n %x %d Packages\n",
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"), sha256.Sum256([]byte(packages)), len(packages))
	port := serveHost(t, map[string][]byte{
		"/Packages": []byte(packages), "/Release": []byte(release), "/knit-test.deb": deb,
	})
	dir, err := os.MkdirTemp("", "knit-apt-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial", "out"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Sprintf("Dir::Etc \"%[1]s/etc\";\nDir::State \"%[1]s/state\";\nDir::State::status \"/dev/null\";\nDir::Cache \"%[1]s/cache\";\n"+
		"Acquire::Languages \"none\";\nAcquire::Retries \"0\";\n", dir)
	if os.Geteuid() != 0 || inUserNamespace() {
		conf += "APT::Sandbox::User \"root\";\n" // there is no other
	}
	for name, text := range map[string]string{
		"etc/apt.conf": conf, "etc/sources.list": "deb [trusted=yes] http://10.0.2.2:" + port + " ./\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const get = "cd $1/out && chmod 777 . && APT_CONFIG=$1/etc/apt.conf && export APT_CONFIG && apt-get -q update && apt-get -q download knit-test"
	out := knitRun(t, "--", "sh", "-ec", get, "sh", dir)
	got, err := filepath.Glob(filepath.Join(dir, "out", "knit-test*.deb"))
	if err != nil || len(got) != 1 {
		t.Fatalf("fetched %q, %v\n%s", got, err, out)
	}
	if b, err := os.ReadFile(got[0]); err != nil || !bytes.Equal(b, deb) || strings.Contains(out, "W:") {
		t.Errorf("the package is %q, %v\n%s", b, err, out)
	}
}

// inUserNamespace reports whether not all users exist here.
func inUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295"
}

// TestRunCapture: what passes between a program and the outside, whatever the
// interface is, is free of faults for tshark.
func TestRunCapture(t *testing.T) {
	const size = 4 << 20
	file := make([]byte, size)
	noise().Read(file)
	port := serveHost(t, map[string][]byte{"/file": file})
	want := fmt.Sprintf("%x  -\n", sha256.Sum256(file))
	for name, flags := range map[string][]string{"tun": nil, "tap": {"--tap"}, "veth": {"--tun-path=/nonexistent/tun"}} {
		t.Run(name, func(t *testing.T) {
			pcap := filepath.Join(t.TempDir(), "run.pcapng")
			args := append(flags, "--pcap", pcap, "--", "sh", "-ec", "curl -sS http://10.0.2.2:"+port+"/file | sha256sum; ping -c 3 -i 0.1 10.0.2.2 >/dev/null")
			if out := knitRun(t, args...); out != want {
				t.Errorf("sum %q, want %q", out, want)
			}
			judge(t, pcap)
		})
	}
}
