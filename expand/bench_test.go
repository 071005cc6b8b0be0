package expand_test

import (
	"context"
	"math"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// BenchmarkRepository compares each operation, in Switch, where it costs most (both columns and the stamp are written, and every read is compared), with the
// same call by sqlx on a table that has only the one column. Both run in turn, in blocks. Metrics: ratio of time (of the medians of the
// blocks), and allocations more. The pairs are a rename, and a change of type by Go and SQL; fragments are the same in SQL written by hand.
func BenchmarkRepository(b *testing.B) {
	benchPair(b, "rename", users, "text", `'user name ' || i`, func(i int) string { return "name " + strconv.Itoa(i) })
	benchPair(b, "retype", expand.Convert(expand.Spec[float64, int64]{Table: "users", Old: "user_name", New: "full_name", Type: "bigint",
		Forward:  func(v float64) (int64, error) { return int64(math.Round(v * 100)), nil },
		Backward: func(v int64) (float64, error) { return float64(v) / 100, nil }, ForwardSQL: `round({user_name} * 100)`, BackwardSQL: `{full_name} / 100.0`}),
		"double precision", "i", func(i int) int64 { return int64(i) })
}

type benchUser[N any] struct {
	ID       int64  `db:"id" tandem:"default"`
	FullName N      `db:"full_name"`
	Email    string `db:"email"`
}

type benchRow[O, N any] struct {
	ID       int64              `db:"id"`
	FullName expand.Value[O, N] `db:"full_name"`
	Email    string             `db:"email"`
}

const benchRows = 10_000

func benchPair[O, N any](b *testing.B, word string, p *expand.Pair[O, N], oldType, old string, of func(i int) N) {
	b.Helper()
	newType := map[string]string{"text": "text", "double precision": "bigint"}[oldType]
	bed := newBed(b, `CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_name `+oldType+` NOT NULL, email text NOT NULL);
		CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, full_name `+newType+` NOT NULL, email text NOT NULL)`, p)
	bed.set(switchover.Switch)
	r, err := expand.NewRepository[benchUser[N]](bed.db, bed.member, p)
	require.NoError(b, err)
	ctx, db := context.Background(), bed.db
	bed.db.MustExec(`INSERT INTO users (user_name, email) SELECT `+old+`, 'e' FROM generate_series(1, $1) i`, benchRows)
	bed.db.MustExec(`INSERT INTO plain (full_name, email) SELECT `+old+`, 'e' FROM generate_series(1, $1) i`, benchRows)
	bed.db.MustExec(`ANALYZE users`)
	bed.db.MustExec(`ANALYZE plain`)
	id := func(i int) int64 { return int64(i)*7919%benchRows + 1 }
	byHand := func(do func(f *expand.Pinned[O, N]) error) error { return p.Do(ctx, bed.member, do) }
	row := func(f *expand.Pinned[O, N], i int) (benchRow[O, N], error) {
		v, err := f.Value(of(i))
		return benchRow[O, N]{ID: id(i), FullName: v, Email: "f"}, err
	}
	insert := func(i int) error {
		u := benchUser[N]{FullName: of(i), Email: "e"}
		return db.GetContext(ctx, &u.ID, `INSERT INTO plain (full_name, email) VALUES ($1, $2) RETURNING id`, u.FullName, u.Email)
	}
	get := func(i int) error {
		var u benchUser[N]
		return db.GetContext(ctx, &u, `SELECT id, full_name, email FROM plain WHERE id = $1`, id(i))
	}
	named := func(i int) error {
		_, err := db.NamedExecContext(ctx, `UPDATE plain SET full_name = :full_name, email = :email WHERE id = :id`, benchUser[N]{ID: id(i), FullName: of(i), Email: "f"})
		return err
	}
	for _, c := range []struct {
		name         string
		ours, theirs func(i int) error
	}{
		{"insert", func(i int) error { return r.Insert(ctx, &benchUser[N]{FullName: of(i), Email: "e"}) }, insert},
		{"get", func(i int) error { _, err := r.Get(ctx, id(i)); return err }, get},
		{"select", func(i int) error {
			_, err := r.Select(ctx, `WHERE id > $1 ORDER BY id LIMIT 10`, id(i))
			return err
		}, func(i int) error {
			var list []benchUser[N]
			return db.SelectContext(ctx, &list, `SELECT id, full_name, email FROM plain WHERE id > $1 ORDER BY id LIMIT 10`, id(i))
		}},
		{"update", func(i int) error { return r.Update(ctx, &benchUser[N]{ID: id(i), FullName: of(i), Email: "f"}) }, func(i int) error {
			_, err := db.ExecContext(ctx, `UPDATE plain SET full_name = $1, email = $2 WHERE id = $3`, of(i), "f", id(i))
			return err
		}},
		{"fragments/insert", func(i int) error {
			return byHand(func(f *expand.Pinned[O, N]) error {
				u, err := row(f, i)
				if err != nil {
					return err
				}
				query, args, err := db.BindNamed(`INSERT INTO users (`+f.Columns()+`, email) VALUES (`+f.Params()+`, :email) RETURNING id`, u)
				if err != nil {
					return err
				}
				return db.GetContext(ctx, &u.ID, query, args...)
			})
		}, func(i int) error {
			u := benchUser[N]{FullName: of(i), Email: "e"}
			query, args, err := db.BindNamed(`INSERT INTO plain (full_name, email) VALUES (:full_name, :email) RETURNING id`, u)
			if err != nil {
				return err
			}
			return db.GetContext(ctx, &u.ID, query, args...)
		}},
		{"fragments/get", func(i int) error {
			return byHand(func(f *expand.Pinned[O, N]) error {
				var u benchRow[O, N]
				if err := db.GetContext(ctx, &u, `SELECT id, `+f.Select("")+`, email FROM users WHERE id = $1`, id(i)); err != nil {
					return err
				}
				_, err := f.Read(u.FullName, u.ID)
				return err
			})
		}, get},
		{"fragments/update", func(i int) error {
			return byHand(func(f *expand.Pinned[O, N]) error {
				u, err := row(f, i)
				if err != nil {
					return err
				}
				_, err = db.NamedExecContext(ctx, `UPDATE users SET `+f.Set()+`, email = :email WHERE id = :id`, u)
				return err
			})
		}, named},
	} {
		b.Run(word+"/"+c.name, func(b *testing.B) { inTurn(b, c.ours, c.theirs) })
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
