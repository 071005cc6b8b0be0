package expand_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// Each step takes the lock that it says, on the table and on no other but the one that a foreign key refers to.
func TestTwinsTakeTheirLocks(t *testing.T) {
	t.Parallel()
	p := expand.Rename[*string]("users", "a", "b")
	b := newBed(t, `CREATE TABLE names (name text PRIMARY KEY);
		CREATE TABLE users (id bigint PRIMARY KEY, a text CHECK (a <> '') REFERENCES names);
		ALTER TABLE users ALTER a SET STATISTICS 7, ALTER a SET STORAGE EXTERNAL;
		CREATE INDEX ON users (a); CREATE STATISTICS both_of_it ON id, a FROM users`, p)
	b.set(switchover.Migrate)
	steps, err := expand.PlanTwins(b.ctx, b.db, p)
	require.NoError(t, err)
	var said []string
	for _, s := range steps {
		said = append(said, strings.Fields(s.Name)[0]+" "+s.Lock)
		if s.Concurrently {
			require.Equal(t, "SHARE UPDATE EXCLUSIVE", s.Lock)
			continue
		}
		tx := b.db.MustBegin()
		require.NoError(t, s.Exec(b.ctx, tx))
		var taken []string
		require.NoError(t, tx.Select(&taken, `SELECT lower(mode) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'users'::regclass`))
		require.Contains(t, taken, strings.ReplaceAll(strings.ToLower(s.Lock), " ", "")+"lock", s.Name)
		require.NoError(t, tx.Select(&taken, `SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'names'::regclass AND mode <> 'AccessShareLock'`))
		require.Subset(t, []string{"ShareRowExclusiveLock", "RowShareLock"}, taken, s.Name)
		require.NoError(t, tx.Commit())
	}
	require.Equal(t, []string{"build SHARE UPDATE EXCLUSIVE", "add ACCESS EXCLUSIVE", "validate SHARE UPDATE EXCLUSIVE",
		"add SHARE ROW EXCLUSIVE", "validate SHARE UPDATE EXCLUSIVE", "add SHARE UPDATE EXCLUSIVE", "carry ACCESS EXCLUSIVE", "analyze SHARE UPDATE EXCLUSIVE"}, said)
}

// While an index is built the log says how far it is, and names the session that it waits for.
func TestIndexBuildIsLogged(t *testing.T) {
	t.Parallel()
	p := expand.Rename[*string]("users", "a", "b")
	b := newBed(t, `CREATE TABLE users (id bigint PRIMARY KEY, a text); CREATE INDEX ON users (a)`, p)
	b.set(switchover.Migrate)
	b.db.MustExec(`INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 1000) i`)
	tx, err := b.db.BeginTxx(b.ctx, nil)
	require.NoError(t, err)
	tx.MustExec(`SET LOCAL application_name = report; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM users`)
	held := make(chan string, 1)
	require.NoError(t, expand.ApplyTwins(b.ctx, b.db, p, expand.Options{Log: func(line string) {
		if strings.Contains(line, "(report)") && len(held) == 0 {
			held <- line
			_ = tx.Rollback() // or it would wait for ever
		}
	}}))
	require.Regexp(t, `^index: waiting for (old snapshots|writers before (build|validation)).*, that of pid \d+ \(report\)$`, <-held)
}
