package sysctl_test

import (
	"fmt"
	"sync/atomic"

	"github.com/knitnet/knit/core/sysctl"
)

// A setting of a module: undo takes it out again when the module is unloaded.
func ExampleTable_Register() {
	var table sysctl.Table
	var ttl atomic.Int64
	ttl.Store(64)
	undo, err := table.Register(sysctl.Int("net.ipv4.ip_default_ttl", &ttl, 1, 255))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(table.Set("net/ipv4/ip_default_ttl", "32"), ttl.Load())
	fmt.Println(table.Set("net.ipv4.ip_default_ttl", "300") != nil, ttl.Load())
	undo()
	_, err = table.Get("net.ipv4.ip_default_ttl")
	fmt.Println(err)
	// Output:
	// <nil> 32
	// true 32
	// cannot stat /proc/sys/net/ipv4/ip_default_ttl: No such file or directory
}
