// Package drive tests the listings of docs/writing-a-module.md. docs_test.go
// puts it beside them.
package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/tour/counter"
	"example.com/tour/mirror"
	step1 "example.com/tour/step1/hello"
	step2 "example.com/tour/step2/hello"
	step3 "example.com/tour/step3/hello"
	step4 "example.com/tour/step4/hello"
	step5 "example.com/tour/step5/hello"
	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/std"
)

// here is the address of the kernel.
const here = "10.0.0.1"

// boot returns a kernel that knows m and has the address here.
func boot(t *testing.T, m module.Spec) *knit.Kernel {
	specs := slices.DeleteFunc(std.Modules(), func(s module.Spec) bool { return s.Name == m.Name })
	k, err := knit.New(knit.Config{Modules: append(specs, m)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if n := k.Pool.Live(); n != 0 {
			t.Errorf("%d packets are left", n)
		}
	})
	modprobe(t, k, "ip4")
	if err := k.AddAddr("lo", netip.MustParsePrefix(here+"/32")); err != nil {
		t.Fatal(err)
	}
	return k
}

func modprobe(t *testing.T, k *knit.Kernel, name string, params ...string) {
	t.Helper()
	if err := k.Modprobe(context.Background(), name, params...); err != nil {
		t.Fatal(err)
	}
}

func rmmod(t *testing.T, k *knit.Kernel, name string) {
	t.Helper()
	if err := k.Rmmod(context.Background(), name); err != nil {
		t.Fatal(err)
	}
}

// say calls a service, says something, and returns the answer.
func say(t *testing.T, k *knit.Kernel, port int, text string) string {
	t.Helper()
	conn, err := k.Dial("tcp", fmt.Sprintf("%s:%d", here, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, text)
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func wantRefused(t *testing.T, k *knit.Kernel, port int) {
	t.Helper()
	if _, err := k.Dial("tcp", fmt.Sprintf("%s:%d", here, port)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, want connection refused", err)
	}
}

func wantLog(t *testing.T, k *knit.Kernel, want string) {
	t.Helper()
	for _, e := range k.Log.Entries() {
		if strings.Contains(e.String(), want) {
			return
		}
	}
	t.Errorf("the log does not have %q: %v", want, k.Log.Entries())
}

func TestStep1(t *testing.T) {
	k := boot(t, step1.Module)
	modprobe(t, k, "hello")
	wantLog(t, k, "hello: hello, kernel")
	rmmod(t, k, "hello")
	wantLog(t, k, "hello: goodbye")
}

func TestStep2(t *testing.T) {
	k := boot(t, step2.Module)
	if err := k.Modprobe(context.Background(), "hello", "port=0"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("port 0: %v, want EINVAL", err)
	}
	modprobe(t, k, "hello", "port=80")
	wantLog(t, k, "port 80")
	if err := k.Modules.SetParam("hello", "greeting", "Moin"); err != nil {
		t.Error(err)
	}
	if err := k.Modules.SetParam("hello", "port", "81"); !errors.Is(err, syscall.EACCES) {
		t.Errorf("set port: %v, want EACCES", err)
	}
	rmmod(t, k, "hello")
}

func TestStep3(t *testing.T) {
	k := boot(t, step3.Module)
	modprobe(t, k, "hello")
	if got := say(t, k, 8000, ""); got != "" {
		t.Errorf("the service said %q", got)
	}
	if err := k.Rmmod(context.Background(), "tcp"); !errors.Is(err, module.ErrInUse) {
		t.Errorf("rmmod tcp: %v, want in use", err)
	}
	rmmod(t, k, "hello")
	wantRefused(t, k, 8000)
	modprobe(t, k, "hello", "port=80")
	say(t, k, 80, "")
	wantRefused(t, k, 8000)
}

func TestStep4(t *testing.T) {
	k := boot(t, step4.Module)
	modprobe(t, k, "hello", "greeting=Moin")
	if got := say(t, k, 8000, "GET / HTTP/1.1\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nMoin\n") {
		t.Errorf("answer %q", got)
	}
	silent, err := k.Dial("tcp", here+":8000")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if got := say(t, k, 8000, "hi"); got != "Moin\n" { // behind the silent one
		t.Errorf("answer %q", got)
	}
	rmmod(t, k, "hello")
	wantLog(t, k, "reclaimed 1 connection")
	wantRefused(t, k, 8000)
}

func TestStep5(t *testing.T) {
	k := boot(t, step5.Module)
	ln, err := k.Listen("tcp", here+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	modprobe(t, k, "hello", "request="+here+":7")
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "hello from inside the kernel\n" {
		t.Errorf("request %q, %v", buf[:n], err)
	}
	fmt.Fprintln(conn, "well done")
	for { // the module hangs up once it has logged the answer
		if _, err := conn.Read(buf); err != nil {
			break
		}
	}
	conn.Close()
	wantLog(t, k, here+`:7 answered "well done"`)
	rmmod(t, k, "hello")

	// One that nobody answers does not hold up rmmod.
	modprobe(t, k, "hello", "request="+here+":7")
	if conn, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rmmod(t, k, "hello")
}

func TestCounter(t *testing.T) {
	k := boot(t, counter.Module)
	modprobe(t, k, "counter")
	server, err := k.ListenPacket("udp", here+":53")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := k.Dial("udp", here+":53")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send := func() {
		fmt.Fprint(client, "x")
		if _, _, err := server.ReadFrom(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	send()
	send()
	if err := k.Sysctl.Set("net.ipv4.counter", "0"); err != nil {
		t.Fatal(err)
	}
	send()
	if b, err := k.Proc.Read("/proc/net/counter"); err != nil || string(b) != "17 2\n" {
		t.Errorf("/proc/net/counter: %q, %v; want 2 of protocol 17", b, err)
	}
	rmmod(t, k, "counter")
	if _, err := k.Proc.Read("/proc/net/counter"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("/proc/net/counter of the unloaded module: %v", err)
	}
	if _, err := k.Sysctl.Get("net.ipv4.counter"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("net.ipv4.counter of the unloaded module: %v", err)
	}
	send()
}

func TestMirror(t *testing.T) {
	k := boot(t, mirror.Module)
	modprobe(t, k, "mirror")
	modprobe(t, k, "udp")
	if err := k.AddAddr("mirror0", netip.MustParsePrefix("10.1.0.1/24")); err != nil {
		t.Fatal(err)
	}
	conn, err := k.Dial("udp", "10.1.0.7:53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "is anybody there?")
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "is anybody there?" {
		t.Errorf("echo %q, %v", buf[:n], err)
	}
	rmmod(t, k, "mirror")
	if _, err := k.Link.Lookup("mirror0"); err == nil {
		t.Error("the device of the unloaded module is there")
	}
	var none *net.OpError
	if _, err := k.Dial("udp", "10.1.0.7:53"); !errors.As(err, &none) {
		t.Errorf("dial without a route: %v", err)
	}
}
