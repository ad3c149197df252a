//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
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

// TestNATFTPWithoutHelper: nobody expects a data connection that begins outside when
// nobody reads what the control connection says; where the client begins it, it passes.
func TestNATFTPWithoutHelper(t *testing.T) {
	n := newHomeNet(t)
	captureAll(t, n.a.device, n.z.device)
	n.z.ftp([]byte("found it"))
	url := "ftp://" + n.z.v4.String() + "/file"
	if out := n.a.run("curl", "-sS", "-m", "20", url); out != "found it" {
		t.Errorf("passive FTP: %q", out)
	}
	if out, err := n.a.try("curl", "-sS", "-m", "3", "-P", "-", url); err == nil {
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
