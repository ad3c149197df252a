package knit_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"errors"

	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
)

// TestHelloLoadsAndUnloads is the README's first promise: a service in the kernel
// answers, is unloaded, refuses, and comes back with another parameter.
func TestHelloLoadsAndUnloads(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{})
	ctx := context.Background()
	get := func() (string, error) {
		client := http.Client{Transport: &http.Transport{DialContext: a.DialContext, DisableKeepAlives: true}}
		r, err := client.Get("http://10.0.0.2:8000/")
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
	if err := z.Modprobe(ctx, "hello"); err != nil {
		t.Fatal(err)
	}
	if got, err := get(); err != nil || got != "Thank you for your message!\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := z.Rmmod(ctx, "tcp"); err == nil || !strings.Contains(err.Error(), "hello") {
		t.Errorf("rmmod tcp: %v; want in use by hello", err)
	}
	if err := z.Rmmod(ctx, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := get(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after rmmod: %v; want connection refused", err)
	}
	if err := z.Modprobe(ctx, "hello", "greeting=Moin"); err != nil {
		t.Fatal(err)
	}
	if got, err := get(); err != nil || got != "Moin\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	var log []string
	for _, e := range z.Log.Entries() {
		log = append(log, e.String())
	}
	if all := strings.Join(log, "\n"); !strings.Contains(all, `said "GET / HTTP/1.1"`) {
		t.Errorf("the log does not say what was received:\n%s", all)
	}
}
