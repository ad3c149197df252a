package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes the machine and the tables for people to read.
func Print(w io.Writer, m Machine, tables []Table) error {
	var b strings.Builder
	for _, line := range m.lines() {
		fmt.Fprintln(&b, line)
	}
	for _, t := range tables {
		fmt.Fprintln(&b)
		t.print(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t Table) print(b *strings.Builder) {
	better := "lower is better"
	if t.Higher {
		better = "higher is better"
	}
	fmt.Fprintf(b, "%s: %s (%s, %s)\n", t.Name, t.Title, t.Unit, better)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "\t%s\tmin\tmax\tratio\tallocs\tB\tcores\tlost\truns\t\n", t.Unit)
	base, ok := t.Rows[0].Median(t.Unit)
	for _, r := range t.Rows {
		t.printRow(tw, r, base, ok)
	}
	tw.Flush()
	for _, r := range t.Rows {
		if r.Missing != "" {
			fmt.Fprintf(b, "%s was left out: %s\n", r.Label, r.Missing)
		}
		if r.Failed != "" {
			fmt.Fprintf(b, "%s FAILED: %s\n", r.Label, r.Failed)
		}
	}
	t.printGoal(b, base, ok)
}

// printRow writes one line; the ratio says how many times better base is.
func (t Table) printRow(w io.Writer, r Row, base float64, haveBase bool) {
	figures := r.figures(t.Unit)
	if len(figures) == 0 {
		fmt.Fprintf(w, "%s\t-\t\t\t\t\t\t\t\t0\t\n", r.Label)
		return
	}
	v, _ := r.Median(t.Unit)
	ratio := "-"
	if haveBase {
		ratio = fmt.Sprintf("%.2f", t.Ratio(base, v))
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n",
		r.Label, number(v), number(figures[0]), number(figures[len(figures)-1]), ratio,
		extra(r, Allocs, "%.2f"), extra(r, Bytes, "%.0f"), extra(r, Cores, "%.2f"), extra(r, Lost, "%.4f"), len(figures))
}

func (t Table) printGoal(b *strings.Builder, base float64, haveBase bool) {
	if t.Goal == 0 || !haveBase || t.Rows[0].Label != Subject {
		return
	}
	met := "not reached"
	if t.Met(base) {
		met = "reached"
	}
	fmt.Fprintf(b, "goal %s %s: %s\n", number(t.Goal), t.Unit, met)
}

// extra formats the median of a metric, or "-" if there is none.
func extra(r Row, name, format string) string {
	v, ok := r.Median(name)
	if !ok {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

// number formats a figure with about three digits that count.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
