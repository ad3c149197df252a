package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/internal/tunfd"
)

// A test runs the sandbox from a process of its own, because what is tested
// is what a program does: its user, its terminal, its signals, its death.
// modeVar chooses what such a process does; "" is the test itself.
const (
	modeVar = "SANDBOX_TEST_MODE"
	taskVar = "SANDBOX_TEST_TASK"

	// reportFD is where a program writes its report.
	reportFD = 3

	// patience bounds a wait that ends at once unless something is broken.
	patience = 30 * time.Second

	nobody = 65534
)

func TestMain(m *testing.M) {
	MaybeChild()
	switch mode := os.Getenv(modeVar); mode {
	case "":
		os.Exit(m.Run())
	case "run":
		os.Exit(runProgram())
	default:
		os.Exit(insideProgram(mode))
	}
}

// A task is what a program is to do.
type task struct {
	Config Config
	Inside string // mode of the command, if that is the test's binary
	Etc    string // see arrangeEtc
	Cancel bool   // the context once the responder has seen a packet

	NoMounts bool // see forbidMounts
}

// A report is what it says afterwards.
type report struct {
	Kind       Kind
	Name       string
	Queues     int
	VnetHdrLen int
	Offload    tunfd.Offload
	Notes      []string
	Warnings   []string
	Err        string
	Oversized  int // frames larger than the MTU
}

// runProgram is main of a program that uses the package.
func runProgram() int {
	unix.CloseOnExec(reportFD)
	var t task
	if err := json.Unmarshal([]byte(os.Getenv(taskVar)), &t); err != nil {
		panic(err)
	}
	if t.NoMounts && forbidMounts() != nil {
		text, _ := json.Marshal(report{Err: errNoLandlock})
		os.NewFile(reportFD, "report").Write(text)
		return 0
	}
	os.Setenv(modeVar, t.Inside)
	os.Unsetenv(taskVar)
	if err := arrangeEtc(t.Etc); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var r report
	peer := &responder{}
	if t.Cancel {
		peer.seen = cancel
	}
	status, err := Run(ctx, t.Config, func(s *Sandbox) error {
		d := s.Device()
		r = report{Kind: d.Kind, Name: d.Name, Queues: len(d.Files), VnetHdrLen: d.VnetHdrLen, Offload: d.Offload, Notes: s.Notes(), Warnings: s.Warnings()}
		peer.serve(d)
		return nil
	})
	peer.wait()
	r.Oversized = peer.oversized()
	if err != nil {
		r.Err = err.Error()
	}
	text, _ := json.Marshal(r)
	os.NewFile(reportFD, "report").Write(text)
	return status
}

// arrangeEtc gives the program's own mount namespace another /etc.
func arrangeEtc(kind string) error {
	if kind == "" {
		return nil
	}
	link := "real/stub.conf"
	if kind == "dangling" {
		link = "nowhere/stub.conf"
	}
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", "/etc", "tmpfs", 0, ""),
		os.Mkdir("/etc/real", 0o755),
		os.WriteFile("/etc/real/stub.conf", []byte("nameserver 127.0.0.53\n"), 0o644),
		os.WriteFile("/etc/marker", []byte("marker\n"), 0o644),
		os.Symlink(link, "/etc/resolv.conf"),
	)
}

const (
	errNoLandlock = "this machine has no landlock"

	// landlockedVar is set in a program that is under landlock.
	landlockedVar = "SANDBOX_TEST_LANDLOCKED"
)

// forbidMounts puts the program under landlock(7), which takes the right to mount
// anything from it and its children. The domain is a thread's, and passes to the
// whole program by starting it anew.
func forbidMounts() error {
	if os.Getenv(landlockedVar) != "" {
		return nil
	}
	os.Setenv(landlockedVar, "1")
	runtime.LockOSThread()
	rules := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules.Handled_access_fs), 0)
	if errno != 0 {
		return errno
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return errno
	}
	if _, err := unix.FcntlInt(reportFD, unix.F_SETFD, 0); err != nil {
		return err
	}
	return unix.Exec(self, os.Args, os.Environ())
}

// A user is who runs a program.
type user struct {
	name string
	uid  int
}

// users are those that the test can become: root tests nobody too.
func users() []user {
	own := user{name: "caller", uid: os.Getuid()}
	if own.uid != 0 {
		return []user{own}
	}
	return []user{{"root", 0}, {"nobody", nobody}}
}

// A program is a process of the test's binary.
type program struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
	report         *os.File
	child          *os.File
}

// newProgram prepares a program that u runs.
func newProgram(t *testing.T, u user, k task) *program {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cmd: exec.Command(self)}
	p.Env = append(os.Environ(), modeVar+"=run", taskVar+"="+string(text),
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // it waits a second by default
	p.Dir = "/"
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.SysProcAttr = &syscall.SysProcAttr{}
	if u.uid != os.Getuid() {
		p.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.uid)}
	}
	if k.Etc != "" {
		p.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	}
	if p.report, p.child, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	p.ExtraFiles = []*os.File{p.child}
	t.Cleanup(func() { p.report.Close(); p.child.Close() })
	return p
}

func (p *program) start(t *testing.T) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.child.Close()
	stop := time.AfterFunc(patience, func() { p.Process.Kill() })
	t.Cleanup(func() { stop.Stop() })
}

// end waits for the program and returns its exit status and report.
func (p *program) end(t *testing.T) (int, report) {
	t.Helper()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var r report
	if err := json.NewDecoder(p.report).Decode(&r); err != nil {
		t.Fatalf("no report: %v; exit %v\nstdout %s\nstderr %s", err, p.ProcessState, &p.stdout, &p.stderr)
	}
	return p.ProcessState.ExitCode(), r
}

// run runs a program to its end.
func run(t *testing.T, u user, k task) (*program, int, report) {
	t.Helper()
	p := newProgram(t, u, k)
	p.start(t)
	status, r := p.end(t)
	return p, status, r
}

// script is run for a shell script that must succeed; it returns the output.
func script(t *testing.T, u user, c Config, text string) (string, report) {
	t.Helper()
	c.Command = []string{"sh", "-ec", text}
	p, status, r := run(t, u, task{Config: c})
	if status != 0 || r.Err != "" {
		t.Fatalf("sh -ec %q: status %d, error %q\nstdout %s\nstderr %s", text, status, r.Err, &p.stdout, &p.stderr)
	}
	return p.stdout.String(), r
}

// needNamespaces skips the test where the machine forbids sandboxes.
func needNamespaces(t *testing.T) {
	t.Helper()
	if err := Diagnose(); err != nil {
		t.Skip(err)
	}
}

// need skips the test where a program that it runs is not installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("this machine has no %s", p)
		}
	}
}

// tunNode returns a clone device that every user may open.
func tunNode(t *testing.T) string {
	t.Helper()
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err == nil && os.Getuid() != 0 {
		f.Close()
		return "/dev/net/tun"
	}
	dir, err := os.MkdirTemp("", "tun")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	node := filepath.Join(dir, "tun")
	err = errors.Join(
		os.Chmod(dir, 0o755),
		unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))),
		os.Chmod(node, 0o666),
	)
	if err != nil {
		t.Skipf("this machine does not let the test make a TUN node: %v", err)
	}
	if f, err := os.OpenFile(node, os.O_RDWR, 0); err != nil {
		t.Skipf("this machine does not let the test open a TUN: %v", err)
	} else {
		f.Close()
	}
	return node
}

// forEach runs f for every user and kind of device.
func forEach(t *testing.T, f func(t *testing.T, u user, c Config)) {
	needNamespaces(t)
	for _, u := range users() {
		for _, k := range []Kind{TUN, TAP, Packet} {
			t.Run(fmt.Sprintf("%s/%s", u.name, k), func(t *testing.T) {
				c := island()
				c.Require = k
				if k != Packet {
					c.TUNPath = tunNode(t)
				}
				f(t, u, c)
			})
		}
	}
}

func wantLines(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("output lacks %q:\n%s", w, got)
		}
	}
}
