package lab_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/lab"
)

var update = flag.Bool("update", false, "write the golden files")

// The matrix that every transfer has to get through.
var (
	losses  = []float64{0, 0.001, 0.01, 0.05, 0.1, 0.2}
	delays  = []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond}
	buffers = []int{16 << 10, 128 << 10, 0} // in bytes; 0: autotuning
)

const (
	// seeds is how often each cell of the table is measured. A packet lost at
	// another place can change a single transfer fivefold, for a timeout or none.
	// The geometric mean of so many moves by a tenth or so, except when recovery
	// has become better or worse; the median would jump between the two modes.
	seeds = 25

	// size is what each transfer of the matrix carries, in bytes.
	size = 400 << 10

	// rate is that of the link, in bytes per second.
	rate = 10e6
)

const goldenFile = "testdata/throughput.golden"

// TestThroughputTable sends through links of every loss, delay and buffer size:
// all bytes arrive, and the throughput is that of the golden file, so that a
// change of congestion control or recovery shows as a change of the table.
//
// Each transfer runs on one goroutine, where the race detector finds nothing and
// costs a factor of fifteen: with it only the rows of one delay are compared.
func TestThroughputTable(t *testing.T) {
	rows := make([]string, 0, len(losses)*len(delays))
	t.Run("rows", func(t *testing.T) {
		for _, loss := range losses {
			for _, delay := range delays {
				if raceEnabled && delay != delays[2] {
					continue
				}
				rows = append(rows, "")
				row := &rows[len(rows)-1]
				t.Run(fmt.Sprintf("loss=%v/delay=%v", loss, delay), func(t *testing.T) {
					t.Parallel()
					*row = tableRow(t, loss, delay)
				})
			}
		}
	})
	if *update && !raceEnabled {
		text := tableHead() + strings.Join(rows, "")
		if err := os.WriteFile(goldenFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	compareRows(t, rows)
}

func tableHead() string {
	var b strings.Builder
	fmt.Fprintf(&b, "throughput in KB/s of %d KiB over a link of %v MB/s: geometric mean of %d seeds, to two digits\n\n", size>>10, rate/1e6, seeds)
	fmt.Fprintf(&b, "%6s %7s", "loss", "delay")
	for _, n := range buffers {
		name := "auto"
		if n > 0 {
			name = fmt.Sprint(n>>10, " KiB")
		}
		fmt.Fprintf(&b, " %8s", name)
	}
	return b.String() + "\n"
}

// tableRow measures the cells of one loss and delay.
func tableRow(t *testing.T, loss float64, delay time.Duration) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%5.1f%% %7v", loss*100, delay)
	for _, buffer := range buffers {
		logs, n := 0.0, 0
		for seed := range uint64(seeds) {
			tr := transfer{wire: lab.Wire{Delay: delay, Loss: loss, Rate: rate, Seed: seed}, buffer: buffer, bytes: size}
			logs += math.Log(size / 1000 / tr.run(t).Seconds())
			n++
			if loss == 0 {
				break // nothing is random
			}
		}
		fmt.Fprintf(&b, " %8s", twoDigits(math.Exp(logs/float64(n))))
	}
	return b.String() + "\n"
}

// twoDigits rounds to two significant digits.
func twoDigits(x float64) string {
	x, _ = strconv.ParseFloat(strconv.FormatFloat(x, 'e', 1, 64), 64) // never fails
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// compareRows holds rows against those of the golden file; with the race detector
// there are not all of them.
func compareRows(t *testing.T, rows []string) {
	t.Helper()
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Collect(strings.Lines(strings.TrimPrefix(string(text), tableHead())))
	if len(want) != len(losses)*len(delays) {
		t.Fatalf("%s has %d rows, or another head than\n%s", goldenFile, len(want), tableHead())
	}
	for _, row := range rows {
		if !slices.Contains(want, row) {
			t.Errorf("not in %s: %s", goldenFile, row)
		}
	}
	if t.Failed() {
		t.Log("if the change is meant, run go test ./lab -update and look at the diff")
	}
}

// TestFaults: bytes arrive whole through every cell of the matrix also when the
// link duplicates, reorders and corrupts on top of the loss.
func TestFaults(t *testing.T) {
	for i, loss := range losses {
		for j, delay := range delays {
			if raceEnabled && (i+j)%3 != 0 {
				continue // see TestThroughputTable
			}
			t.Run(fmt.Sprintf("loss=%v/delay=%v", loss, delay), func(t *testing.T) {
				t.Parallel()
				for _, buffer := range buffers {
					tr := transfer{
						wire: lab.Wire{
							Delay: delay, Jitter: delay / 4, Rate: rate, Loss: loss,
							Duplicate: 0.02, Corrupt: 0.02, Reorder: 0.05, Seed: uint64(i*len(delays) + j),
						},
						buffer: buffer, bytes: size / 2,
					}
					tr.run(t)
				}
			})
		}
	}
}
