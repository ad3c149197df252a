//go:build !unix

package server

import "context"

// A lock does nothing where there is no flock: the bound socket alone keeps two
// daemons apart.
type lock struct{}

func takeLock(string) (*lock, error) { return &lock{}, nil }

func (*lock) release() {}

// Wait does not wait where there is no lock.
func Wait(context.Context, string) error { return nil }
