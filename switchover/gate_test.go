package switchover_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// obstacle is one thing in the way of a step.
type obstacle struct {
	make, mend string // SQL
	gate, says string // the gate's name, and what its words contain
	waivable   bool
}

const (
	strayRow  = `INSERT INTO tandem.stray (migration, operation, application, role, address, query_start) VALUES ('users.full_name', 'update', 'cron', 'bob', '10.0.0.7', now())`
	memberRow = `INSERT INTO tandem.member (id, service, build, host, pid, epochs) VALUES ('x', 'web', 'v1', 'h', 7, '{"users.full_name": 1}')`
	unguard   = `ALTER TABLE users DISABLE TRIGGER zz_tandem_full_name_update`
	guardBack = `ALTER TABLE users ENABLE ALWAYS TRIGGER zz_tandem_full_name_update`
	dirtyRow  = `INSERT INTO tandem.dirty (migration, key) VALUES ('users.full_name', '{1}')`
	mismatch  = `INSERT INTO tandem.mismatch (migration, key, detail, phase, source, at) VALUES ('users.full_name', '{1}', 'x', 'Switch', `
	allMember = `UPDATE tandem.member SET epochs = jsonb_build_object('users.full_name', (SELECT epoch FROM tandem.migration))`
)

// obstacles of each step, by its target.
var obstacles = map[switchover.Phase][]obstacle{
	switchover.Expand: {
		{`ALTER TABLE users RENAME full_name_stamp TO x`, `ALTER TABLE users RENAME x TO full_name_stamp`, "columns", "column full_name_stamp is not there: run expand.Apply", false},
		{`DROP TRIGGER zz_tandem_full_name_insert ON users; DROP TRIGGER zz_tandem_full_name_update ON users; ALTER TABLE users ALTER full_name TYPE varchar`,
			``, "columns", "column full_name has type character varying, needs text", false},
		{`ALTER TABLE users ALTER full_name SET NOT NULL`, `ALTER TABLE users ALTER full_name DROP NOT NULL`, "columns", "full_name is NOT NULL: an old binary's INSERT would fail", false},
		{unguard, guardBack, "guard", "1 of the guard's 2 triggers", false},
		{`ALTER TABLE users ENABLE TRIGGER zz_tandem_full_name_update`, guardBack, "guard", "ENABLE ALWAYS: run expand.Apply", false},
	},
	switchover.Migrate: {
		{unguard, guardBack, "guard", "run expand.Apply", false},
		{memberRow, allMember, "members", "web v1 on h pid 7 has not acknowledged Expand (seen 0s ago)", true},
	},
	switchover.Switch: {
		{unguard, guardBack, "guard", "run expand.Apply", false},
		{`UPDATE tandem.backfill SET finished_at = NULL, rows = 40, total = 200 WHERE kind = 'copy'`, `UPDATE tandem.backfill SET finished_at = started_at`, "backfill", "40 of about 200 rows", false},
		{`DELETE FROM tandem.backfill WHERE kind = 'copy'`, `INSERT INTO tandem.backfill (migration, kind, owner, finished_at) VALUES ('users.full_name', 'copy', '', now() - interval '1 day')`,
			"backfill", "not started: run backfill.Run", false},
		{`UPDATE tandem.backfill SET finished_at = NULL WHERE kind = 'verify'`, `UPDATE tandem.backfill SET finished_at = now() WHERE kind = 'verify'`, "verify", "not done: run backfill.Verify", true},
		{`UPDATE tandem.backfill SET differences = 3 WHERE kind = 'verify'`, `UPDATE tandem.backfill SET differences = 0`, "verify", "3 rows differ, listed in tandem.mismatch", true},
		{`UPDATE tandem.backfill SET written_at = now() + interval '1 day' WHERE kind = 'copy'`, `UPDATE tandem.backfill SET written_at = NULL WHERE kind = 'copy'`, "verify", "older than the backfill", true},
		{`UPDATE tandem.backfill SET written_at = now() - interval '1 day' WHERE kind = 'copy'`, `UPDATE tandem.backfill SET written_at = NULL WHERE kind = 'copy'`, "verify", "older than the backfill", true}, // the clock was set
		{dirtyRow, `DELETE FROM tandem.dirty`, "dirty", "1 rows of strays wait for conversion: run backfill.Sweep", false},
		{`INSERT INTO tandem.bad_row VALUES ('users.full_name', '{1}', 'x')`, `DELETE FROM tandem.bad_row`, "bad-rows", "1 rows do not convert, listed in tandem.bad_row", false},
		{strayRow, `UPDATE tandem.stray SET at = at - interval '2 minutes'`, "strays", "cron by role bob from 10.0.0.7 wrote around the wrappers", true},
		{`CREATE INDEX i ON users (user_name)`, `DROP INDEX i`, "twins", "index i has no valid twin on full_name: run expand.ApplyTwins", true},
		{`ALTER TABLE users ADD CONSTRAINT c CHECK (user_name <> '')`, `ALTER TABLE users DROP CONSTRAINT c`, "twins", "check c has no valid twin", true},
		{`GRANT SELECT (user_name) ON users TO PUBLIC`, `REVOKE SELECT (user_name) ON users FROM PUBLIC`, "twins", "full_name has not all that user_name has: run expand.ApplyTwins, or GRANT SELECT (full_name) ON public.users TO PUBLIC", true},
		{`COMMENT ON COLUMN users.user_name IS 'as on the passport'`, `COMMENT ON COLUMN users.user_name IS NULL`, "twins", "or COMMENT ON COLUMN public.users.full_name IS 'as on the passport'", true},
		{`DELETE FROM pg_statistic WHERE starelid = 'users'::regclass`, `ANALYZE users`, "statistics", "run ANALYZE users", true},
		{memberRow, allMember, "members", "has not acknowledged Migrate", true},
	},
	switchover.Contract: {
		{unguard, guardBack, "guard", "run expand.Apply", false},
		{`UPDATE tandem.migration SET guard = 'reverse'`, `UPDATE tandem.migration SET guard = 'repair'`, "reversed", "run backfill.Run with Reverse, then contract.Apply with Restore", false},
		{`UPDATE tandem.migration SET changed_at = now()`, `UPDATE tandem.migration SET changed_at = now() - interval '1 day'`, "soak", "soak time is 1m0s: wait", true},
		{mismatch + `'read', now())`, `DELETE FROM tandem.mismatch`, "differences", "reads saw 1 rows differ in this phase", true},
		{dirtyRow, `DELETE FROM tandem.dirty`, "dirty", "run backfill.Sweep", false},
		{strayRow, `DELETE FROM tandem.stray`, "strays", "quiet time is 1m0s", true},
		{`INSERT INTO tandem.bad_row VALUES ('users.full_name', '{1}', 'x')`, `DELETE FROM tandem.bad_row`, "bad-rows", "1 rows do not convert", false},
		{`ALTER TABLE users ALTER user_name SET NOT NULL`, `ALTER TABLE users ALTER user_name DROP NOT NULL`, "relaxed", "user_name still has NOT NULL, which", false},
		{`ALTER TABLE users ALTER user_name SET DEFAULT ''`, `ALTER TABLE users ALTER user_name DROP DEFAULT`, "relaxed", "its default", false},
		{`CREATE UNIQUE INDEX u ON users (user_name)`, `DROP INDEX u`, "relaxed", "still has u, which", false},
		{`ALTER TABLE users ADD CONSTRAINT c CHECK (user_name <> '')`, `ALTER TABLE users DROP CONSTRAINT c`, "relaxed", "run contract.Apply with Relax", false},
		{memberRow, allMember, "members", "has not acknowledged Switch", true},
	},
	switchover.Complete: {
		{`UPDATE tandem.migration SET changed_at = now()`, `UPDATE tandem.migration SET changed_at = now() - interval '1 day'`, "soak", "in Contract for", true},
		{`UPDATE tandem.migration SET relaxed = '{"default": "1"}'`, `ALTER TABLE users ALTER full_name SET DEFAULT ''`, "default", "old had DEFAULT 1, new has none", true},
		{`CREATE VIEW v AS SELECT user_name FROM users`, `DROP VIEW v`, "dependents", "view v: make it read the new column", false},
		{`CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(user_name) FROM users'`, `DROP FUNCTION f`, "mentions", "function f(): its body mentions", true},
		{`SET session_replication_role = replica; ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET full_name_stamp = NULL; RESET session_replication_role`,
			`UPDATE users SET full_name_stamp = 83886081`, "unstamped", "1 rows (counted to 1000) have no stamp", false},
		{memberRow, allMember, "members", "has not acknowledged Contract", true},
	},
}

func TestGates(t *testing.T) {
	t.Parallel()
	o := switchover.Options{Soak: time.Minute}
	for to, list := range obstacles {
		for i, c := range list {
			t.Run(fmt.Sprintf("%s %s %d", to, c.gate, i), func(t *testing.T) {
				t.Parallel()
				b := newBed(t, to-1)
				b.db.MustExec(`UPDATE tandem.migration SET changed_at = now() - interval '1 hour'`)
				// what is of another migration, of before this phase, or by verify, closes no gate
				b.db.MustExec(mismatch + `'verify', now()), ('users.full_name', '{1}', 'x', 'Migrate', 'read', now() - interval '1 day'), ('other', '{1}', 'x', 'Switch', 'read', now())`)
				b.db.MustExec(`INSERT INTO tandem.dirty (migration, key) VALUES ('other', '{1}')`)
				b.db.MustExec(`INSERT INTO tandem.bad_row (migration, key, error, accepted) VALUES ('other', '{1}', 'x', NULL), ('users.full_name', '{9}', 'x', 'somebody lives with it')`)
				require.Empty(t, b.gates(to, o))
				b.db.MustExec(c.make)
				gates := b.gates(to, o)
				require.NotEmpty(t, gates)
				require.Equal(t, c.gate, gates[0].Name)
				require.Contains(t, gates[0].Missing, c.says)
				require.Equal(t, c.waivable, gates[0].Waivable)
				require.Equal(t, to-1, b.migration().Phase)

				waived := o
				waived.Waive = map[string]string{c.gate: "I know why"}
				require.Equal(t, c.waivable, len(b.gates(to, waived)) == 0)
				other := "twins"
				if c.gate == other {
					other = "soak"
				}
				waived.Waive = map[string]string{other: "I know why"}
				require.Len(t, b.gates(to, waived), len(gates))
				if c.mend == "" {
					return
				}
				b.db.MustExec(c.mend)
				b.db.MustExec(`DELETE FROM tandem.mismatch WHERE source = 'read'`)
				require.Empty(t, b.gates(to, o))
			})
		}
	}
}

// A refusal says all that is missing at once, and changes nothing.
func TestRefusalListsEverything(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	before := b.migration()
	for _, c := range obstacles[switchover.Switch] {
		switch c.gate {
		case "backfill", "verify":
		default:
			b.db.MustExec(c.make)
		}
	}
	b.db.MustExec(`DELETE FROM tandem.backfill`)
	err := b.advance(switchover.Switch, switchover.Options{Waive: map[string]string{"strays": "the cron job is known", "guard": "no"}})
	var refused *switchover.GateError
	require.ErrorAs(t, err, &refused)
	var names []string
	for _, g := range refused.Gates {
		names = append(names, g.Name)
		require.ErrorContains(t, err, "\n  "+g.String())
	}
	require.Equal(t, []string{"guard", "backfill", "verify", "dirty", "bad-rows", "twins", "twins", "twins", "twins", "statistics", "members"}, names)
	require.ErrorContains(t, err, "advance users.full_name: users.full_name from Migrate to Switch is refused:")
	after := b.migration()
	require.Equal(t, before.Epoch, after.Epoch)
	events, err := state.Events(t.Context(), b.db, name)
	require.NoError(t, err)
	require.Empty(t, events)
}

func TestWaiverNeedsAReasonAndIsLogged(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	b.db.MustExec(strayRow + `; ` + memberRow)
	o := open
	o.Quiet = time.Hour
	o.Waive = map[string]string{"strays": "", "members": "it hangs"}
	require.ErrorContains(t, b.advance(switchover.Switch, o), `gate "strays" is waived without a reason`)
	require.Equal(t, switchover.Migrate, b.migration().Phase)
	o.Waive["strays"] = "one cron job a day"
	o.Waive["dirtyy"] = "a slip"
	require.ErrorContains(t, b.advance(switchover.Switch, o), `no gate "dirtyy" to waive; there are columns, guard`)
	delete(o.Waive, "dirtyy")
	used := maps.Clone(o.Waive)
	o.Waive["twins"] = "not needed"
	require.NoError(t, b.advance(switchover.Switch, o))
	events, err := state.Events(t.Context(), b.db, name)
	require.NoError(t, err)
	require.Len(t, events, 1)
	events[0].At = time.Time{}
	require.Equal(t, state.Event{Migration: name, Kind: "advance", From: switchover.Migrate, To: switchover.Switch, Actor: "ada", Waived: used,
		Detail: "100 % of the keys are read from new, back to Migrate when more than 1 % of 1000 compared reads or more differ"}, events[0])
}
