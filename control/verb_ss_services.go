package control

import (
	"strconv"
	"strings"
)

// services are the names of ports.
type services struct {
	byName map[string]int
	byPort map[string]string // "tcp/80"
}

// readServices reads /etc/services; without it ports are numbers.
func readServices(c *Console, numeric bool) (s services) {
	if c == nil || numeric {
		return s
	}
	text, err := c.ReadFile("/etc/services")
	if err != nil {
		return s
	}
	return parseServices(string(text))
}

// parseServices reads lines of a name, port/protocol and aliases.
func parseServices(text string) services {
	s := services{byName: map[string]int{}, byPort: map[string]string{}}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		number, proto, _ := strings.Cut(fields[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			continue
		}
		key := proto + "/" + number
		if _, known := s.byPort[key]; !known {
			s.byPort[key] = fields[0]
		}
		for _, name := range append(fields[2:], fields[0]) {
			if _, known := s.byName[name]; !known {
				s.byName[name] = int(port)
			}
		}
	}
	return s
}

// number returns a port by number or name.
func (s services) number(word string) (int, bool) {
	if n, err := strconv.ParseUint(word, 0, 16); err == nil {
		return int(n), true
	}
	n, ok := s.byName[word]
	return n, ok
}
