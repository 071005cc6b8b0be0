package switchover_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/switchover"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	status := func() switchover.MigrationStatus {
		list, err := switchover.Status(t.Context(), b.db, switchover.Options{Soak: switchover.None})
		require.NoError(t, err)
		require.Len(t, list, 1)
		return list[0]
	}
	s := status()
	require.Equal(t, switchover.Migrate, s.Phase)
	require.Empty(t, s.Blocks)
	require.Contains(t, s.String(), "users.full_name: Migrate for ")
	require.Contains(t, s.String(), "guard repair")
	require.Contains(t, s.String(), "ready for Switch")

	b.db.MustExec(strayRow + `; ` + dirtyRow + `; ` + memberRow + `; INSERT INTO tandem.bad_row VALUES ('users.full_name', '{1}', 'x'); ` + mismatch + `'read', now())`)
	b.db.MustExec(`INSERT INTO tandem.member (id, service, build, host, pid, seen_at) VALUES ('y', 'ghost', 'v0', 'h', 8, now() - interval '1 hour')`)
	b.db.MustExec(`UPDATE tandem.backfill SET finished_at = NULL, rows = 40, total = 200 WHERE kind = 'copy'`)
	b.db.MustExec(`UPDATE tandem.member SET epochs = '{"users.full_name": 1}', phases = '{"users.full_name": "Expand"}', started_at = now() - interval '2 hours' WHERE id = 'y'`)
	b.db.MustExec(`INSERT INTO tandem.comparison SELECT name, epoch, m, now(), 100, 3 FROM tandem.migration, unnest('{x,y}'::text[]) m UNION ALL SELECT name, epoch - 1, 'x', now(), 7, 7 FROM tandem.migration`)
	s = status()
	require.Equal(t, []int64{1, 1, 1}, []int64{s.Dirty, s.BadRows, s.Different})
	require.Equal(t, []int64{200, 6}, []int64{s.Compared, s.Differed})
	require.Len(t, s.Members, 2)
	require.Equal(t, switchover.Expand, s.Members[0].Phase)
	require.GreaterOrEqual(t, s.Members[0].Age, 2*time.Hour)
	require.Equal(t, []bool{false, true}, []bool{s.Members[0].Live, s.Members[1].Live})
	require.Len(t, s.Passes, 2)
	var names []string
	for _, g := range s.Blocks {
		names = append(names, g.Name)
	}
	require.Equal(t, []string{"backfill", "dirty", "bad-rows", "strays", "members"}, names)
	for _, line := range []string{"\n  copy: 40 rows, of about 200, 0 differences, under way", "\n  member ghost v0 on h pid 8, up for 2h0m0s: dead, has not acknowledged Migrate, still in Expand, seen 1h0m0",
		"\n  member web v1 on h pid 7, up for 0s: has not acknowledged Migrate", "\n  200 reads compared old and new, 6 of them differed", "\n  stray cron of role bob from 10.0.0.7: 1 transactions with an update", "\n  before Switch, dirty: "} {
		require.Contains(t, s.String(), line)
	}
	b.set(switchover.Switch)
	b.db.MustExec(`UPDATE tandem.migration SET share = 0.05`)
	require.Contains(t, status().String(), "guard repair, 5 % of the keys read from new")
	b.set(switchover.Complete)
	require.NotContains(t, status().String(), "ready for")
}

// A complete migration's table may be gone; the others are shown all the same.
func TestStatusAfterTheTableIsGone(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Contract)
	b.set(switchover.Complete)
	b.db.MustExec(`DROP TABLE users`)
	list, err := switchover.Status(t.Context(), b.db, switchover.Options{})
	require.NoError(t, err)
	require.Len(t, list, 1)
}
