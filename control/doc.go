// Package control is how programs talk to a running kernel: the table of verbs
// that the command line, the HTTP API and boot scripts share, their messages,
// and a client. It needs no kernel and imports only the standard library, core,
// whose text formats it prints, and for tcpdump the formats of packets and of
// captures. Package control/server binds the verbs to a kernel.
//
// A verb translates: words to a request, replies to text. Both directions are
// pure, so a command gives the same text typed at a shell, read from a boot
// script or sent by another program as JSON.
//
// # How to add a verb
//
// control/verb_NAME.go holds the messages and the translation; Verbs in verbs.go
// lists it:
//
//	type WhoRequest struct{ All bool `json:"all,omitempty"` }
//	type WhoReply struct{ Names []string `json:"names"` }
//
//	// Who lists who is there.
//	func Who() *Verb[WhoRequest, WhoReply] {
//		return &Verb[WhoRequest, WhoReply]{
//			Info:  Info{Name: "who", Group: Sockets, Summary: "list who is there", Usage: whoUsage},
//			Parse: func(c *Console, args []string) (WhoRequest, error) { ... },
//			Print: Each(func(c *Console, q WhoRequest, r WhoReply) error { ... }),
//		}
//	}
//
// control/server/NAME.go does the work, with the types checked by the compiler;
// handlers in server/handlers.go lists it:
//
//	func who() Handler {
//		return Handle(control.Who(), func(ctx context.Context, e *Env, q control.WhoRequest,
//			emit func(control.WhoReply) error) error { ... })
//	}
//
// cmd/knit/testdata/script/NAME.txtar shows good and bad input.
//
// Parse reads options with getopt, whose complaints are glibc's. Return ErrHelp
// for --help, and Errorf(status, "who: ...") or an *Error with Word set - the
// index in args of the culprit, counted from 1 - for mistakes. Local files are
// read in Parse with Console.ReadFile and written in Print with Console.Create.
// A handler returns *Error too, with the text and exit status of the Linux tool.
// Print gets a sequence of replies, which ends when the handler returns; what the
// handler returned is printed after it. A verb with Info.Stream goes on until its
// context ends (Ctrl-C): it may still emit last replies then. A verb with
// Info.Stdin reads the user's standard input from Env.Stdin.
package control
