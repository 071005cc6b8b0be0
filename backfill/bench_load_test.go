package backfill_test

import (
	"context"
	"flag"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/backfill/throttle"
)

var (
	loadTime = flag.Duration("load", 10*time.Second, "how long BenchmarkForeground measures each load")
	loadRate = flag.Float64("rate", 20_000, "rows a second of the backfill in BenchmarkForeground")
)

// BenchmarkEven compares the rows a second of the first and the last tenth of a table. Metric: last/first.
func BenchmarkEven(b *testing.B) {
	bench := newBench(b, benchCase{})
	var sum float64
	for range b.N {
		db := bench.table(*benchRows)
		var began, first, ninth, last time.Time // last: before the look at whether rows are left, which reads the table
		_, err := backfill.Run(b.Context(), db, benchPair(false), backfill.Options{Progress: func(p backfill.Progress) {
			now := time.Now()
			if began.IsZero() {
				began = now
			}
			switch f := p.Fraction(); {
			case p.Done:
				return
			case f >= 0.1 && first.IsZero():
				first = now
			case f >= 0.9 && ninth.IsZero():
				ninth = now
			}
			last = now
		}})
		require.NoError(b, err)
		sum += float64(first.Sub(began)) / float64(last.Sub(ninth))
		require.NoError(b, db.Close())
	}
	b.ReportMetric(sum/float64(b.N), "last/first")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMemory measures the resident memory of the process while it copies few rows and while it copies many: 100,000 and all, or 50 and 500 of 1 MB. Metric: the difference of the largest, in MiB.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []benchCase{{name: "sql"}, {name: "go", goOnly: true}, {name: "go-1-MB-rows", goOnly: true, wide: 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			fewRows, manyRows := 100_000, *benchRows
			if c.wide > 0 {
				fewRows, manyRows = 50, 500
			}
			bench := newBench(b, c)
			most := func(rows int) (most float64) {
				db := bench.table(rows)
				_, err := backfill.Run(b.Context(), db, benchPair(c.goOnly), backfill.Options{Progress: func(backfill.Progress) { most = max(most, resident(b)) }})
				require.NoError(b, err)
				require.NoError(b, db.Close())
				return most
			}
			few := most(fewRows)
			b.ReportMetric(most(manyRows)-few, "MiB-more")
			b.ReportMetric(few, "MiB-of-few")
			b.ReportMetric(0, "ns/op")
		})
	}
}

var residentLine = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

func resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	kB, err := strconv.ParseFloat(string(residentLine.FindSubmatch(status)[1]), 64)
	require.NoError(b, err)
	return kB / 1024
}

// BenchmarkForeground compares the 99th percentile of the application's statements beside a throttled backfill with that alone, in turn. Metric: their ratio.
func BenchmarkForeground(b *testing.B) {
	bench := newBench(b, benchCase{})
	var sum float64
	for range b.N {
		db := bench.table(*benchRows)
		alone := foreground(b, db)
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		begun := make(chan struct{})
		var once sync.Once
		go func() {
			defer close(done)
			_, err := backfill.Run(ctx, db, benchPair(false), backfill.Options{Rate: *loadRate, Target: 10 * time.Millisecond, Throttles: throttle.Default("users"),
				Progress: func(backfill.Progress) { once.Do(func() { close(begun) }) }})
			if ctx.Err() == nil {
				assert.NoError(b, err)
			}
		}()
		<-begun
		beside := foreground(b, db)
		cancel()
		<-done
		sum += beside / alone
		require.NoError(b, db.Close())
	}
	b.ReportMetric(sum/float64(b.N), "p99-beside/alone")
	b.ReportMetric(0, "ns/op")
}

// foreground is the 99th percentile of reads and writes by key, by two clients that think for a moment.
func foreground(b *testing.B, db *sqlx.DB) float64 {
	b.Helper()
	var mu sync.Mutex
	var took []float64
	var clients sync.WaitGroup
	until := time.Now().Add(*loadTime)
	for client := range 2 {
		clients.Go(func() {
			for i := client; time.Now().Before(until); i += 7919 {
				id := 1 + i%*benchRows
				began := time.Now()
				_, err := db.Exec(`UPDATE users SET score = score + 1 WHERE id = $1`, id)
				assert.NoError(b, err)
				var name string
				assert.NoError(b, db.Get(&name, `SELECT user_name FROM users WHERE id = $1`, id))
				mu.Lock()
				took = append(took, time.Since(began).Seconds())
				mu.Unlock()
				time.Sleep(2 * time.Millisecond) // thinks
			}
		})
	}
	clients.Wait()
	slices.Sort(took)
	return took[len(took)*99/100]
}
