package backfill_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// disturb runs a backfill, and does something to the table after the third statement.
func (b *bed) disturb(do string, o backfill.Options) error {
	b.Helper()
	n := 0
	o.Batch, o.Target = 1000, 10e9
	o.Progress = func(backfill.Progress) {
		if n++; n == 3 {
			b.exec(do)
		}
	}
	_, err := backfill.Run(b.ctx, b.db, b.pair, o)
	return err
}

// A table that is rewritten in the midst of it has its rows in other places: a later round finds what the first has not.
func TestRewrittenTable(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, do := range []string{`VACUUM FULL users`, `CLUSTER users USING users_pkey`, `DELETE FROM users WHERE id > 2000; VACUUM users`} {
				b := newBed(t, usersSQL(20_000), p)
				b.exec(writtenOnceSQL)
				if do[0] == 'D' {
					require.NoError(t, b.disturb(`DELETE FROM users WHERE id > 2000`, backfill.Options{}))
					b.exec(`VACUUM users`)
				} else {
					require.NoError(t, b.disturb(do, backfill.Options{}))
				}
				require.Zero(t, b.number(unstamped))
				b.verified(b.number(`SELECT count(*) FROM users`))
			}
		})
	}
}

// A table that goes, or gets another name, ends the run with an error that names it, and a rerun finishes once it is back.
func TestVanishedTable(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(20_000), p)
			err := b.disturb(`ALTER TABLE users RENAME TO people`, backfill.Options{})
			require.ErrorContains(t, err, `relation "public.users" does not exist`)
			require.ErrorContains(t, err, "from block ")
			done := b.number(`SELECT count(full_name_stamp) FROM people`)
			require.Positive(t, done)
			require.Less(t, done, 20_000)
			require.Equal(t, done, b.number(`SELECT sum(rows) FROM tandem.range`))
			b.exec(`ALTER TABLE people RENAME TO users`)
			require.EqualValues(t, 20_000-done, b.run().Rows)
			b.verified(20_000)

			require.ErrorContains(t, newBed(t, usersSQL(20_000), p).disturb(`DROP TABLE users`, backfill.Options{}), `relation "public.users" does not exist`)
			emptied := newBed(t, usersSQL(20_000), p)
			require.NoError(t, emptied.disturb(`DELETE FROM users`, backfill.Options{}))
			require.Zero(t, emptied.number(`SELECT count(*) FROM users`))
		})
	}
}

// More workers than the role may have connections wait for one another.
func TestTooFewConnections(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(40_000), fullName)
	role := "few_" + b.texts(`SELECT right(current_database(), 10)`)[0]
	b.exec(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'few' CONNECTION LIMIT 2; GRANT USAGE ON SCHEMA tandem TO ` + role + `; GRANT ALL ON ALL TABLES IN SCHEMA tandem TO ` + role + `; GRANT ALL ON ALL SEQUENCES IN SCHEMA tandem TO ` + role + `;
		GRANT ALL ON users TO ` + role)
	t.Cleanup(func() {
		_, err := b.db.Exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role)
		assert.NoError(t, err)
	})
	few := pgtest.Open(t, b.dsn+" password=few user="+role)
	few.SetMaxIdleConns(0)
	res, err := backfill.Run(b.ctx, few, b.pair, backfill.Options{Workers: 4})
	require.NoError(t, err)
	require.EqualValues(t, 40_000, res.Rows)
	b.verified(40_000)
}
