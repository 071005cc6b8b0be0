package expand_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// Two pairs that share a column, applied at once: both have planned, one gets the table, the other is told, and nothing of it stays.
func TestOverlapAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(usersSQL)
	held := db.MustBegin()
	held.MustExec(`LOCK TABLE users IN ACCESS SHARE MODE`)
	pairs := []expand.Any{users, expand.Rename[string]("users", "user_name", "other")}
	errs := make([]error, len(pairs))
	var wg sync.WaitGroup
	for i, p := range pairs {
		wg.Go(func() { errs[i] = expand.Apply(t.Context(), db, p, expand.Options{LockTimeout: time.Minute}) })
	}
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, db.Get(&n, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass`))
		return n == len(pairs)
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, held.Rollback())
	wg.Wait()
	lost := 0
	if errs[0] == nil {
		lost = 1
	}
	require.NoError(t, errs[1-lost])
	require.ErrorIs(t, errs[lost], switchover.ErrOverlap)
	require.ErrorContains(t, errs[lost], "column user_name belongs to migration "+pairs[1-lost].Name()+", which is in Start: finish it or undo it first")
	var columns int
	require.NoError(t, db.Get(&columns, `SELECT count(*) FROM information_schema.columns WHERE table_name = 'users' AND column_name IN ('full_name', 'other')`))
	require.Equal(t, 1, columns)
}
