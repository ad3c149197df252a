//go:build !linux

package main

import (
	"context"
	"errors"
)

func (u *up) background(context.Context) error {
	return errors.New("this system knows no daemons of knit: use --foreground under a service manager")
}

func detach(int) error { return errors.ErrUnsupported }
