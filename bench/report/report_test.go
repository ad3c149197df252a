package report

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func row(label, unit string, figures ...float64) Row {
	r := Row{Label: label}
	for _, f := range figures {
		r.Samples = append(r.Samples, Sample{N: 1000, Nanos: 2_000_000, Metrics: map[string]float64{unit: f, Cores: 1.5}})
	}
	return r
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		figures []float64
		want    float64
		ok      bool
	}{
		{nil, 0, false},
		{[]float64{7}, 7, true},
		{[]float64{9, 1}, 5, true},
		{[]float64{3, 100, 1}, 3, true},
	} {
		got, ok := row("x", "us", test.figures...).Median("us")
		if got != test.want || ok != test.ok {
			t.Errorf("median of %v = %v, %v; want %v, %v", test.figures, got, ok, test.want, test.ok)
		}
	}
}

// TestRatioSaysHowMuchBetter defends that above one means the same in every table.
func TestRatioSaysHowMuchBetter(t *testing.T) {
	if got := (Heading{Higher: true}).Ratio(1000, 100); got != 10 {
		t.Errorf("1000 MB/s against 100 = %v, want 10", got)
	}
	if got := (Heading{}).Ratio(5, 50); got != 10 {
		t.Errorf("5 us against 50 = %v, want 10", got)
	}
}

func sampleTables() (Machine, []Table) {
	m := Machine{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Host: "host", CPU: "processor", Cores: 2,
		Memory: "1 kB", Kernel: "6.0", Go: "go1.26", Arch: "linux/amd64", Modules: []string{"example.org/m v1.0.0"},
	}
	return m, []Table{
		{
			Heading: Heading{Name: "Stream", Title: "a stream", Unit: "MB/s", Higher: true, Goal: 1000},
			Rows: []Row{
				row(Subject, "MB/s", 1100, 900, 1000), row("other", "MB/s", 80.5, 81.25),
				{Label: "absent", Missing: "no such device"}, {Label: "broken", Failed: "connection refused"},
			},
		},
		{
			Heading: Heading{Name: "Trip", Title: "a trip", Unit: "us", Goal: 6},
			Rows:    []Row{row(Subject, "us", 7), row("other", "us", 53)},
		},
	}
}

func TestSaveIsGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "x.txt")
	m, tables := sampleTables()
	if err := Save(path, m, tables); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "save.golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFileNameHasDateAndHost(t *testing.T) {
	m, _ := sampleTables()
	if got, want := m.FileName(), "2026-01-02-host.txt"; got != want {
		t.Errorf("FileName() = %q, want %q", got, want)
	}
}

func TestDescribeFindsThisMachine(t *testing.T) {
	m, err := Describe()
	if err != nil {
		t.Fatal(err)
	}
	if m.Cores < 1 || m.Kernel == "" || !strings.HasPrefix(m.Go, "go") && !strings.HasPrefix(m.Go, "devel") {
		t.Errorf("Describe() = %+v", m)
	}
}
