package rcu_test

import (
	"fmt"

	"github.com/knitnet/knit/core/rcu"
)

// A writer replaces a table, waits until nobody can be looking at the old one, and
// frees what it led to.
func ExamplePeriod() {
	var walks rcu.Period
	var table rcu.Value[map[string]int]
	table.Store(map[string]int{"eth0": 1})

	lookup := func(name string) int { // for every packet
		walk := walks.Enter()
		defer walk.Exit()
		return (*table.Load())[name]
	}
	fmt.Println(lookup("eth0"))

	table.Update(func(map[string]int) map[string]int { return map[string]int{"wan": 1} })
	walks.Wait() // never inside a walk
	fmt.Println("nobody looks at the old table")
	fmt.Println(lookup("eth0"), lookup("wan"))
	// Output:
	// 1
	// nobody looks at the old table
	// 0 1
}
