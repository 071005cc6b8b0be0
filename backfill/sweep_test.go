package backfill_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

const dirtyRows = `SELECT count(*) FROM tandem.dirty`

func (b *bed) sweep() int64 {
	b.Helper()
	n, err := backfill.Sweep(b.ctx, b.db, b.pair)
	require.NoError(b, err)
	return n
}

func TestSweep(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(250), shout)
	b.run()
	require.Zero(t, b.sweep())
	b.exec(`UPDATE users SET user_name = 'stray ' || id WHERE id <= 20`)
	b.exec(`UPDATE users SET user_name = 'again ' || id WHERE id <= 10`)
	b.exec(`INSERT INTO users VALUES (300, 'new')`)
	b.exec(`DELETE FROM users WHERE id = 5`)
	require.Equal(t, 20, b.number(unstamped))
	require.Equal(t, 31, b.number(dirtyRows))
	require.EqualValues(t, 31, b.sweep())
	require.Zero(t, b.number(dirtyRows))
	require.Zero(t, b.number(unstamped))
	b.verified(250)
	require.Equal(t, []string{"AGAIN 1", "STRAY 20", "NEW"}, b.texts(`SELECT full_name FROM users WHERE id IN (1, 20, 300) ORDER BY id`))
	require.Zero(t, b.sweep())
}

// A wrapper has written the row since: its value stays.
func TestSweepLeavesStampedRowsAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), shout)
	b.run()
	b.exec(`UPDATE users SET user_name = 'stray' WHERE id = 1`)
	_, users := b.join()
	require.NoError(t, users.Update(t.Context(), &user{ID: 1, FullName: "WRAPPED"}))
	require.EqualValues(t, 1, b.sweep())
	require.Equal(t, []string{"WRAPPED"}, b.texts(`SELECT full_name FROM users WHERE id = 1`))
}

// Sweepers take different keys; together they empty the list.
func TestSweepersShare(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(2500), shout)
	b.run()
	b.exec(`UPDATE users SET user_name = 'stray ' || id`)
	var wg sync.WaitGroup
	swept, errs := make([]int64, 4), make([]error, 4)
	for i := range swept {
		wg.Go(func() { swept[i], errs[i] = backfill.Sweep(t.Context(), b.db, b.pair) })
	}
	wg.Wait()
	var sum int64
	for i := range swept {
		require.NoError(t, errs[i])
		sum += swept[i]
	}
	require.EqualValues(t, 2500, sum)
	require.Zero(t, b.number(dirtyRows))
	b.verified(2500)
}

// What another sweeper holds is passed over, not waited for.
func TestSweepSkipsLockedKeys(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(20), shout)
	b.run()
	b.exec(`UPDATE users SET user_name = 'stray ' || id WHERE id <= 3`)
	release := b.lock(`SELECT FROM tandem.dirty WHERE key = '{2}' FOR UPDATE`)
	require.EqualValues(t, 2, b.sweep())
	release()
	require.EqualValues(t, 1, b.sweep())
	b.verified(20)
}

func TestSweepOfABadValue(t *testing.T) {
	t.Parallel()
	b := newBed(t, numbersSQL(20), cents)
	require.EqualValues(t, 20, b.run().Rows)
	b.exec(`UPDATE users SET user_name = 'free' WHERE id IN (3, 4)`)
	b.exec(`UPDATE users SET user_name = '7' WHERE id = 5`)
	require.EqualValues(t, 3, b.sweep())
	require.Equal(t, []string{"3", "4"}, b.texts(badKeys))
	require.Contains(t, b.texts(`SELECT error FROM tandem.bad_row`)[0], `parsing "free"`)
	b.exec(`UPDATE users SET user_name = '9' WHERE id = 3`)
	require.EqualValues(t, 1, b.sweep())
	require.EqualValues(t, 1, b.run().BadRows)
	require.Equal(t, []string{"4"}, b.texts(badKeys))
	require.Equal(t, []string{"9", "7"}, b.texts(`SELECT cents FROM users WHERE id IN (3, 5) ORDER BY id`))
}

// The keys of a composite key with capitals and quotes find their rows.
func TestSweepByCompositeKey(t *testing.T) {
	t.Parallel()
	p := expand.Convert(expand.Spec[string, int64]{Table: `app."My.Items"`, Key: []string{`The "Shop"`, "no"}, Old: "Price", New: "cents", Type: "bigint",
		Forward: func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }})
	b := newBed(t, `CREATE SCHEMA app; CREATE TABLE app."My.Items" ("The ""Shop""" text, no uuid, "Price" text, PRIMARY KEY ("The ""Shop""", no));
		INSERT INTO app."My.Items" SELECT 'a,"{b}', md5(i::text)::uuid, i FROM generate_series(1, 10) i`, p)
	b.run()
	b.exec(`UPDATE app."My.Items" SET "Price" = "Price" || '0'`)
	require.EqualValues(t, 10, b.sweep())
	require.Equal(t, 550, b.number(`SELECT sum(cents) FROM app."My.Items" WHERE cents_stamp IS NOT NULL`))
}

// A stray writes days before months, and the sweeper finds its row all the same; so does one whose clock is in another zone.
func TestSweepOfDates(t *testing.T) {
	t.Parallel()
	p := expand.Convert(expand.Spec[string, string]{Table: "users", Key: []string{"day", "at"}, Old: "user_name", New: "full_name", Forward: func(s string) (string, error) { return s + "!", nil }})
	b := newBed(t, `CREATE TABLE users (day date, at timestamptz, user_name text, PRIMARY KEY (day, at)); INSERT INTO users SELECT date '2024-02-01' + i, timestamptz '2024-02-01 00:00+00' + i * interval '1 day', i FROM generate_series(0, 40) i`, p)
	b.run()
	for _, style := range []string{"SQL, DMY", "German", "Postgres, MDY"} {
		b.exec(`BEGIN; SET LOCAL DateStyle = '` + style + `'; SET LOCAL TimeZone = 'Asia/Tokyo'; UPDATE users SET user_name = '` + style + `'; COMMIT`)
		require.EqualValues(t, 41, b.sweep())
		require.Zero(t, b.number(`SELECT count(*) FROM users WHERE full_name IS DISTINCT FROM user_name || '!' OR full_name_stamp IS NULL`))
	}
}
