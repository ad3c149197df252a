package server_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// An ipCase is a sequence of commands in a fresh network.
type ipCase struct {
	name     string
	commands []ipCommand
}

// An ipCommand is what follows "ip". Silent ones prepare: only their status is
// compared. Ours is the text that knit has in place of Linux's on standard error.
type ipCommand struct {
	args   string
	silent bool
	ours   string
}

// readCases reads testdata/ip.txt, which says what its marks mean.
func readCases(t *testing.T, file string) (cases []ipCase) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimRight(line, "\n"); {
		case strings.HasPrefix(line, "#"), line == "":
		case strings.HasPrefix(line, "== "):
			cases = append(cases, ipCase{name: line[3:]})
		default:
			c := &cases[len(cases)-1]
			var cmd ipCommand
			cmd.args, cmd.ours, _ = strings.Cut(line, "  => ")
			cmd.args, cmd.silent = strings.CutPrefix(cmd.args, "~ ")
			c.commands = append(c.commands, cmd)
		}
	}
	return cases
}

// TestIPAsLinux runs the same commands in a network namespace with the ip of the
// system and on a kernel, and compares what they print.
func TestIPAsLinux(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip on this machine: ", err)
	}
	for _, c := range slices.Concat(readCases(t, "testdata/ip.txt"), readCases(t, "testdata/ip_rule.txt"), readCases(t, "testdata/ip_table.txt")) {
		t.Run(c.name, func(t *testing.T) {
			linux := runLinux(t, c.commands)
			s := newServer(t)
			for i, cmd := range c.commands {
				got := run(s, strings.Fields("ip "+cmd.args)...)
				compare(t, cmd, got, linux[i])
			}
		})
	}
}

func compare(t *testing.T, cmd ipCommand, got, want result) {
	if got.Status != want.Status {
		t.Errorf("ip %s: status %d, Linux %d\n%s%s\nLinux: %s", cmd.args, got.Status, want.Status, got.Stdout, got.Stderr, want.Stderr)
		return
	}
	if cmd.silent {
		return
	}
	if g, w := normal(got.Stdout), normal(want.Stdout); g != w {
		t.Errorf("ip %s\n--- knit\n%s--- Linux\n%s", cmd.args, g, w)
	}
	w := oneLine(want.Stderr)
	if cmd.ours != "" {
		w = cmd.ours
	}
	// More than Linux says may follow.
	if g := oneLine(got.Stderr); g != w && (w == "" || !strings.HasPrefix(g, w+"|")) {
		t.Errorf("ip %s\n--- knit\n%s\n--- Linux\n%s", cmd.args, g, w)
	}
}

// oneLine joins lines by | and leaves empty ones out. Usage texts are our own: their
// first word counts.
func oneLine(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	for i, l := range lines {
		if strings.HasPrefix(l, "Usage: ip") {
			return strings.Join(append(lines[:i], "Usage: ip"), "|")
		}
	}
	return kernelText(strings.Join(lines, "|"))
}

// kernelText turns what newer kernels say into the errno of older ones.
func kernelText(s string) string {
	for _, p := range [][2]string{
		{"Error: ipv4: Address already assigned.", "RTNETLINK answers: File exists"},
		{"Error: ipv6: address already assigned.", "RTNETLINK answers: File exists"},
		{"Error: ipv4: Address not found.", "RTNETLINK answers: Cannot assign requested address"},
		{"Error: ipv6: address not found.", "RTNETLINK answers: Cannot assign requested address"},
	} {
		s = strings.ReplaceAll(s, p[0], p[1])
	}
	return s
}

var blanks = []struct {
	from *regexp.Regexp
	to   string
}{
	// Addresses that are made up, and what follows from them.
	{regexp.MustCompile(`fe80::[0-9a-f:]*:[0-9a-f:]+`), "fe80::X"},
	{regexp.MustCompile(`33:33:ff:[0-9a-f:]+`), "33:33:ff:X"},
	{regexp.MustCompile(`"?stable-privacy"?(:true,| )`), ""},
	// Duplicate address detection takes its time.
	{regexp.MustCompile(`tentative `), ""},
	{regexp.MustCompile(`"tentative":true,`), ""},
	{regexp.MustCompile(`"(dadfailed)":true,`), ""},
	{regexp.MustCompile(`(noqueue|noop)`), "Q"},
	// What has passed on the link by itself.
	{regexp.MustCompile(`"(bytes|packets|multicast|carrier_changes|used|confirmed|updated|probes|dropped|expires)":\d+`), `"$1":N`},
	{regexp.MustCompile(`"refcnt":\d+,`), ""},
	{regexp.MustCompile(`(?m)^ {13,21}\d.*$`), "N"},
	{regexp.MustCompile(`([( ])(\d+)sec`), "${1}Nsec"},
	{regexp.MustCompile(`(?:ref \d+ )?used \d+/\d+/\d+ ?probes \d+`), "used N"},
	{regexp.MustCompile(`"(valid_life_time|preferred_life_time)":[1-9]\d{0,4}\b`), `"$1":N`},
	// Nobody uses the broadcast address of lo.
	{regexp.MustCompile(`(?m)^broadcast 127.255.255.255 .*\n`), ""},
	// Details that follow from the kernel's version.
	{regexp.MustCompile(` addrgenmode .*| numtxqueues .*`), " "},
	{regexp.MustCompile(`"inet6_addr_gen_mode".*?"gro_max_size":\d+,?`), ""},
	{regexp.MustCompile(`uid \d+ `), "uid N "},
	{regexp.MustCompile(`"uid":\d+`), `"uid":N`},
}

func normal(text string) string {
	for _, b := range blanks {
		text = b.from.ReplaceAllString(text, b.to)
	}
	return macs.ReplaceAllStringFunc(text, func(m string) string {
		if strings.HasPrefix(m, "02:00:00") || strings.HasPrefix(m, "00:") || strings.HasPrefix(m, "ff:") || strings.HasPrefix(m, "33:") {
			return m // said by the test, or by a standard
		}
		return "X"
	})
}

var macs = regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`)

// settle waits until both ends of the pair have heard of each other's state: Linux
// tells them later, from a queue that a busy machine may not run for seconds. What
// is compared before would be a state that passes.
const linuxSetup = `
settle() {
	for i in $(seq 6000); do
		states=$(ip -br link show up type veth | awk '{ print $2 }')
		case $(echo $states) in
		"" | LOWERLAYERDOWN | "UP UP") return ;;
		esac
		sleep 0.01
	done
	exit 98
}
for i in all default; do echo 0 >/proc/sys/net/ipv6/conf/$i/accept_dad; done 2>/dev/null
ip link set lo up && ip link add v1 type veth peer name v0 || exit 99
`

// runLinux runs commands in a network namespace of a user namespace.
func runLinux(t *testing.T, commands []ipCommand) []result { return runLinuxIn(t, "", commands) }

// runLinuxIn is runLinux after a prelude of shell commands.
func runLinuxIn(t *testing.T, prelude string, commands []ipCommand) []result {
	t.Helper()
	var script strings.Builder
	script.WriteString(linuxSetup + prelude)
	for _, c := range commands {
		quoted := "'" + strings.Join(strings.Fields(c.args), "' '") + "'"
		fmt.Fprintf(&script, "ip %s >out 2>err </dev/null; s=$?; cat out; echo; echo @@err; cat err; echo; echo @@status $s\n", quoted)
		if strings.HasPrefix(c.args, "link set") {
			script.WriteString("settle\n")
		}
	}
	cmd := exec.Command("sh", "-c", script.String())
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.Output()
	switch exit := (*exec.ExitError)(nil); {
	case errors.As(err, &exit) && exit.ExitCode() == 98:
		t.Fatal("Linux has not settled the states of the pair for a minute")
	case err != nil:
		t.Skip("no network namespace with veth for this user on this machine: ", err)
	}
	var results []result
	for part := range strings.SplitSeq(string(out), "@@status ") {
		if len(results) > 0 {
			var rest string
			line, rest, _ := strings.Cut(part, "\n")
			fmt.Sscan(line, &results[len(results)-1].Status)
			part = rest
		}
		stdout, stderr, _ := strings.Cut(part, "\n@@err\n")
		results = append(results, result{Stdout: stdout, Stderr: stderr})
	}
	return results[:len(results)-1]
}
