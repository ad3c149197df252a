package clock_test

import (
	"fmt"
	"time"

	"github.com/knitnet/knit/core/clock"
)

// Two minutes of virtual time take none.
func ExampleNewVirtual() {
	c := clock.NewVirtual()
	var timeWait, keepAlive clock.Timer
	timeWait.Init(c, func(now clock.Time) { fmt.Println("TIME-WAIT ends at", time.Duration(now)) })
	keepAlive.Init(c, func(now clock.Time) { fmt.Println("never") })
	timeWait.ResetAfter(2 * time.Minute)
	keepAlive.ResetAfter(time.Minute)
	keepAlive.Stop()
	c.Advance(time.Hour)
	fmt.Println("it is", time.Duration(c.Now()))
	// Output:
	// TIME-WAIT ends at 2m0s
	// it is 1h0m0s
}
