package module

// Register takes what the layers' registrations return: it has undo run at
// unload, as Cleanup does, and passes the error on.
//
//	if err := c.Register(l.Handle(etherType, h)); err != nil {
//		return err
//	}
func (c *Context) Register(undo func(), err error) error {
	if err == nil {
		c.Cleanup(undo)
	}
	return err
}
