package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Info describes a verb.
type Info struct {
	Name    string
	Group   string // one of the headings of help
	Summary string // half a line
	Usage   string // what --help prints
	// Stream: replies come until the context ends, which asks the handler to
	// finish; other verbs are cut off.
	Stream bool
	// Stdin: the handler reads the user's standard input. Implies Stream.
	Stdin bool
	// Offline: without a daemon it works on a kernel with nothing loaded.
	Offline bool
}

// The headings of help, in their order.
const (
	Modules = "Modules"
	Network = "Network"
	Sockets = "Sockets and traffic"
	Kernel  = "Kernel"
)

// A Verb is one command with the types of its messages. A Verb is never changed
// after it was made, and may be used concurrently.
type Verb[Req, Reply any] struct {
	Info
	// Parse translates the words behind the verb's name. It changes nothing.
	Parse func(c *Console, args []string) (Req, error)
	// Print writes the replies; see Each for one that needs no memory.
	Print func(c *Console, q Req, replies iter.Seq[Reply]) error
}

// A Command is a Verb without its types.
type Command interface {
	// About describes the command.
	About() Info
	// Prepare parses the words behind the verb's name, and returns the request
	// with the function that prints its replies.
	Prepare(c *Console, args []string) (*Prepared, error)
}

// A Prepared is a command that was parsed and not yet run.
type Prepared struct {
	Info
	Request any
	print   func(c *Console, replies iter.Seq[json.RawMessage]) error
}

// About implements Command.
func (v *Verb[Req, Reply]) About() Info { return v.Info }

// Prepare implements Command.
func (v *Verb[Req, Reply]) Prepare(c *Console, args []string) (*Prepared, error) {
	q, err := v.Parse(c, args)
	if err != nil {
		return nil, err
	}
	return &Prepared{Info: v.Info, Request: q, print: func(c *Console, replies iter.Seq[json.RawMessage]) error {
		var bad error
		err := v.Print(c, q, func(yield func(Reply) bool) {
			for raw := range replies {
				var r Reply
				if bad = json.Unmarshal(raw, &r); bad != nil || !yield(r) {
					return
				}
			}
		})
		if bad != nil {
			return fmt.Errorf("%s: the daemon speaks another version: %w", v.Name, bad)
		}
		return err
	}}, nil
}

// Each returns a Print that calls f for each reply.
func Each[Req, Reply any](f func(c *Console, q Req, r Reply) error) func(*Console, Req, iter.Seq[Reply]) error {
	return func(c *Console, q Req, replies iter.Seq[Reply]) error {
		for r := range replies {
			if err := f(c, q, r); err != nil {
				return err
			}
		}
		return nil
	}
}

// Silent is a Print for verbs that say nothing.
func Silent[Req, Reply any](_ *Console, _ Req, replies iter.Seq[Reply]) error {
	for range replies {
	}
	return nil
}

// A Call is one request on its way to a kernel.
type Call struct {
	Info
	Request any
	// Stdin is read if Info.Stdin is set; nil is empty.
	Stdin io.Reader
	// Reply is called with each reply, in order and from one goroutine. Its error
	// ends the call.
	Reply func(json.RawMessage) error
}

// A Caller carries calls to a kernel: a *Client, or a server in this process.
type Caller interface {
	// Call returns when the verb has ended, with an *Error if it failed. The end
	// of ctx asks a streaming verb to finish, and cuts off others and those that
	// read standard input.
	Call(ctx context.Context, c Call) error
}

// Do runs a prepared command. Print begins with the first reply, or with the end
// of a call that went well, so that a failure prints nothing but its reason.
func (p *Prepared) Do(ctx context.Context, to Caller, c *Console) error {
	var failed error
	next, stop := iter.Pull(func(yield func(json.RawMessage) bool) {
		failed = to.Call(ctx, Call{Info: p.Info, Request: p.Request, Stdin: c.Stdin, Reply: func(r json.RawMessage) error {
			if !yield(r) {
				return errStopped
			}
			return nil
		}})
	})
	defer stop()
	r, ok := next()
	if !ok && failed != nil {
		return failed
	}
	err := p.print(c, func(yield func(json.RawMessage) bool) {
		for ; ok; r, ok = next() {
			if !yield(r) {
				return
			}
		}
	})
	stop()
	if err != nil {
		return err
	}
	if errors.Is(failed, errStopped) {
		return nil
	}
	return failed
}

// errStopped ends a call whose replies nobody wants any more.
var errStopped = errors.New("stopped by the reader")

// Lookup returns the command of that name.
func Lookup(name string) (Command, bool) {
	for _, v := range Verbs() {
		if v.About().Name == name {
			return v, true
		}
	}
	return nil, false
}

// Run runs one command, given as words, and writes what it has to say. It
// returns the exit status.
func Run(ctx context.Context, to Caller, c *Console, words ...string) (status int) {
	p, err := Prepare(c, words)
	if err == nil {
		err = p.Do(ctx, to, c)
	}
	return c.Report(err)
}

// Prepare parses one command, given as words.
func Prepare(c *Console, words []string) (*Prepared, error) {
	if len(words) == 0 {
		return nil, Errorf(1, "knit: no command")
	}
	v, ok := Lookup(words[0])
	if !ok {
		return nil, Errorf(1, "knit: unknown command %q: want one of those that \"knit help\" lists", words[0])
	}
	p, err := v.Prepare(c, words[1:])
	if errors.Is(err, ErrHelp) {
		return nil, &Error{Text: v.About().Usage, help: true}
	}
	return p, err
}
