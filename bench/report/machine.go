package report

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Subject is the label of the stack that the goals are for.
const Subject = "knit"

// A Machine is what the figures depend on beside the stacks.
type Machine struct {
	Date    time.Time
	Host    string
	CPU     string
	Cores   int
	Memory  string
	Kernel  string
	Go      string
	Arch    string // GOOS/GOARCH
	Modules []string
}

// Describe returns the machine that this process runs on and the versions that it
// was built from.
func Describe() (Machine, error) {
	host, err := os.Hostname()
	if err != nil {
		return Machine{}, fmt.Errorf("name of the host: %w", err)
	}
	m := Machine{
		Date: time.Now().UTC(), Host: host, Cores: runtime.NumCPU(), Go: runtime.Version(),
		Arch:   runtime.GOOS + "/" + runtime.GOARCH,
		CPU:    field("/proc/cpuinfo", "model name"),
		Memory: field("/proc/meminfo", "MemTotal"),
		Kernel: "unknown",
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		m.Modules = modules(info)
	}
	return m, nil
}

// modules lists the measured modules with their versions. One that is taken from
// the folder beside this module has no version but a revision.
func modules(info *debug.BuildInfo) (list []string) {
	for _, d := range info.Deps {
		switch {
		case d.Path != "github.com/knitnet/knit" && d.Path != "gvisor.dev/gvisor":
		case d.Replace != nil:
			list = append(list, d.Path+" "+revision(d.Replace.Path))
		default:
			list = append(list, d.Path+" "+d.Version)
		}
	}
	return list
}

// revision describes the commit that is checked out in a folder, with "-dirty" if
// it was changed, or is "unknown".
func revision(folder string) string {
	cmd := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12")
	cmd.Dir = folder
	text, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// field returns the value of the first line of a file that has the form
// "key : value", or "unknown".
func field(path, key string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// FileName is that of the machine's results of this day.
func (m Machine) FileName() string {
	return m.Date.Format(time.DateOnly) + "-" + m.Host + ".txt"
}

// lines describes the machine in "key: value" lines, which Go's benchmark format
// takes for configuration.
func (m Machine) lines() []string {
	goos, goarch, _ := strings.Cut(m.Arch, "/")
	lines := []string{
		"date: " + m.Date.Format(time.RFC3339),
		"goos: " + goos,
		"goarch: " + goarch,
		"cpu: " + m.CPU,
		fmt.Sprintf("cores: %d", m.Cores),
		"memory: " + m.Memory,
		"kernel: " + m.Kernel,
		"go: " + m.Go,
	}
	for _, module := range m.Modules {
		lines = append(lines, "module: "+module)
	}
	return lines
}
