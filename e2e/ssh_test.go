//go:build e2e && linux

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sshd starts a server on port 2222 of the host with keys of its own, and returns the
// options that make ssh use them.
func (h *host) sshd() (options []string) {
	h.t.Helper()
	// The directory that sshd wants for its unprivileged part; the package leaves it to
	// whoever starts the service.
	const separated = "/run/sshd"
	if err := os.Mkdir(separated, 0o755); err == nil {
		h.t.Cleanup(func() { os.Remove(separated) })
	} else if !os.IsExist(err) {
		h.t.Skipf("sshd needs %s, which cannot be made here: %v", separated, err)
	}
	dir := h.t.TempDir()
	for _, key := range []string{"host", "client"} {
		h.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	conf := filepath.Join(dir, "sshd_config")
	text := fmt.Sprintf("Port 2222\nHostKey %[1]s/host\nAuthorizedKeysFile %[1]s/client.pub\nPidFile none\nUsePAM no\nStrictModes no\n", dir)
	if err := os.WriteFile(conf, []byte(text), fs.FileMode(0o600)); err != nil {
		h.t.Fatal(err)
	}
	h.start("Server listening", "/usr/sbin/sshd", "-D", "-e", "-f", conf)
	return []string{
		"-F", "none", "-p", "2222", "-i", filepath.Join(dir, "client"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=20",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
	}
}

// TestNATSSH: ssh carries a file to a masqueraded client, and into the inside by a
// forwarded port; the server sees the gateway, or the client.
func TestNATSSH(t *testing.T) {
	if inUserNamespace() {
		t.Skip("sshd changes users, and here is only one: run as root")
	}
	n := newHomeNet(t)
	captureAll(t, n.a.device, n.z.device)
	n.knit("nft", "add", "rule", "ip", "nat", "prerouting", "ip", "daddr", n.z.gw4.String(), "tcp", "dport", "2222", "dnat", "to", n.b.v4.String())
	file := filepath.Join(t.TempDir(), "file")
	b := make([]byte, 2<<20)
	noise().Read(b)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%x", sha256.Sum256(b))
	for _, x := range []struct {
		from, server *host
		to, seen     string
	}{
		{n.a, n.z, n.z.v4.String(), n.z.gw4.String()},
		{n.z, n.b, n.z.gw4.String(), n.z.v4.String()},
	} {
		options := x.server.sshd()
		out := x.from.run("ssh", append(options, "root@"+x.to, "echo $SSH_CLIENT; sha256sum < "+file)...)
		if f := strings.Fields(out); len(f) < 4 || f[0] != x.seen || f[3] != want {
			t.Errorf("ssh %s: %q, want from %s and sum %s", x.to, out, x.seen, want)
		}
		sum := x.from.run("sh", "-c", "ssh "+strings.Join(options, " ")+" root@"+x.to+" cat "+file+" | sha256sum")
		if !strings.HasPrefix(sum, want) {
			t.Errorf("the file came with sum %s, want %s", sum, want)
		}
	}
}
