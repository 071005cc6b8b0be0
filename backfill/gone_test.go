package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

const monthsSQL = `CREATE TABLE users (id bigint, month int, user_name text, PRIMARY KEY (month, id)) PARTITION BY LIST (month);
	CREATE TABLE users_1 PARTITION OF users FOR VALUES IN (1); CREATE TABLE users_2 PARTITION OF users FOR VALUES IN (2);
	CREATE TABLE users_3 (gone int, user_name text, month int NOT NULL, id bigint NOT NULL); ALTER TABLE users_3 DROP gone; ALTER TABLE users ATTACH PARTITION users_3 FOR VALUES IN (3);
	INSERT INTO users SELECT i, i % 3 + 1, 'name ' || i FROM generate_series(1, 30000) i`

func months() expand.Any {
	return expand.Rename[string]("users", "user_name", "full_name", "month", "id")
}

// during runs the pair and does something after its first statement.
func (b *bed) during(o backfill.Options, do func()) (backfill.Result, error) {
	done := false
	o.Progress = func(backfill.Progress) {
		if !done {
			done = true
			do()
		}
	}
	if o.Batch == 0 {
		o.Batch = 1000
	}
	return backfill.Run(b.ctx, b.db, b.pair, o)
}

// A partition that is detached or dropped while the pass runs is left alone, and one that is attached is done by another round.
func TestPartitionsComeAndGo(t *testing.T) {
	t.Parallel()
	const attach = `CREATE TABLE later (LIKE users); ALTER TABLE later ADD PRIMARY KEY (month, id); INSERT INTO later (id, month, user_name) SELECT i, 4, 'later ' || i FROM generate_series(1, 500) i;
		ALTER TABLE users ATTACH PARTITION later FOR VALUES IN (4)`
	for name, c := range map[string]struct {
		do         string
		rows, left int
	}{
		"detached": {`ALTER TABLE users DETACH PARTITION users_3`, 20_000, 10_000},
		"dropped":  {`DROP TABLE users_3`, 20_000, -1},
		"attached": {attach, 30_500, 0},
		"replaced": {`ALTER TABLE users DETACH PARTITION users_3; ALTER TABLE users_3 RENAME TO archived;` + strings.ReplaceAll(attach, "4", "3"), 20_500, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, monthsSQL, months())
			res, err := b.during(backfill.Options{}, func() { b.exec(c.do) })
			require.NoError(t, err)
			require.True(t, res.Done)
			require.EqualValues(t, c.rows, res.Rows)
			require.Zero(t, b.number(unstamped))
			b.verified(c.rows)
			if name == "detached" {
				require.Equal(t, c.left, b.number(`SELECT count(*) FROM users_3 WHERE full_name_stamp IS NULL`))
			}
		})
	}
	t.Run("detached under way", func(t *testing.T) { // in the midst of the partition that is gone over
		t.Parallel()
		b := newBed(t, monthsSQL, months())
		res, err := b.during(backfill.Options{}, func() { b.exec(`ALTER TABLE users DETACH PARTITION users_1`) })
		require.NoError(t, err)
		require.Greater(t, b.number(`SELECT count(*) FROM users_1 WHERE full_name_stamp IS NULL`), 5000)
		require.Equal(t, 20_000, int(res.Rows)-b.number(`SELECT count(full_name_stamp) FROM users_1`))
		require.Zero(t, b.number(unstamped))
	})
}

// Rows of a partition that the role may not write by itself are written through the parent, by keys; without a key there is no such way.
func TestPartitionThatTheRoleMayNotWrite(t *testing.T) {
	t.Parallel()
	b := newBed(t, monthsSQL, months())
	role := "backfiller_" + strings.ToLower(b.texts(`SELECT current_database()`)[0])
	b.exec(`CREATE ROLE "` + role + `"; GRANT USAGE ON SCHEMA tandem TO "` + role + `"; GRANT ALL ON ALL TABLES IN SCHEMA tandem TO "` + role + `"; GRANT ALL ON ALL SEQUENCES IN SCHEMA tandem TO "` + role +
		`"; GRANT SELECT, UPDATE ON users, users_1, users_2 TO "` + role + `"`)
	t.Cleanup(func() { _, _ = b.db.Exec(`DROP OWNED BY "` + role + `"; DROP ROLE "` + role + `"`) })
	b.db.SetMaxOpenConns(1)
	b.exec(`SET ROLE "` + role + `"`)
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 5000, Progress: func(p backfill.Progress) {
		if !p.Done {
			require.Equal(t, "in the order of the key", p.Plain)
		}
	}})
	require.NoError(t, err)
	require.EqualValues(t, 30_000, res.Rows)
}

// A foreign table among the partitions is refused: PostgreSQL lets it be one only where there is no key, and has no triggers of the guard on its rows.
func TestForeignPartition(t *testing.T) {
	t.Parallel()
	b := newBed(t, monthsSQL, months())
	b.exec(`CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
		CREATE TABLE parent (id bigint, month int, user_name text) PARTITION BY LIST (month); CREATE TABLE here PARTITION OF parent DEFAULT;
		CREATE FOREIGN TABLE far PARTITION OF parent FOR VALUES IN (1) SERVER nowhere`)
	_, err := expand.Plan(b.ctx, b.db, expand.Rename[string]("parent", "user_name", "full_name", expand.NoKey))
	require.ErrorIs(t, err, expand.ErrRefused)
	require.ErrorContains(t, err, "its partition public.far is a foreign table")
	b.exec(`CREATE FOREIGN TABLE keyed_far (id bigint, month int, user_name text, full_name text, full_name_stamp int) SERVER nowhere`)
	_, err = b.db.Exec(`ALTER TABLE users ATTACH PARTITION keyed_far FOR VALUES IN (9)`)
	require.Error(t, err, "so a table with a key has none")
}

// A table that goes while the pass runs ends it with what has become of the table. The position is kept, and when it is back the next run finishes.
func TestTableGoes(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		for kind, o := range map[string]backfill.Options{"blocks": {Workers: 2}, "keys": {Stripes: 1}} {
			t.Run(name+" renamed "+kind, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, usersSQL(20_000), p)
				_, err := b.during(o, func() { b.exec(`ALTER TABLE users RENAME TO "People"`) })
				require.ErrorIs(t, err, expand.ErrNoTable)
				require.ErrorContains(t, err, `was renamed to public."People" while this ran: the position is kept`)
				b.exec(`ALTER TABLE "People" RENAME TO users`)
				done := b.number(stamped)
				require.Positive(t, done)
				res, err := backfill.Run(b.ctx, b.db, p, o)
				require.NoError(t, err)
				require.True(t, res.Resumed && res.Done)
				require.EqualValues(t, 20_000-done, res.Rows)
				b.verified(20_000)
			})
			t.Run(name+" dropped "+kind, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, usersSQL(20_000), p)
				_, err := b.during(o, func() { b.exec(`DROP TABLE users`) })
				require.ErrorIs(t, err, expand.ErrNoTable)
				require.ErrorContains(t, err, `table users was dropped while this ran`)
				require.Equal(t, 1, b.number(`SELECT count(*) FROM tandem.backfill WHERE under_way AND finished_at IS NULL`))
			})
		}
	}
	t.Run("partitioned", func(t *testing.T) {
		t.Parallel()
		b := newBed(t, monthsSQL, months())
		_, err := b.during(backfill.Options{}, func() { b.exec(`ALTER TABLE users RENAME TO people`) })
		require.ErrorContains(t, err, "was renamed to public.people")
		require.Zero(t, b.number(`SELECT count(*) FROM tandem.range WHERE done`))
		b.exec(`ALTER TABLE people RENAME TO users`)
		res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
		require.NoError(t, err)
		require.True(t, res.Resumed && res.Done)
		b.verified(30_000)
	})
}
