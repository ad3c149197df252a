package report

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Save writes a file with the tables and every sample, in the benchmark format of
// Go: benchstat reads it, and takes the rest for comments.
func Save(path string, m Machine, tables []Table) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("keep the results: %w", err)
	}
	var b strings.Builder
	if err := Print(&b, m, tables); err != nil {
		return err
	}
	fmt.Fprintln(&b, "\nRaw results, one line a measurement:")
	fmt.Fprintln(&b)
	for _, t := range tables {
		t.raw(&b, m.Cores)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("keep the results: %w", err)
	}
	return nil
}

// raw writes the samples of a table as lines of Go's benchmark format.
func (t Table) raw(w io.Writer, cores int) {
	for _, r := range t.Rows {
		for _, s := range r.Samples {
			fmt.Fprintf(w, "Benchmark%s/%s-%d\t%d", t.Name, r.Label, cores, s.N)
			if s.N > 1 {
				fmt.Fprintf(w, "\t%.1f ns/op", float64(s.Nanos)/float64(s.N))
			}
			for _, name := range slices.Sorted(maps.Keys(s.Metrics)) {
				fmt.Fprintf(w, "\t%g %s", s.Metrics[name], name)
			}
			fmt.Fprintln(w)
		}
	}
}
