package link_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/knitnet/knit/link"
)

// TestCreateLoadsTheModule: an unknown kind asks for rtnl-link-KIND once; what is
// unknown after that is EOPNOTSUPP.
func TestCreateLoadsTheModule(t *testing.T) {
	var asked []string
	var l *link.Layer
	cfg := link.Config{Request: func(alias string) error {
		asked = append(asked, alias)
		switch alias {
		case "rtnl-link-sink":
			_, err := l.RegisterKind("sink", link.Kind{
				New: func(name string, _ map[string]string) (*link.Device, error) {
					return l.Attach(link.Info{Name: name, Kind: "sink"}, new(sink))
				},
				Delete: func(dev *link.Device) error { dev.Detach(); return nil },
			})
			return err
		case "rtnl-link-liar":
			return nil
		}
		return errors.New("not found")
	}}
	l = link.New(cfg)
	for range 2 {
		if _, err := l.Create("sink", "", nil); err != nil {
			t.Fatal(err)
		}
	}
	dev, err := l.Lookup("sink1")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Delete(dev); err != nil || len(l.Devices()) != 1 {
		t.Errorf("Delete: %v, left %v", err, l.Devices())
	}
	for _, kind := range []string{"liar", "nosuch"} {
		if _, err := l.Create(kind, "x0", nil); !errors.Is(err, syscall.EOPNOTSUPP) || !strings.Contains(err.Error(), kind) {
			t.Errorf("Create(%s): %v", kind, err)
		}
	}
	if got := strings.Join(asked, " "); got != "rtnl-link-sink rtnl-link-liar rtnl-link-nosuch" {
		t.Errorf("asked for %s", got)
	}
	if _, err := l.RegisterKind("sink", link.Kind{}); !errors.Is(err, link.ErrExists) {
		t.Errorf("second registration: %v", err)
	}
	l.DetachKind("sink")
	if len(l.Devices()) != 0 {
		t.Errorf("left after DetachKind: %v", l.Devices())
	}
}

func TestOptionsSayWhatIsWanted(t *testing.T) {
	read := func(options map[string]string) (n int, on bool, word string, err error) {
		o := link.NewOptions("gre", options)
		n = o.Int("ttl", 64, 1, 255)
		on = o.Bool("csum", false)
		word = o.OneOf("mode", "l3", "l2")
		return n, on, word, o.Err()
	}
	if n, on, word, err := read(map[string]string{"ttl": "9", "csum": "on", "mode": "l2"}); n != 9 || !on || word != "l2" || err != nil {
		t.Errorf("good options: %d %t %q %v", n, on, word, err)
	}
	if n, on, word, err := read(nil); n != 64 || on || word != "l3" || err != nil {
		t.Errorf("defaults: %d %t %q %v", n, on, word, err)
	}
	for _, c := range []struct {
		options map[string]string
		want    string
	}{
		{map[string]string{"ttl": "0"}, `gre: ttl "0": invalid argument: want 1 to 255`},
		{map[string]string{"ttl": "x"}, `gre: ttl "x": invalid argument: want 1 to 255`},
		{map[string]string{"csum": "maybe"}, `gre: csum "maybe": invalid argument: want on or off`},
		{map[string]string{"mode": "l4"}, `gre: mode "l4": invalid argument: want l3 or l2`},
		{map[string]string{"tos": "1"}, `gre: option "tos": invalid argument: want ttl, csum, mode`},
	} {
		if _, _, _, err := read(c.options); err == nil || err.Error() != c.want {
			t.Errorf("%v: %v, want %s", c.options, err, c.want)
		}
	}
	if err := link.NewOptions("dummy", map[string]string{"x": "1"}).Err(); err == nil || !strings.HasSuffix(err.Error(), "want no options") {
		t.Errorf("an option where there are none: %v", err)
	}
}
