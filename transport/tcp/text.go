package tcp

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/knitnet/knit/core/sysctl"
)

// formatInts joins numbers by tabs, as the kernel prints lists.
func formatInts(ns ...int) string {
	var b strings.Builder
	for i, n := range ns {
		if i > 0 {
			b.WriteByte('\t')
		}
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// parseInts reads exactly n numbers.
func parseInts(text string, n int) ([]int, error) {
	words := strings.Fields(text)
	if len(words) != n {
		return nil, syscall.EINVAL
	}
	out := make([]int, n)
	for i, w := range words {
		v, err := sysctl.ParseInt(w)
		if err != nil || int64(int(v)) != v {
			return nil, syscall.EINVAL
		}
		out[i] = int(v)
	}
	return out, nil
}

func invalid(want string) error { return fmt.Errorf("%w: want %s", syscall.EINVAL, want) }
