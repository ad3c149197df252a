package hook_test

import (
	"fmt"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
)

// Two functions at one point, of modules that do not know each other: the smaller
// priority runs first, and what it drops the other one does not see.
func ExamplePoint() {
	var pool packet.Pool
	var input hook.Point
	input.Add(hook.Entry{Owner: "log", Priority: hook.Filter, Func: func(pkt *packet.Packet) hook.Verdict {
		fmt.Printf("%s passes\n", pkt.Head())
		return hook.Accept
	}})
	remove := input.Add(hook.Entry{Owner: "deny", Priority: hook.Raw, Func: func(pkt *packet.Packet) hook.Verdict {
		if string(pkt.Head()) == "bad" {
			return hook.Drop
		}
		return hook.Accept
	}})
	send := func(text string) {
		pkt := pool.Get()
		pkt.Append([]byte(text))
		var q packet.Queue
		q.Push(pkt)
		input.RunBatch(&q)
		q.Consume() // what is left goes on; here it ends
	}
	send("good")
	send("bad")
	remove()
	send("bad")
	fmt.Println("alive:", pool.Live())
	// Output:
	// good passes
	// bad passes
	// alive: 0
}
