package module_test

import (
	"context"
	"fmt"

	"github.com/knitnet/knit/core/module"
)

// A module with a parameter that needs a symbol of another one; loading it
// loads the other one too.
func Example() {
	tcp := module.Spec{
		Name:    "tcp",
		Exports: []string{"listen"},
		Init: func(c *module.Context) error {
			return module.Export(c, "listen", func(port uint64) { fmt.Println("listening on port", port) })
		},
	}
	hello := module.Spec{
		Name:    "hello",
		Imports: []string{"listen"},
		Params:  []module.Param{module.Uint("port", 8000, "TCP port to listen on").Range(1, 65535)},
		Init: func(c *module.Context) error {
			listen, err := module.Import[func(uint64)](c, "listen")
			if err != nil {
				return err
			}
			listen(c.Uint("port"))
			c.Cleanup(func() { fmt.Println("closed") })
			return nil
		},
	}
	ctx := context.Background()
	r, err := module.New(module.Config{}, tcp, hello)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Modprobe(ctx, "hello", "port=99999"))
	if err := r.Modprobe(ctx, "hello", "port=80"); err != nil {
		fmt.Println(err)
	}
	fmt.Print(module.FormatLsmod(r.Modules()))
	fmt.Println(r.Unload(ctx, "tcp"))
	if err := r.Remove(ctx, "hello", module.RemoveOptions{Deps: true}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// could not insert 'hello': hello: '99999' invalid for parameter 'port': want an unsigned integer from 1 to 65535
	// listening on port 80
	// Module                  Size  Used by
	// hello                  16384  0
	// tcp                    16384  1 hello
	// Module tcp is in use by: hello
	// closed
}
