package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/phase"
)

func TestReject(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	b.db.MustExec(`ALTER TABLE users ALTER user_name DROP NOT NULL, ALTER user_name DROP DEFAULT`) // as contract does before
	b.install(t, guard.Reject)
	insert := `INSERT INTO users VALUES (3, 'cy', '', 'cy', `
	set := `UPDATE users SET user_name = 'eve', full_name = 'eve', full_name_stamp = `
	b.run(t, []deed{
		{name: "insert unstamped", sql: `INSERT INTO users (id, user_name) VALUES (3, 'cy')`, err: "TD001"},
		{name: "insert unstamped new", sql: `INSERT INTO users (id, full_name) VALUES (3, 'cy')`, err: "TD001"},
		{name: "insert neither", sql: `INSERT INTO users (id) VALUES (3)`, err: "TD001"},
		{name: "insert NULL stamp", sql: insert + `NULL)`, err: "TD001"},
		{name: "insert stamp of Expand", sql: insert + stamp(phase.Expand) + `)`, err: "TD001"},
		{name: "insert stamp of Migrate", sql: insert + stamp(phase.Migrate) + `)`, err: "TD001"},
		{name: "insert last stamp of Migrate", sql: insert + `67108863)`, err: "TD001"},
		{name: "insert stamp of Complete", sql: insert + stamp(phase.Complete) + `)`, err: "TD001"},
		{name: "insert stamp of Switch", sql: insert + stamp(phase.Switch) + `)`, rows: []string{ada, bob, "3|cy|cy|4"}},
		{name: "insert first stamp of Switch", sql: insert + `67108864)`, rows: []string{ada, bob, "3|cy|cy|4"}},
		{name: "insert stamp of Contract", sql: `INSERT INTO users (id, full_name, full_name_stamp) VALUES (3, 'cy', ` + stamp(phase.Contract) + `)`,
			rows: []string{ada, bob, "3|NULL|cy|5"}},
		{name: "insert last stamp of Contract", sql: insert + `100663295)`, rows: []string{ada, bob, "3|cy|cy|5"}},
		{name: "update old", sql: `UPDATE users SET user_name = 'eve' WHERE id = 1`, err: "TD001"},
		{name: "update new", sql: `UPDATE users SET full_name = 'eve' WHERE id = 1`, err: "TD001"},
		{name: "update both", sql: `UPDATE users SET user_name = 'eve', full_name = 'eve' WHERE id = 1`, err: "TD001"},
		{name: "update an unstamped row", sql: `UPDATE users SET user_name = 'eve' WHERE id = 2`, err: "TD001"},
		{name: "update to NULL", sql: `UPDATE users SET full_name = NULL WHERE id = 1`, err: "TD001"},
		{name: "update NULL stamp", sql: set + `NULL`, err: "TD001"},
		{name: "update the same stamp", sql: set + `33554433 WHERE id = 1`, err: "TD001"},
		{name: "update stamp of Migrate", sql: set + stamp(phase.Migrate), err: "TD001"},
		{name: "update stamp of Complete", sql: set + stamp(phase.Complete), err: "TD001"},
		{name: "stamp NULL alone", sql: `UPDATE users SET full_name_stamp = NULL WHERE id = 1`, err: "TD001"},
		{name: "update stamp of Switch", sql: set + stamp(phase.Switch) + ` WHERE id = 1`, rows: []string{"1|eve|eve|4", bob}},
		{name: "update stamp of Contract", sql: `UPDATE users SET full_name = 'eve', full_name_stamp = ` + stamp(phase.Contract) + ` WHERE id = 1`,
			rows: []string{"1|ada|eve|5", bob}},
		{name: "another column", sql: `UPDATE users SET email = 'x'`, rows: []string{ada, bob}},
		{name: "old to what it is", sql: `UPDATE users SET user_name = 'ada' WHERE id = 1`, err: "TD001"},
		{name: "new to what it is", sql: `UPDATE users SET full_name = full_name`, err: "TD001"},
		{name: "delete", sql: `DELETE FROM users`, rows: []string{}},
		{name: "upsert", sql: `INSERT INTO users (id, user_name) VALUES (1, 'eve') ON CONFLICT (id) DO UPDATE SET user_name = 'eve'`, err: "TD001"},
	})
	_, err := b.db.Exec(`UPDATE users SET user_name = 'eve'`)
	require.ErrorContains(t, err, "UPDATE of public.users: the migration users.full_name admits only writes of the pair with a new stamp of phase Switch to Contract")
	// nothing of a rejected write stays, and a row of Contract cannot go back to a stale stamp
	b.db.MustExec(`UPDATE users SET full_name = 'new', full_name_stamp = ` + stamp(phase.Contract) + ` WHERE id = 1`)
	b.fails(t, "TD001", `UPDATE users SET full_name_stamp = `+stamp(phase.Migrate))
	require.Equal(t, []string{"1|ada|new|5", bob}, b.rows(t, b.db))
}

func TestReverse(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Reject)
	b.db.MustExec(`INSERT INTO users VALUES (3, 'old', '', 'new', ` + stamp(phase.Contract) + `)`)
	b.install(t, guard.Reverse)
	const cy = "3|old|new|5"
	b.run(t, []deed{
		{name: "insert stamp of Contract", sql: `INSERT INTO users VALUES (4, 'd', '', 'd', ` + stamp(phase.Contract) + `)`, err: "TD001"},
		{name: "update stamp of Contract", sql: `UPDATE users SET full_name = 'd', full_name_stamp = ` + stamp(phase.Contract), err: "TD001"},
		{name: "unstamped", sql: `UPDATE users SET user_name = 'd'`, err: "TD001"},
		{name: "insert stamp of Switch", sql: `INSERT INTO users VALUES (4, 'd', '', 'd', ` + stamp(phase.Switch) + `)`, rows: []string{ada, bob, cy, "4|d|d|4"}},
		{name: "update stamp of Switch", sql: `UPDATE users SET user_name = 'd', full_name = 'd', full_name_stamp = ` + stamp(phase.Switch) + ` WHERE id = 3`,
			rows: []string{ada, bob, "3|d|d|4"}},
		{name: "another column of a row of Contract", sql: `UPDATE users SET email = 'x'`, rows: []string{ada, bob, cy}},
	})
	_, err := b.db.Exec(`UPDATE users SET user_name = 'eve'`)
	require.ErrorContains(t, err, "of phase Switch to Switch")
}

// Do, again, undo, do: every mode replaces every other, and Remove leaves nothing.
func TestModesReplaceEachOther(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	write := `UPDATE users SET user_name = 'eve' WHERE id = 1`
	repaired := deed{name: "repair", sql: write, rows: []string{"1|eve|eve|2", bob}, stray: "update"}
	for _, mode := range []guard.Mode{guard.Repair, guard.Reject, guard.Reject, guard.Reverse, guard.Reject, guard.Repair, guard.Reverse, guard.Repair} {
		b.install(t, mode)
		if mode == guard.Repair {
			b.do(t, repaired)
			continue
		}
		b.fails(t, "TD001", write)
	}
	for range 2 {
		for _, sql := range guard.Remove(b.def) {
			b.db.MustExec(sql)
		}
		require.Equal(t, []string{}, list(t, b.db, `SELECT tgname FROM pg_trigger WHERE tgrelid = 'users'::regclass`))
		require.Empty(t, list(t, b.db, `SELECT proname FROM pg_proc WHERE pronamespace = 'tandem'::regnamespace AND proname LIKE 'guard %'`))
		b.run(t, []deed{{name: "unguarded", sql: write, rows: []string{"1|eve|ada|2", bob}}})
	}
	b.install(t, guard.Repair)
	b.do(t, repaired)
}
