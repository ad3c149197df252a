package control

import (
	"bytes"
	"os/exec"
	"reflect"
	"testing"
)

func TestGetopt(t *testing.T) {
	known := []option{{'a', "all", noArg}, {'v', "", noArg}, {'w', "wait", needArg}, {0, "load", mayArg}, {'p', "print", mayArg}, {0, "write", noArg}}
	for _, c := range []struct {
		args  []string
		given []setting
		rest  []operand
		err   string
	}{
		{args: nil},
		{args: []string{"x", "-av", "y"}, given: []setting{{"all", "", 2}, {"v", "", 2}}, rest: []operand{{"x", 1}, {"y", 3}}},
		{args: []string{"-w5", "-w", "6", "--wait=7", "--wait", "8"}, given: []setting{{"wait", "5", 1}, {"wait", "6", 2}, {"wait", "7", 4}, {"wait", "8", 5}}},
		{args: []string{"--load", "x", "--load=f", "-p", "-pf"}, given: []setting{{"load", "", 1}, {"load", "f", 3}, {"print", "", 4}, {"print", "f", 5}}, rest: []operand{{"x", 2}}},
		{args: []string{"--al", "--", "-v", "--"}, given: []setting{{"all", "", 1}}, rest: []operand{{"-v", 3}, {"--", 4}}},
		{args: []string{"-"}, rest: []operand{{"-", 1}}},
		{args: []string{"-z"}, err: "p: invalid option -- 'z'"},
		{args: []string{"--zz"}, err: "p: unrecognized option '--zz'"},
		{args: []string{"--all=1"}, err: "p: option '--all' doesn't allow an argument"},
		{args: []string{"-w"}, err: "p: option requires an argument -- 'w'"},
		{args: []string{"--wait"}, err: "p: option '--wait' requires an argument"},
		{args: []string{"--w"}, err: "p: option '--w' is ambiguous; possibilities: '--wait' '--write'"},
		{args: []string{"--=x"}, err: "p: unrecognized option '--'"},
	} {
		given, rest, err := getopt("p", 1, known, c.args)
		if text := ""; err != nil {
			if text = err.Error(); text != c.err {
				t.Errorf("%q: error %q, want %q", c.args, text, c.err)
			}
			continue
		}
		if c.err != "" || !reflect.DeepEqual(given, c.given) || !reflect.DeepEqual(rest, c.rest) {
			t.Errorf("%q: %v, %v; want %v, %v, %q", c.args, given, rest, c.given, c.rest, c.err)
		}
	}
}

// TestComplaintsAreTheTools compares what verbs say about wrong words with the
// tools whose names they have. None of these commands changes anything.
func TestComplaintsAreTheTools(t *testing.T) {
	for _, words := range [][]string{
		{"modprobe"}, {"modprobe", "--zzz"}, {"modprobe", "-Z"}, {"modprobe", "-r", "--wait"}, {"modprobe", "--first-time=x", "y"},
		{"insmod"}, {"rmmod"}, {"rmmod", "--zzz"}, {"modinfo"}, {"modinfo", "-F"}, {"modinfo", "--fi"}, {"modinfo", "--zz"},
		{"dmesg", "-l", "zz"}, {"dmesg", "-f", "zz"}, {"dmesg", "--zz"}, {"dmesg", "foo"}, {"dmesg", "--time-format", "zz"}, {"dmesg", "-l"},
	} {
		tool, err := exec.LookPath(words[0])
		if err != nil {
			t.Logf("not compared: %s is not installed on this machine", words[0])
			continue
		}
		var want bytes.Buffer
		cmd := exec.Command(tool, words[1:]...)
		cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		cmd.Args[0] = words[0]
		cmd.Stderr = &want
		wantErr := cmd.Run()
		var got bytes.Buffer
		c := &Console{Stderr: &got}
		_, err = Prepare(c, words)
		status := c.Report(err)
		if got.String() != want.String() || status != cmd.ProcessState.ExitCode() {
			t.Errorf("%q says\n%s(%d), the tool\n%s(%v)", words, &got, status, &want, wantErr)
		}
	}
}
