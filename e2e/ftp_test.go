//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// helped are rules that let connection tracking read FTP, so that its data
// connections are RELATED.
const helped = `
table ip helpers {
	ct helper ftp-standard { type "ftp" protocol tcp; l3proto ip; }
	chain prerouting {
		type filter hook prerouting priority filter;
		tcp dport 21 ct helper set "ftp-standard"
	}
}
`

// TestNATFTP: downloads and uploads in the four ways to open a data connection (RFC
// 959, RFC 2428), by a masqueraded client and to a server behind a forwarded port,
// through a firewall that lets in what is expected and nothing else.
func TestNATFTP(t *testing.T) {
	n := newHomeNet(t)
	captureAll(t, n.a.device, n.b.device, n.z.device)
	n.load(n.rules() + helped)
	n.knit("nft", "add", "rule", "ip", "nat", "prerouting", "ip", "daddr", n.z.gw4.String(), "tcp", "dport", "21", "dnat", "to", n.b.v4.String())
	file := make([]byte, 1<<20)
	noise().Read(file)
	for _, x := range []struct {
		client, server *host
		to             string
	}{
		{n.a, n.z, n.z.v4.String()},
		{n.z, n.b, n.z.gw4.String()},
	} {
		dir := x.server.ftp(file)
		for _, way := range []struct{ name, options string }{
			{"EPSV", ""}, {"PASV", "--disable-epsv"}, {"EPRT", "-P -"}, {"PORT", "-P - --disable-eprt"},
		} {
			options := append([]string{"-sS", "-f", "-m", "60"}, strings.Fields(way.options)...)
			got := filepath.Join(t.TempDir(), "got")
			x.client.run("curl", append(options, "-o", got, "ftp://"+x.to+"/file")...)
			if b, err := os.ReadFile(got); err != nil || sha256.Sum256(b) != sha256.Sum256(file) {
				t.Errorf("%s from %s: %d bytes came, and not those of the file: %v", way.name, x.to, len(b), err)
			}
			x.client.run("curl", append(options, "-T", got, "ftp://"+x.to+"/"+way.name)...)
			if b, err := os.ReadFile(filepath.Join(dir, way.name)); err != nil || !bytes.Equal(b, file) {
				t.Errorf("%s to %s: %d bytes came, and not those of the file: %v", way.name, x.to, len(b), err)
			}
		}
	}
	// Without the helper nobody expects a data connection that begins outside.
	n.load(n.rules())
	if out, err := n.a.try("curl", "-sS", "-m", "3", "-P", "-", "ftp://"+n.z.v4.String()+"/file"); err == nil {
		t.Errorf("active FTP passes without a helper: %.100s", out)
	}
}

// ftp starts an FTP server on the host with a file, where everybody may write, and
// returns its folder.
func (h *host) ftp(file []byte) (dir string) {
	h.t.Helper()
	dir = h.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), file, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.start("starting FTP server", "/usr/bin/python3", "-u", "-W", "ignore", "-m", "pyftpdlib", "-i", h.v4.String(), "-p", "21", "-w", "-d", dir)
	return dir
}
