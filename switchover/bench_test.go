package switchover_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// BenchmarkSwap shows how long statements take at most while the guard is exchanged, to Contract and back, beside a load of short transactions, and how long
// they take at most in as much time without a swap. In the case held a transaction keeps the table for longer than the lock timeout, so that the
// first two tries fail in the midst of the load. One iteration is a swap there and one back:
//
//	go test -run '^$' -bench Swap -benchtime 20x ./switchover
//
// Metrics: the longest statement of a writer and of a reader, the median of the iterations' longest, and the same without a swap (alone).
func BenchmarkSwap(b *testing.B) {
	for name, held := range map[string]bool{"free": false, "held": true} {
		b.Run(name, func(b *testing.B) {
			bed := newBed(b, switchover.Switch)
			bed.db.MustExec(`INSERT INTO users SELECT i, 'name', '', 'name', 67108864 FROM generate_series(2, 1000) i`)
			l := newTraffic(b, bed)
			var swaps, alone []*stalls
			for range b.N {
				began := time.Now()
				swaps = append(swaps, l.during(func() { bed.exchange(held, switchover.Advance, switchover.Contract) }))
				swaps = append(swaps, l.during(func() { bed.exchange(held, switchover.Revert, switchover.Switch) }))
				took := time.Since(began)
				alone = append(alone, l.during(func() { require.NoError(b, pg.Sleep(b.Context(), took)) }))
				bed.restore()
			}
			l.stop()
			report(b, "writer", swaps, alone, func(s *stalls) float64 { return s.write.ms() })
			report(b, "reader", swaps, alone, func(s *stalls) float64 { return s.read.ms() })
			b.ReportMetric(0, "ns/op") // the load runs besides
		})
	}
}

func report(b *testing.B, who string, swaps, alone []*stalls, of func(*stalls) float64) {
	b.Helper()
	for suffix, list := range map[string][]*stalls{"stall": swaps, "alone": alone} {
		var ms []float64
		for _, s := range list {
			ms = append(ms, of(s))
		}
		slices.Sort(ms)
		b.ReportMetric(ms[len(ms)-1], who+"-"+suffix+"-ms")
		b.ReportMetric(ms[len(ms)/2], who+"-"+suffix+"-median-ms")
	}
}

// exchange takes the step; held puts a transaction in its way, which ends when the third try has begun.
func (b bed) exchange(held bool, step func(context.Context, *sqlx.DB, string, switchover.Phase, switchover.Options) error, to switchover.Phase) {
	b.Helper()
	var done sync.WaitGroup
	if held {
		tx := b.db.MustBegin()
		tx.MustExec(`LOCK TABLE users IN ROW EXCLUSIVE MODE`)
		done.Go(func() {
			tries := map[string]bool{} // each is a transaction of its own
			b.soon(func() bool {
				var list []string
				require.NoError(b, b.db.Select(&list, `SELECT virtualtransaction FROM pg_locks
					WHERE NOT granted AND relation = 'users'::regclass AND mode = 'ShareRowExclusiveLock'`))
				for _, id := range list {
					tries[id] = true
				}
				return len(tries) == 3
			}, "the swap tries three times")
			require.NoError(b, tx.Commit())
		})
	}
	require.NoError(b, step(b.Context(), b.db, name, to, open))
	done.Wait()
}

// restore does what contract.Apply with Restore does to the guard.
func (b bed) restore() {
	b.Helper()
	require.NoError(b, pg.InTx(b.Context(), b.db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := state.Lock(ctx, tx, name)
		if err != nil {
			return err
		}
		t, err := catalog.Read(ctx, tx, m.Definition.Table)
		if err != nil {
			return err
		}
		for _, sql := range guard.Install(t.Spec(m.Definition), guard.Repair) {
			tx.MustExecContext(ctx, sql)
		}
		return m.Move(ctx, tx, switchover.Switch, guard.Repair)
	}))
}

// stalls are the longest statements that began in a stretch of time.
type stalls struct{ write, read longest }

// longest is a duration that only grows.
type longest struct{ atomic.Int64 }

func (l *longest) add(d time.Duration) {
	for old := l.Load(); int64(d) > old && !l.CompareAndSwap(old, int64(d)); old = l.Load() {
	}
}

func (l *longest) ms() float64 { return float64(l.Load()) / float64(time.Millisecond) }

// traffic is what an application does to the table, on connections of its own: writers that stamp, in transactions and without, and readers.
type traffic struct {
	*testing.B
	db      *sqlx.DB
	now     atomic.Pointer[stalls]
	over    atomic.Bool
	running sync.WaitGroup
}

const (
	writers = 4
	readers = 2
)

func newTraffic(b *testing.B, bed bed) *traffic {
	b.Helper()
	db, err := sqlx.ConnectContext(b.Context(), "postgres", bed.dsn)
	require.NoError(b, err)
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxIdleConns(writers + readers) // or each statement would connect anew
	l := &traffic{B: b, db: db}
	b.Cleanup(l.stop)
	var warm sync.WaitGroup
	start := func(work func(i int)) {
		warm.Add(1)
		l.running.Go(func() {
			work(0)
			warm.Done()
			for i := 1; !l.over.Load(); i++ {
				work(i)
			}
		})
	}
	l.now.Store(&stalls{})
	for w := range writers {
		start(func(i int) { l.write(w, i) })
	}
	for range readers {
		start(l.read)
	}
	warm.Wait()
	return l
}

func (l *traffic) stop() {
	l.over.Store(true)
	l.running.Wait()
}

// during is complete after stop: a statement may outlast its stretch.
func (l *traffic) during(fn func()) *stalls {
	s := &stalls{}
	l.now.Store(s)
	fn()
	l.now.Store(&stalls{})
	return s
}

// write touches rows of its own, so that writers never wait for each other. Its stamp is of Switch, which every guard admits here.
func (l *traffic) write(writer, i int) {
	id := writer + 1 + writers*(i%(1000/writers))
	pair := func(q sqlx.Execer) {
		l.timed(q, `UPDATE users SET user_name = $1, full_name = $1, full_name_stamp = $2 WHERE id = $3`, "name", switchover.Switch.Stamp(), id)
	}
	if i%2 == 0 {
		pair(l.db)
		return
	}
	tx := l.db.MustBegin()
	pair(tx)
	l.timed(tx, `UPDATE users SET email = $1 WHERE id = $2`, "mail", id)
	if err := tx.Commit(); err != nil {
		l.Error(err)
	}
}

func (l *traffic) timed(q sqlx.Execer, sql string, args ...any) {
	s, began := l.now.Load(), time.Now()
	if _, err := q.Exec(sql, args...); err != nil {
		l.Error(err)
	}
	s.write.add(time.Since(began))
}

func (l *traffic) read(i int) {
	s, began := l.now.Load(), time.Now()
	var full string
	if err := l.db.Get(&full, `SELECT full_name FROM users WHERE id = $1`, i%1000+1); err != nil {
		l.Error(err)
	}
	s.read.add(time.Since(began))
}
