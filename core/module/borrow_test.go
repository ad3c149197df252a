package module

import (
	"context"
	"errors"
	"syscall"
	"testing"
)

// TestBorrowUnloaded: a module that is gone borrows nothing: it could not be given back.
func TestBorrowUnloaded(t *testing.T) {
	var ctx *Context
	lender := Spec{Name: "lender", Init: func(c *Context) error { return Export(c, "thing", 7) }}
	borrower := Spec{Name: "borrower", Init: func(c *Context) error { ctx = c; return nil }}
	r, _ := newRegistry(t, lender, borrower)
	for _, name := range []string{"lender", "borrower"} {
		if err := r.Load(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Unload(context.Background(), "borrower"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Borrow[int](ctx, "thing"); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("borrowed by a module that is unloaded: %v", err)
	}
	if err := r.Unload(context.Background(), "lender"); err != nil {
		t.Error(err)
	}
}

// TestBorrow: what is borrowed is held, and named as held, until it is given back.
func TestBorrow(t *testing.T) {
	var ctx *Context
	lender := Spec{Name: "lender", Init: func(c *Context) error { return Export(c, "thing", 7) }}
	borrower := Spec{Name: "borrower", Init: func(c *Context) error { ctx = c; return nil }}
	r, _ := newRegistry(t, lender, borrower)
	if err := r.Load(context.Background(), "borrower"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Borrow[int](ctx, "thing"); err == nil {
		t.Fatal("borrowed from a module that is not there")
	}
	if err := ctx.Request("lender"); err != nil {
		t.Fatal(err)
	}
	v, release, err := Borrow[int](ctx, "thing")
	if err != nil || v != 7 {
		t.Fatal(v, err)
	}
	_, release2, err := Borrow[int](ctx, "thing")
	if err != nil {
		t.Fatal(err)
	}
	release()
	release()
	var used *InUseError
	if err := r.Unload(context.Background(), "lender"); !errors.As(err, &used) || len(used.Holders) != 1 || used.Holders[0] != "borrower" {
		t.Fatalf("unload: %v", err)
	}
	release2()
	if err := r.Unload(context.Background(), "lender"); err != nil {
		t.Fatal(err)
	}
}
