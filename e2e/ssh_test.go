//go:build e2e && linux

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
