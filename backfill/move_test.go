package backfill_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

var (
	bio = expand.Move[string]("users", "bio", "profiles", "user_id")
	// half cannot go back from odd numbers.
	half = expand.Convert(expand.Spec[int64, int64]{Table: "users", Old: "bio", To: "profiles", ToKey: []string{"user_id"}, New: "half", Type: "integer",
		Forward:     func(n int64) (int64, error) { return n * 2, nil },
		Backward:    func(n int64) (int64, error) { return n / 2, nil },
		ForwardSQL:  "{bio} * 2",
		BackwardSQL: "{half} / 2"})
)

// bioSQL makes users of whom every third has a profile.
func bioSQL(rows int) string {
	return fmt.Sprintf(`CREATE TABLE users (id bigint PRIMARY KEY, bio text);
		INSERT INTO users SELECT i, 'bio ' || i FROM generate_series(1, %[1]d) i;
		CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE, avatar text);
		INSERT INTO profiles SELECT i, 'avatar ' || i FROM generate_series(1, %[1]d, 3) i`, rows)
}

const (
	unmoved  = `SELECT count(*) FROM users u LEFT JOIN profiles p ON p.user_id = u.id WHERE p.bio_stamp IS NULL`
	apart    = `SELECT count(*) FROM users u JOIN profiles p ON p.user_id = u.id WHERE p.bio IS DISTINCT FROM u.bio`
	profiles = `SELECT concat_ws('|', u.id, u.bio, p.bio, p.avatar, p.bio_stamp >> 24) FROM users u LEFT JOIN profiles p ON p.user_id = u.id ORDER BY u.id`
)

func TestMove(t *testing.T) {
	t.Parallel()
	for _, o := range []backfill.Options{{}, {Stripes: 8}, {Batch: 100, Stripes: 1, Target: 10e9}} {
		b := newBed(t, bioSQL(1000), bio)
		res, err := backfill.Run(b.ctx, b.db, bio, o)
		require.NoError(t, err)
		require.EqualValues(t, 1000, res.Rows)
		require.Zero(t, b.number(unmoved)+b.number(apart))
		require.Equal(t, 334, b.number(`SELECT count(*) FROM profiles WHERE avatar = 'avatar ' || user_id`))
		b.verified(1000)
		res, err = backfill.Run(b.ctx, b.db, bio, o)
		require.NoError(t, err)
		require.Zero(t, res.Rows)
	}
}

// Missing rows, rows without a stamp, and other values are differences; a stamp of Contract is none.
func TestMoveVerify(t *testing.T) {
	t.Parallel()
	b := newBed(t, bioSQL(10), bio)
	b.run()
	b.exec(`ALTER TABLE profiles DISABLE TRIGGER USER; ALTER TABLE users DISABLE TRIGGER USER`)
	b.exec(`DELETE FROM profiles WHERE user_id = 2; UPDATE profiles SET bio_stamp = NULL WHERE user_id = 4; UPDATE profiles SET bio = 'x' WHERE user_id = 6;
		UPDATE users SET bio = NULL WHERE id = 8; UPDATE profiles SET bio = 'y', bio_stamp = 5 << 24 WHERE user_id = 9`)
	report, err := backfill.Verify(b.ctx, b.db, bio, backfill.VerifyOptions{})
	require.NoError(t, err)
	requireReport(t, backfill.Report{Rows: 10, Differences: 4, Keys: [][]string{{"2"}, {"4"}, {"6"}, {"8"}}}, report)
}

// Rows that the server refuses are set aside, and the rest goes on.
func TestMoveBadRows(t *testing.T) {
	t.Parallel()
	b := newBed(t, `CREATE TABLE users (id bigint PRIMARY KEY, bio bigint); INSERT INTO users SELECT i, i FROM generate_series(1, 1000) i;
		UPDATE users SET bio = 2000000000 WHERE id IN (7, 500); CREATE TABLE profiles (user_id bigint PRIMARY KEY)`, half)
	res := b.run()
	require.EqualValues(t, 998, res.Rows)
	require.EqualValues(t, 2, res.BadRows)
	require.Equal(t, []string{"500", "7"}, b.texts(badKeys))
	b.exec(`UPDATE users SET bio = 1 WHERE id IN (7, 500)`)
	res = b.run()
	require.Zero(t, res.BadRows)
	require.Zero(t, b.number(`SELECT count(*) FROM users u LEFT JOIN profiles p ON p.user_id = u.id WHERE p.half IS DISTINCT FROM u.bio * 2`))
	b.verified(1000)
}

// Run meets a writer who has not committed yet: it waits, and copies what the writer has written. Of a writer who has made the row of To itself it changes nothing.
func TestMoveWaitsForWriters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ write, want string }{
		"old":          {`UPDATE users SET bio = 'written' WHERE id = 2`, "2|written|written|4"},
		"a profile":    {`INSERT INTO profiles (user_id, avatar) VALUES (2, 'a')`, "2|bio 2|bio 2|a|4"},
		"only a lock":  {`SELECT FROM users WHERE id = 2 FOR NO KEY UPDATE`, "2|bio 2|bio 2|3"},
		"an unstamped": {`UPDATE profiles SET avatar = 'a' WHERE user_id = 1`, "2|bio 2|bio 2|3"},
		"deleted":      {`DELETE FROM users WHERE id = 2`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, bioSQL(3), bio)
			tx, err := b.db.Beginx()
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.Exec(c.write)
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() {
				_, err := backfill.Run(b.ctx, b.db, bio, backfill.Options{})
				done <- err
			}()
			b.eventually(`SELECT count(*) FROM pg_locks WHERE NOT granted`)
			require.NoError(t, tx.Commit())
			require.NoError(t, <-done)
			got := strings.Join(b.texts(`SELECT concat_ws('|', u.id, u.bio, p.bio, p.avatar, p.bio_stamp >> 24) FROM users u LEFT JOIN profiles p ON p.user_id = u.id WHERE u.id = 2`), "")
			require.Equal(t, c.want, got)
			require.Zero(t, b.number(unmoved)+b.number(apart))
		})
	}
}

// Writers of both tables, insertion and deletion included, are at work while Run copies.
func TestMoveWhileWriting(t *testing.T) {
	t.Parallel()
	b := newBed(t, bioSQL(2000), bio)
	turns := make(chan struct{})
	stop := make(chan struct{})
	last := make([]map[int64]string, 2)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for n := range 2 {
		last[n] = map[int64]string{}
		wg.Go(func() {
			for turn := 0; ; turn++ {
				for id := int64(n + 1); id <= 2000; id += 4 {
					text := fmt.Sprintf("turn %d of %d", turn, id)
					for _, sql := range map[int][]string{
						0: {`UPDATE users SET bio = '` + text + `' WHERE id = $1`},
						1: {`DELETE FROM users WHERE id = $1`, `INSERT INTO users VALUES ($1, '` + text + `')`},
						2: {`UPDATE users SET bio = '` + text + `' WHERE id = $1`, `INSERT INTO profiles (user_id, avatar) VALUES ($1, 'a') ON CONFLICT (user_id) DO UPDATE SET avatar = 'b'`},
					}[(int(id/4)+turn)%3] {
						if _, err := b.db.ExecContext(b.ctx, sql, id); err != nil {
							errs[n] = err
							return
						}
					}
					last[n][id] = text
					select {
					case turns <- struct{}{}:
					case <-stop:
						return
					}
				}
			}
		})
	}
	_, err := backfill.Run(b.ctx, b.db, bio, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, Progress: func(backfill.Progress) {
		select {
		case <-turns:
		case <-time.After(time.Second): // a writer that has failed
		}
	}})
	close(stop)
	wg.Wait()
	require.NoError(t, err)
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	require.NotEmpty(t, last[0])
	for _, mine := range last {
		for id, text := range mine {
			require.Equal(t, []string{text}, b.texts(`SELECT bio FROM users WHERE id = $1`, id))
		}
	}
	require.Zero(t, b.number(unmoved)+b.number(apart))
	b.verified(2000)
}

// contracted brings a pair to Contract, without members.
func (b *bed) contracted(p expand.Any) {
	b.Helper()
	b.run()
	require.NoError(b, expand.ApplyTwins(b.ctx, b.db, p, expand.Options{}))
	_, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
	require.NoError(b, err)
	b.advance(p, switchover.Switch)
	b.advance(p, switchover.Contract)
}

func TestMoveReverse(t *testing.T) {
	t.Parallel()
	b := newBed(t, bioSQL(1000), bio)
	b.contracted(bio)
	b.exec(`UPDATE profiles SET bio = 'new ' || user_id, bio_stamp = (5 << 24) + 1 WHERE user_id % 2 = 0`)
	require.NoError(t, switchover.Revert(b.ctx, b.db, bio.Name(), switchover.Switch, switchover.Options{}))
	b.exec(`UPDATE users SET bio = 'written' WHERE id = 2`) // a wrapper in Switch
	_, err := backfill.Run(b.ctx, b.db, bio, backfill.Options{})
	require.NoError(t, err)
	// who has the row keeps it until he ends, and what he has written stays
	tx, err := b.db.Beginx()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec(`UPDATE users SET bio = 'late' WHERE id = 4`)
	require.NoError(t, err)
	done := make(chan error, 1)
	var res backfill.Result
	go func() {
		var err error
		res, err = backfill.Run(b.ctx, b.db, bio, backfill.Options{Reverse: true, Batch: 50, Target: 10e9})
		done <- err
	}()
	b.eventually(`SELECT count(*) FROM pg_locks WHERE NOT granted`)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-done)
	require.EqualValues(t, 498, res.Rows)
	require.Equal(t, []string{"written", "late"}, b.texts(`SELECT bio FROM users WHERE id IN (2, 4) ORDER BY id`))
	require.Equal(t, 498, b.number(`SELECT count(*) FROM users WHERE bio = 'new ' || id`))
	require.Zero(t, b.number(unmoved)+b.number(apart)+b.number(`SELECT count(*) FROM profiles WHERE bio_stamp >= 5 << 24`))
	b.verified(1000)
}

// What old cannot hold is set aside; nothing of it changes.
func TestMoveReverseLossy(t *testing.T) {
	t.Parallel()
	b := newBed(t, `CREATE TABLE users (id bigint PRIMARY KEY, bio bigint); INSERT INTO users SELECT i, i FROM generate_series(1, 10) i;
		CREATE TABLE profiles (user_id bigint PRIMARY KEY)`, half)
	b.contracted(half)
	b.exec(`UPDATE profiles SET half = half + CASE WHEN user_id = 3 THEN 1 ELSE 2 END, half_stamp = (5 << 24) + 1`)
	require.NoError(t, switchover.Revert(b.ctx, b.db, half.Name(), switchover.Switch, switchover.Options{}))
	res, err := backfill.Run(b.ctx, b.db, half, backfill.Options{Reverse: true})
	require.NoError(t, err)
	require.Equal(t, []int64{9, 1}, []int64{res.Rows, res.BadRows})
	require.Equal(t, []string{"3"}, b.texts(badKeys))
	require.Equal(t, []string{"3 7"}, b.texts(`SELECT u.bio || ' ' || p.half FROM users u JOIN profiles p ON p.user_id = u.id WHERE p.half <> u.bio * 2`))
}
