package guard_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
)

// act is what a transaction does to one user and its profile; $1 is the key, $2 the act's name. Statements are separated by ;.
type act struct {
	name   string
	effect effect // on what a reader finds, if it has changed a row
	sql    string
}

type effect int

const (
	none     effect = iota
	writes          // the act's name
	clears          // NULL
	mayClear        // NULL, or it stays
)

// as package backfill does it
const copySQL = `INSERT INTO profiles AS p (user_id, bio, bio_stamp) SELECT id, bio, 67108865 FROM (SELECT id, bio FROM users WHERE id = $1 AND $2 <> '' FOR SHARE) x
	ON CONFLICT (user_id) DO UPDATE SET bio = EXCLUDED.bio, bio_stamp = EXCLUDED.bio_stamp WHERE p.bio_stamp IS NULL`

// whoever does not know the column
var bystanders = []act{
	{"avatar", none, `UPDATE profiles SET avatar = $2 WHERE user_id = $1`},
	{"profile", none, `INSERT INTO profiles (user_id, avatar) VALUES ($1, $2)`},
	{"gone", none, `DELETE FROM users WHERE id = $1 AND $2 <> ''`},
	{"copy", none, copySQL},
}

// Each two transactions meet on one key: the second finds the first one's locks, or has a snapshot of before it. Whatever comes of it, a stamped row is in step, no write
// that was committed last is lost, and who fails is told by an error that PostgreSQL has for it.
func TestMoveRaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode   guard.Mode
		begins []string
		acts   []act
	}{
		{guard.Repair, []string{"none", "unstamped", "stamped"}, append([]act{
			{"old", writes, `UPDATE users SET bio = $2 WHERE id = $1`},
			{"new", writes, `UPDATE profiles SET bio = $2 WHERE user_id = $1`},
			{"upsert", writes, `INSERT INTO profiles (user_id, bio) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET bio = EXCLUDED.bio`},
			{"begun", writes, `INSERT INTO profiles (user_id, bio, avatar) VALUES ($1, 'begun', $2)`}, // what old has already, unless somebody is faster
			{"less", none, `DELETE FROM profiles WHERE user_id = $1 AND $2 <> ''`},
		}, bystanders...)},
		{guard.Reject, []string{"none", "unstamped", "stamped", "contract"}, append([]act{
			{"wrapper", writes, `WITH o AS (SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE), p AS (INSERT INTO profiles (user_id, bio, bio_stamp) SELECT o.id, $2, (random() * 1000000)::int + 83886200 FROM o
				ON CONFLICT (user_id) DO UPDATE SET bio = EXCLUDED.bio, bio_stamp = EXCLUDED.bio_stamp) SELECT 1 FROM o`},
			{"less", clears, `DELETE FROM profiles WHERE user_id = $1 AND $2 <> ''`},
		}, bystanders...)},
		{guard.Reverse, []string{"none", "stamped", "contract"}, append([]act{
			{"old", writes, `UPDATE users SET bio = $2 WHERE id = $1`},
			{"stale", writes, `UPDATE users SET bio = $2 WHERE id = $1`}, // what old has already
			{"back", none, `SELECT count(*) FROM (SELECT FROM users WHERE id = $1 AND $2 <> '' FOR NO KEY UPDATE) x;
				UPDATE users t SET bio = q.bio FROM profiles q WHERE q.user_id = t.id AND t.id = $1 AND $2 <> '' AND q.bio_stamp >= 83886080`},
			{"less", mayClear, `DELETE FROM profiles WHERE user_id = $1 AND $2 <> ''`},
		}, bystanders...)},
	} {
		for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead} {
			t.Run(string(c.mode)+" "+level.String(), func(t *testing.T) {
				t.Parallel()
				b := newBed(t, profilesSQL+`; INSERT INTO users SELECT i, 'begun' FROM generate_series(101, 700) i`, move(), guard.Repair)
				key := int64(100)
				var duels []duel
				tx := b.db.MustBegin()
				defer func() { _ = tx.Rollback() }()
				for _, begin := range c.begins {
					for _, first := range c.acts {
						for _, second := range c.acts {
							for _, stale := range []bool{false, true} {
								key++
								d := duel{bed: b, mode: c.mode, level: level, key: key, begin: begin, first: first, second: second, stale: stale}
								d.prepare(tx)
								duels = append(duels, d)
							}
						}
					}
				}
				require.Less(t, key, int64(700))
				require.NoError(t, tx.Commit())
				if c.mode != guard.Repair {
					b.install(t, guard.Reject)
					b.db.MustExec(`UPDATE profiles SET bio_stamp = 83886081 WHERE bio_stamp = 67108888`)
				}
				if c.mode == guard.Reverse {
					b.install(t, guard.Reverse)
				}
				for _, d := range duels {
					d.fight(t)
				}
			})
		}
	}
}

type duel struct {
	bed
	mode          guard.Mode
	level         sql.IsolationLevel
	key           int64
	begin         string
	first, second act
	stale         bool
}

func (d duel) String() string {
	return fmt.Sprintf("%s: %s, %s then %s, stale %v", d.mode, d.begin, d.first.name, d.second.name, d.stale)
}

func (d duel) open(t *testing.T) *sqlx.Tx {
	t.Helper()
	tx, err := d.db.BeginTxx(t.Context(), &sql.TxOptions{Isolation: d.level})
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	_, err = tx.Exec(`SELECT set_config('deadlock_timeout', '50ms', true), set_config('synchronous_commit', 'off', true), count(*) FROM tandem.migration`) // takes the snapshot
	require.NoError(t, err)
	return tx
}

// outcome is what a transaction came to.
type outcome struct {
	rows int64
	err  error
}

func (d duel) do(a act, tx *sqlx.Tx, commit bool) (o outcome) {
	for _, text := range strings.Split(a.sql, ";") {
		res, err := tx.Exec(text, d.key, a.name)
		if err != nil {
			_ = tx.Rollback()
			return outcome{err: err}
		}
		o.rows, _ = res.RowsAffected()
	}
	if commit {
		o.err = tx.Commit()
	}
	return o
}

// prepare makes the row as the duel finds it; of Contract it has another old value than new.
func (d duel) prepare(tx *sqlx.Tx) {
	if d.begin != "none" {
		tx.MustExec(`INSERT INTO profiles (user_id) VALUES ($1)`, d.key)
	}
	switch d.begin {
	case "unstamped":
		tx.MustExec(`UPDATE profiles SET bio_stamp = NULL WHERE user_id = $1`, d.key)
	case "contract":
		tx.MustExec(`UPDATE users SET bio = 'stale' WHERE id = $1`, d.key)
		tx.MustExec(`SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED`) // else events wait, and the table cannot be altered
		tx.MustExec(`UPDATE profiles SET bio_stamp = NULL WHERE user_id = $1`, d.key)
		tx.MustExec(`ALTER TABLE profiles DISABLE TRIGGER zz_tandem_bio_update`)
		tx.MustExec(`UPDATE profiles SET bio = 'begun', bio_stamp = 67108888 WHERE user_id = $1`, d.key)
		tx.MustExec(`ALTER TABLE profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_update`)
	}
}

func (d duel) fight(t *testing.T) {
	t.Helper()
	one, two := d.open(t), d.open(t)
	var first, second outcome
	if d.stale {
		first = d.do(d.first, one, true)
		second = d.do(d.second, two, true)
	} else {
		first = d.do(d.first, one, false)
		var pid int
		require.NoError(t, two.Get(&pid, `SELECT pg_backend_pid()`))
		done := make(chan outcome, 1)
		go func() { done <- d.do(d.second, two, true) }()
		over := d.waits(t, pid, done)
		if first.err == nil {
			first.err = one.Commit()
		}
		if over != nil {
			second = *over
		} else {
			second = <-done
		}
	}
	d.judge(t, first, second)
}

// waits returns when the session waits for a lock, or what its transaction came to without.
func (d duel) waits(t *testing.T, pid int, done chan outcome) *outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		select {
		case o := <-done:
			return &o
		case <-ctx.Done():
			require.Fail(t, "neither waits nor ends", d.String())
		default:
		}
		var waiting bool
		require.NoError(t, d.db.Get(&waiting, `SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)`, pid))
		if waiting {
			return nil
		}
	}
}

func (d duel) judge(t *testing.T, first, second outcome) {
	t.Helper()
	for _, o := range []outcome{first, second} {
		if o.err != nil {
			allowed := []string{"23505", "23503"} // the profile is there, the user is not
			if d.level != sql.LevelReadCommitted {
				allowed = append(allowed, "40001")
			}
			// who comes by way of To has its row's lock already
			if slices.ContainsFunc([]act{d.first, d.second}, func(a act) bool { return slices.Contains([]string{"new", "upsert", "less"}, a.name) }) {
				allowed = append(allowed, "40P01")
			}
			if slices.ContainsFunc([]act{d.first, d.second}, func(a act) bool { return a.name == "gone" }) {
				allowed = append(allowed, pg.WouldLose) // nobody to carry a value to
			}
			require.Contains(t, allowed, pg.SQLState(o.err), "%s: %v", d, o.err)
		}
	}
	row := struct {
		Old, New *string
		Stamp    *int64
		There    bool
	}{}
	err := d.db.Get(&row, `SELECT u.bio AS old, p.bio AS new, p.bio_stamp AS stamp, p.user_id IS NOT NULL AS there FROM users u LEFT JOIN profiles p ON p.user_id = u.id WHERE u.id = $1`, d.key)
	gone := err != nil
	if gone {
		require.ErrorIs(t, err, sql.ErrNoRows)
		require.Contains(t, d.String(), "gone")
		return
	}
	begun := "begun"
	value := row.New
	if row.Stamp == nil || *row.Stamp < 83886080 {
		if row.Stamp != nil {
			require.Equal(t, row.Old, row.New, "%s: stamped and not in step", d)
		}
		value = row.Old
	}
	want := []*string{&begun}
	for _, w := range []struct {
		act
		outcome
	}{{d.first, first}, {d.second, second}} {
		if w.err != nil || w.rows == 0 {
			continue
		}
		switch w.effect {
		case writes:
			want = []*string{&w.name}
			if d.mode != guard.Reject {
				require.NotNil(t, row.Stamp, "%s: written and not stamped", d)
			}
		case clears:
			want = []*string{nil}
		case mayClear:
			want = append(want, nil)
		}
	}
	require.Contains(t, want, value, "%s: lost", d)
}
