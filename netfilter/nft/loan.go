package nft

import "github.com/knitnet/knit/core/module"

// A loan is the symbol of a module that is used while rules need it.
type loan[T any] struct {
	v    T
	back func() // nil: not borrowed
}

// get loads the module and borrows its symbol, which has the module's name.
func (l *loan[T]) get(c *module.Context, name string) error {
	if l.back != nil {
		return nil
	}
	if err := c.Request(name); err != nil {
		return err
	}
	v, back, err := module.Borrow[T](c, name)
	if err != nil {
		return err
	}
	l.v, l.back = v, back
	return nil
}

// put gives it back.
func (l *loan[T]) put() {
	if l.back != nil {
		l.back()
		*l = loan[T]{}
	}
}
