package expand_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

type benchUser struct {
	ID       int64  `db:"id" tandem:"default"`
	FullName string `db:"full_name"`
	Email    string `db:"email"`
}

// BenchmarkRepository compares each operation, in Switch, where it costs most (both columns and the stamp are written, and every read is compared), with the
// same call by sqlx on a table that has only the one column. Both run in turn, in blocks. Metrics: ratio of time (of the medians of the
// blocks), and allocations more.
func BenchmarkRepository(b *testing.B) {
	bed := newBed(b, `CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_name text NOT NULL, email text NOT NULL);
		CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, full_name text NOT NULL, email text NOT NULL)`, users)
	bed.set(switchover.Switch)
	r, err := expand.NewRepository[benchUser](bed.db, bed.member, users)
	require.NoError(b, err)
	ctx, db := context.Background(), bed.db
	const rows = 10_000
	bed.db.MustExec(`INSERT INTO users (user_name, email) SELECT 'user name ' || i, 'e' FROM generate_series(1, $1) i;`, rows)
	bed.db.MustExec(`INSERT INTO plain (full_name, email) SELECT 'user name ' || i, 'e' FROM generate_series(1, $1) i;`, rows)
	bed.db.MustExec(`ANALYZE users`)
	bed.db.MustExec(`ANALYZE plain`)
	id := func(i int) int64 { return int64(i)*7919%rows + 1 }
	for _, c := range []struct {
		name         string
		ours, theirs func(i int) error
	}{
		{"insert", func(int) error {
			return r.Insert(ctx, &benchUser{FullName: "somebody new", Email: "e"})
		}, func(int) error {
			u := benchUser{FullName: "somebody new", Email: "e"}
			return db.GetContext(ctx, &u.ID, `INSERT INTO plain (full_name, email) VALUES ($1, $2) RETURNING id`, u.FullName, u.Email)
		}},
		{"get", func(i int) error {
			_, err := r.Get(ctx, id(i))
			return err
		}, func(i int) error {
			var u benchUser
			return db.GetContext(ctx, &u, `SELECT id, full_name, email FROM plain WHERE id = $1`, id(i))
		}},
		{"select", func(i int) error {
			_, err := r.Select(ctx, `WHERE id > $1 ORDER BY id LIMIT 10`, id(i))
			return err
		}, func(i int) error {
			var list []benchUser
			return db.SelectContext(ctx, &list, `SELECT id, full_name, email FROM plain WHERE id > $1 ORDER BY id LIMIT 10`, id(i))
		}},
		{"update", func(i int) error {
			return r.Update(ctx, &benchUser{ID: id(i), FullName: "another name", Email: "f"})
		}, func(i int) error {
			u := benchUser{ID: id(i), FullName: "another name", Email: "f"}
			_, err := db.ExecContext(ctx, `UPDATE plain SET full_name = $1, email = $2 WHERE id = $3`, u.FullName, u.Email, u.ID)
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) { inTurn(b, c.ours, c.theirs) })
	}
}

// inTurn runs the two in blocks, ours and theirs by turns, b.N operations each.
func inTurn(b *testing.B, ours, theirs func(i int) error) {
	b.Helper()
	const block = 50
	var times, allocs [2][]float64
	for i := 0; i < b.N; i += block {
		for side, op := range []func(int) error{ours, theirs} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			for n := range block {
				if err := op(i + n); err != nil {
					b.Fatal(err)
				}
			}
			times[side] = append(times[side], float64(time.Since(began)))
			runtime.ReadMemStats(&after)
			allocs[side] = append(allocs[side], float64(after.Mallocs-before.Mallocs)/block)
		}
	}
	b.ReportMetric(median(times[0])/median(times[1]), "vs-sqlx")
	b.ReportMetric(median(allocs[0])-median(allocs[1]), "allocs-more")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
