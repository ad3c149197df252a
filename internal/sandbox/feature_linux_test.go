package sandbox

import (
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestReleaseAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-13-amd64": false, "5.15.0": false, "6.2": true, "6.18.44-x": true, "7.0.1": true, "": false, "x.y": false,
	} {
		if got := releaseAtLeast(release, 6, 2); got != want {
			t.Errorf("releaseAtLeast(%q, 6, 2) = %v, want %v", release, got, want)
		}
	}
}

func TestDisableFeature(t *testing.T) {
	done := make(chan error)
	go func() {
		defer close(done)
		// Never unlocked: the thread and its namespace end with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a0"}, PeerName: "b0"}); err != nil {
			t.Error(err)
			return
		}
		if err := disableFeature("a0", udpSegmentation); err != nil {
			t.Error(err)
		}
		if err := disableFeature("a0", "no-such-feature"); err == nil {
			t.Error("no error for a feature that is not there")
		}
		for feature, want := range map[string]bool{udpSegmentation: false, "tx-tcp-segmentation": true} {
			index, err := featureIndex("a0", feature)
			if err != nil {
				t.Error(err)
				continue
			}
			active, err := activeFeatures("a0")
			if got := err == nil && active[index/32]&(1<<(index%32)) != 0; got != want || err != nil {
				t.Errorf("%s is on: %v, %v, want %v", feature, got, err, want)
			}
		}
	}()
	if err := <-done; err != nil {
		t.Skipf("this machine does not let the test make a network namespace: %v", err)
	}
}
