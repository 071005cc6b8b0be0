package crash_test

import (
	"slices"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/switchover"
)

// state is what an operation may change, apart from the writers' rows.
type state struct {
	lines []string
	guard string // none, repair, reject, reverse
	old   bool   // the column is there
}

// admitsOld tells whether a program that writes only old may do so.
func (s state) admitsOld() bool { return s.old && (s.guard == "none" || s.guard == "repair") }

const (
	existsSQL = `SELECT to_regclass('tandem.migration') IS NOT NULL`
	guardSQL  = `SELECT coalesce((SELECT guard FROM tandem.migration), 'none')`
	oldSQL    = `SELECT count(*) > 0 FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'user_name'`
)

// stateSQL is compared as it is: all that an operation may leave, but for times, counts of tries and who did it.
var stateSQL = []string{
	// a stamp is compared by its phase
	`SELECT (to_jsonb(u) || CASE WHEN to_jsonb(u)->>'full_name_stamp' IS NULL THEN '{}' ELSE jsonb_build_object('full_name_stamp', (to_jsonb(u)->>'full_name_stamp')::int >> 24) END)::text
		FROM users u WHERE email LIKE 'nobody %' ORDER BY id`,
	`SELECT format('migration: %s %s epoch %s, relaxed %s', phase, guard, epoch, relaxed) FROM tandem.migration`,
	`SELECT format('pass: %s owner "%s" position %s differences %s under way %s', kind, owner, position, differences, finished_at IS NULL) FROM tandem.backfill ORDER BY kind`,
	`SELECT format('mismatch: %s', m) FROM tandem.mismatch m`,
	`SELECT format('dirty: %s', d) FROM tandem.dirty d`,
	`SELECT format('bad row: %s', b) FROM tandem.bad_row b`,
	// a pass may be finished twice; every other step is on record once, as often as it was taken
	`SELECT format('event: %s %s %s %s', kind, from_phase, to_phase, CASE WHEN kind NOT IN ('backfill', 'verify') THEN count(*) END) FROM tandem.event GROUP BY kind, from_phase, to_phase ORDER BY 1`,
	`SELECT format('function: %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'tandem'::regnamespace ORDER BY 1`,
	`SELECT format('relation: %s', oid::regclass) FROM pg_class WHERE relnamespace IN ('tandem'::regnamespace, 'public'::regnamespace) ORDER BY 1`,
	`SELECT format('invalid: %s', indexrelid::regclass) FROM pg_index WHERE NOT indisvalid`,
}

func read(t *testing.T, db *sqlx.DB) state {
	t.Helper()
	s := state{guard: "none"}
	var installed bool
	require.NoError(t, db.GetContext(t.Context(), &installed, existsSQL))
	require.NoError(t, db.GetContext(t.Context(), &s.old, oldSQL))
	if !installed {
		return s
	}
	require.NoError(t, db.GetContext(t.Context(), &s.guard, guardSQL))
	lines, err := catalog.Describe(t.Context(), db, fullName.Definition().Table)
	require.NoError(t, err)
	s.lines = lines
	for _, query := range stateSQL {
		var more []string
		require.NoError(t, db.SelectContext(t.Context(), &more, query))
		s.lines = append(s.lines, more...)
	}
	return s
}

// differ lists the lines of one state that the other has not.
func differ(want, have state) (out []string) {
	for _, line := range want.lines {
		if !slices.Contains(have.lines, line) {
			out = append(out, "missing: "+line)
		}
	}
	for _, line := range have.lines {
		if !slices.Contains(want.lines, line) {
			out = append(out, "not wanted: "+line)
		}
	}
	return out
}

// rowsSQL is a row as far as its columns are there.
const rowsSQL = `SELECT id, email, coalesce(to_jsonb(u)->>'user_name', '') AS old, coalesce(to_jsonb(u)->>'full_name', '') AS new, (to_jsonb(u)->>'full_name_stamp')::int >> 24 AS phase,
	to_jsonb(u) ? 'user_name' AS has_old, to_jsonb(u) ? 'full_name_stamp' AS has_stamp FROM users u ORDER BY id`

// row is what the reader's rule needs.
type row struct {
	ID       int64
	Email    string
	Old, New string
	Phase    *int // of the stamp
	HasOld   bool `db:"has_old"`
	HasStamp bool `db:"has_stamp"`
}

// values returns the new value of every row by its email, by the reader's rule; where both columns are said to be right they must agree.
func values(t *testing.T, db *sqlx.DB) map[string]string {
	t.Helper()
	var rows []row
	require.NoError(t, db.SelectContext(t.Context(), &rows, rowsSQL))
	out := map[string]string{}
	for _, r := range rows {
		forward, _ := backwards(r.Old)
		value := forward
		switch {
		case !r.HasOld, r.Phase != nil && *r.Phase >= int(switchover.Contract):
			value = r.New
		case r.HasStamp && r.Phase != nil:
			require.Equal(t, forward, r.New, "old and new of row %d, which has a stamp of %s", r.ID, switchover.Phase(*r.Phase))
		}
		require.NotContains(t, out, r.Email, "two rows")
		out[r.Email] = value
	}
	return out
}
