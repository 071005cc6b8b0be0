package contract_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// BenchmarkApply shows how long a statement takes at most while the schema is changed, from expand.Apply to the drop, beside a load of short transactions that read and write rows of the table by their key. In the case held one transaction
// after the other keeps the table for longer than the lock timeout of 200 ms, so that tries fail. One iteration is a whole migration of 100,000 rows:
//
//	go test -run '^$' -bench Apply -benchtime 3x ./contract
//
// Metrics: the longest statement of the load during each call, of all iterations, and the longest in as much time without any (alone).
func BenchmarkApply(b *testing.B) {
	for name, held := range map[string]bool{"free": false, "held": true} {
		b.Run(name, func(b *testing.B) {
			most := map[string]time.Duration{}
			for range b.N {
				m := newMeasured(b, held)
				m.migrate()
				for call, d := range m.stop() {
					most[call] = max(most[call], d)
				}
			}
			var all time.Duration
			for call, d := range most {
				b.ReportMetric(float64(d)/float64(time.Millisecond), call+"-ms")
				if call != "alone" {
					all = max(all, d)
				}
			}
			b.ReportMetric(float64(all)/float64(time.Millisecond), "longest-ms")
			b.ReportMetric(0, "ns/op") // the load runs besides
		})
	}
}

// measured is a migration beside a load.
type measured struct {
	*testing.B
	db, load *sqlx.DB
	call     atomic.Pointer[string]
	over     atomic.Bool
	running  sync.WaitGroup

	mu   sync.Mutex
	most map[string]time.Duration // of the load's statements that began during a call
}

const loaders = 4

func newMeasured(b *testing.B, held bool) *measured {
	b.Helper()
	dsn := pgtest.DSN(b)
	m := &measured{B: b, db: pgtest.Open(b, dsn), load: pgtest.Open(b, dsn), most: map[string]time.Duration{}}
	m.load.SetMaxIdleConns(loaders + 1) // or each statement would connect anew
	m.db.MustExec(usersSQL + `; INSERT INTO users (user_name, email) SELECT 'user ' || i, i || '@example.org' FROM generate_series(1001, 100000) i; ALTER TABLE users ADD visits int NOT NULL DEFAULT 0; ANALYZE users`)
	m.during("alone")
	for n := range loaders {
		m.running.Go(func() {
			for i := n; !m.over.Load(); i += loaders {
				m.time(`SELECT visits FROM users WHERE id = $1`, i%1000+1)
				m.time(`UPDATE users SET visits = visits + 1 WHERE id = $1`, i%1000+1)
			}
		})
	}
	if held {
		m.running.Go(m.hold)
	}
	return m
}

func (m *measured) during(call string) { m.call.Store(&call) }

func (m *measured) time(query string, id int) {
	call, began := *m.call.Load(), time.Now()
	_, err := m.load.Exec(query, id)
	took := time.Since(began)
	if err != nil {
		m.Error(err)
		m.over.Store(true)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most[call] = max(m.most[call], took)
}

// hold keeps the table in a transaction for 300 ms, and lets it go for as long.
func (m *measured) hold() {
	for ctx := context.Background(); !m.over.Load(); {
		tx, err := m.load.Beginx()
		if err == nil {
			_, err = tx.Exec(`LOCK TABLE users IN ROW EXCLUSIVE MODE`)
		}
		if err != nil {
			m.Error(err)
			return
		}
		_ = pg.Sleep(ctx, 300*time.Millisecond)
		_ = tx.Rollback()
		_ = pg.Sleep(ctx, 300*time.Millisecond)
	}
}

func (m *measured) stop() map[string]time.Duration {
	m.over.Store(true)
	m.running.Wait()
	return m.most
}

func (m *measured) migrate() {
	m.Helper()
	ctx, p := m.Context(), fullName
	began := time.Now()
	apply := func(call string, do func() error) {
		m.during(call)
		require.NoError(m, do(), call)
		m.during("between")
	}
	advance := func(to switchover.Phase) {
		require.NoError(m, switchover.Advance(ctx, m.db, p.Name(), to, quick))
	}
	stage := func(s contract.Stage) func() error {
		return func() error { return contract.Apply(ctx, m.db, p, s, contract.Options{Gates: quick}) }
	}
	apply("expand", func() error { return expand.Apply(ctx, m.db, p, expand.Options{}) })
	advance(switchover.Expand)
	advance(switchover.Migrate)
	_, err := backfill.Run(ctx, m.db, p, backfill.Options{})
	require.NoError(m, err)
	apply("twins", func() error { return expand.ApplyTwins(ctx, m.db, p, expand.Options{}) })
	_, err = backfill.Verify(ctx, m.db, p, backfill.VerifyOptions{})
	require.NoError(m, err)
	advance(switchover.Switch)
	apply("relax", stage(contract.Relax))
	apply("swap", func() error { return switchover.Advance(ctx, m.db, p.Name(), switchover.Contract, quick) })
	apply("finish", stage(contract.Finish))
	apply("drop", stage(contract.Drop))
	m.during("alone")
	require.NoError(m, pg.Sleep(ctx, time.Since(began)))
}
