package guard_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/server"
	"github.com/tandem-go/tandem/internal/state"
)

// tables of BenchmarkGuard, the guarded one first.
var tables = []string{"users", "plain"}

const benchRows = 10_000

// benchSQL is a table whose rows all have a stamp of Switch. Autovacuum would hit one of the two tables and not the other.
const benchSQL = `
	CREATE TABLE @table (id bigint PRIMARY KEY, user_name text NOT NULL, email text, full_name text, full_name_stamp int)
		WITH (fillfactor = 50, autovacuum_enabled = off);
	INSERT INTO @table SELECT i, 'user name ' || i, '', 'user name ' || i, 67108864 FROM generate_series(1, @rows) i;
	VACUUM ANALYZE @table`

// timerSQL runs statements and times them inside the server, without client and network: microseconds a statement. PL/pgSQL prepares what it runs.
const timerSQL = `
	CREATE OR REPLACE PROCEDURE timer_@table(first bigint, statements int, INOUT microseconds float8) LANGUAGE plpgsql AS $$
	DECLARE
		name text := 'another name ' || clock_timestamp();
		stamp int := 67108864 + (random() * 16777215)::int;
		began timestamptz := clock_timestamp();
	BEGIN
		FOR i IN first .. first + statements - 1 LOOP
			@write;
		END LOOP;
		microseconds := extract(epoch FROM clock_timestamp() - began) * 1000000 / statements;
	END $$`

// BenchmarkGuard compares what a good UPDATE costs with the guard and without it, by the server's time, on two equal tables by turns. Metrics: the ratio, the
// microseconds of a statement more, and those of one without the guard (medians), and the bytes of WAL more. One iteration is a few statements on each table:
//
//	go test -run '^$' -bench Guard -benchtime 2000x ./internal/guard
//
// The mode none compares two tables without a guard, and so shows the noise. A server that is started here has its data in memory; for what commit costs on a disk
// name a server with TANDEM_DSN.
func BenchmarkGuard(b *testing.B) {
	db := durable(b)
	for _, c := range []struct {
		name, write string
		statements  int
		rare        int // a round costs so many iterations
	}{
		{"pair", `UPDATE @table SET user_name = name, full_name = name, full_name_stamp = stamp WHERE id = i`, 20, 1},
		{"other", `UPDATE @table SET email = name WHERE id = i`, 20, 1},
		{"rows", `UPDATE @table SET user_name = name, full_name = name, full_name_stamp = stamp`, 1, 50},
		{"commit", `UPDATE @table SET user_name = name, full_name = name, full_name_stamp = stamp WHERE id = i; COMMIT`, 5, 1},
	} {
		for _, mode := range []guard.Mode{guard.None, guard.Repair, guard.Reject} {
			b.Run(c.name+"/"+string(mode), func(b *testing.B) {
				guarded(b, db, mode)
				once := strings.NewReplacer("= name", "= 'x'", "= stamp", "= full_name_stamp + 1", "= i", "= 1", "; COMMIT", "").Replace(c.write)
				b.ReportMetric(float64(walBytes(b, db, once, "users")-walBytes(b, db, once, "plain")), "wal-bytes-more")
				for _, table := range tables {
					db.MustExec(strings.NewReplacer("@write", strings.ReplaceAll(c.write, "@table", table), "@table", table).Replace(timerSQL))
				}
				byTurns(b, db, c.statements, 1+b.N/c.rare)
			})
		}
	}
}

// durable is a database on a server of its own that flushes at each commit, as the one that the tests share does not.
func durable(b *testing.B) *sqlx.DB {
	b.Helper()
	srv, err := server.Start(b.Context(), server.Options{Settings: map[string]string{"fsync": "on"}})
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { require.NoError(b, srv.Close()) })
	admin, err := sqlx.ConnectContext(b.Context(), "postgres", srv.DSN(""))
	require.NoError(b, err)
	defer func() { _ = admin.Close() }()
	const name = "tandem_bench_guard"
	admin.MustExec(`DROP DATABASE IF EXISTS ` + name)
	admin.MustExec(`CREATE DATABASE ` + name)
	db, err := sqlx.ConnectContext(b.Context(), "postgres", srv.DSN(name))
	require.NoError(b, err)
	db.SetMaxOpenConns(1) // one session, which prepares each statement once
	b.Cleanup(func() { _ = db.Close() })
	require.NoError(b, state.Install(b.Context(), db))
	return db
}

// guarded makes both tables anew, with the guard on users.
func guarded(b *testing.B, db *sqlx.DB, mode guard.Mode) {
	b.Helper()
	for _, table := range tables {
		db.MustExec(`DROP TABLE IF EXISTS ` + table)
		for _, sql := range strings.Split(strings.NewReplacer("@table", table, "@rows", strconv.Itoa(benchRows)).Replace(benchSQL), ";") {
			db.MustExec(sql)
		}
	}
	if mode != guard.None {
		bed{db: db, def: rename()}.install(b, mode)
	}
}

// byTurns runs the timers of both tables, each first in every other round. The first rounds only warm up.
func byTurns(b *testing.B, db *sqlx.DB, statements, rounds int) {
	b.Helper()
	const warm = 6
	var plain, more, ratio []float64
	for i := range warm + rounds {
		var took [2]float64
		for turn := range tables {
			side := (i + turn) % len(tables)
			first := i * statements % benchRows
			require.NoError(b, db.GetContext(b.Context(), &took[side], `CALL timer_`+tables[side]+`($1, $2, NULL)`, first, statements))
		}
		if i < warm {
			continue
		}
		plain = append(plain, took[1])
		more = append(more, took[0]-took[1])
		ratio = append(ratio, took[0]/took[1])
	}
	b.ReportMetric(median(ratio), "vs-unguarded")
	b.ReportMetric(median(more), "us-more")
	b.ReportMetric(median(plain), "us-unguarded")
	b.ReportMetric(0, "ns/op") // of client and both tables
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
