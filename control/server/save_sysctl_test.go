package server_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
)

// TestSaveHasSettingsOfTheProgram: save writes the sysctls that differ from what
// they were, whoever set them, in the order in which they were set.
func TestSaveHasSettingsOfTheProgram(t *testing.T) {
	k, err := knit.New(knit.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	s := server.New(k, server.Config{})
	save := func() string {
		var out bytes.Buffer
		control.Run(t.Context(), s, &control.Console{Stdout: &out, Stderr: &out}, "save")
		return out.String()
	}
	if script := save(); strings.Contains(script, "sysctl") {
		t.Errorf("save of a new kernel has settings:\n%s", script)
	}
	if err := k.Sysctl.Set("net.ipv4.ip_local_port_range", "40000 50000"); err != nil {
		t.Fatal(err)
	}
	if script := save(); !strings.Contains(script, "net.ipv4.ip_local_port_range=") || !strings.Contains(script, "40000\t50000") {
		t.Errorf("save has no port range:\n%q", script)
	}
}
