// Package module loads and unloads modules while the kernel runs: metadata,
// dependencies by name and by symbol, parameters, use counts, autoload.
//
// A module is a Spec, whose Init gets a Context. Everything that Init does to
// the kernel goes through the Context with its own undo, so a module needs no
// exit function, and a failed Init leaves nothing behind.
//
// # Locks
//
// One mutex per Registry guards its tables and is held for short sections
// only: never while Init, an undo function, a drain callback or the grace
// period runs. So Init may block, log, load other modules (Context.Request)
// and look at the Registry. Order comes from states instead: a module that is
// Loading or Unloading belongs to the call that put it there, and others wait
// for its state to change. Two calls that load the same module at the same
// time share one Init. A wait that could never end - a module that, through
// its own Init, asks for itself - is recognised and refused as ErrCycle.
//
// # The order of unloading
//
//  1. state Unloading: Users.Get refuses new users
//  2. Context.OnDrain callbacks
//  3. Context.Cleanup functions, last first: unregister, so that no packet
//     newly enters the module
//  4. the grace period: wait until no packet is inside
//  5. the module's context.Context ends and its goroutines are awaited
//  6. Context.Own: what the module has not released itself is released and
//     reported in dmesg by kind and number
//  7. Context.Free functions, last first
package module
