package tunfd

import (
	"strings"
	"testing"
)

func TestValidateSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string // "" means valid
	}{
		{Config{}, ""},
		{Config{Name: "a23456789012345", MultiQueue: MaxQueues}, ""},
		{Config{Name: "a234567890123456"}, "longer than 15 bytes"},
		{Config{MultiQueue: -1}, "want 1 to 128"},
		{Config{MultiQueue: MaxQueues + 1}, "want 1 to 128"},
	} {
		err := c.config.validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("validate(%+v) = %v, want %q", c.config, err, c.want)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, "tun%d"},
		{Config{TAP: true}, "tap%d"},
		{Config{TAP: true, Name: "eth0"}, "eth0"},
	} {
		if got := c.config.pattern(); got != c.want {
			t.Errorf("pattern of %+v = %q, want %q", c.config, got, c.want)
		}
	}
}
