package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
)

const (
	ada = "1|ada|ada|2" // in step
	bob = "2|bob|NULL|NULL"
)

func TestRepairInsert(t *testing.T) {
	t.Parallel()
	newBed(t, usersSQL, rename(), guard.Repair).run(t, []deed{
		{name: "old", sql: `INSERT INTO users (id, user_name) VALUES (3, 'cy')`, rows: []string{ada, bob, "3|cy|cy|2"}, stray: "insert"},
		{name: "default", sql: `INSERT INTO users (id) VALUES (3)`, rows: []string{ada, bob, "3|anon|anon|2"}, stray: "insert"},
		{name: "new", sql: `INSERT INTO users (id, full_name) VALUES (3, 'cy')`, rows: []string{ada, bob, "3|cy|cy|2"}, stray: "insert"},
		{name: "both agree", sql: `INSERT INTO users (id, user_name, full_name) VALUES (3, 'cy', 'cy')`, rows: []string{ada, bob, "3|cy|cy|2"}, stray: "insert"},
		{name: "both disagree", sql: `INSERT INTO users (id, user_name, full_name) VALUES (3, 'cy', 'di')`, err: pg.WouldLose},
		{name: "stamp NULL", sql: `INSERT INTO users (id, user_name, full_name_stamp) VALUES (3, 'cy', NULL)`, rows: []string{ada, bob, "3|cy|cy|2"}, stray: "insert"},
		{name: "stamp NULL, both disagree", sql: `INSERT INTO users VALUES (3, 'cy', '', 'di', NULL)`, err: pg.WouldLose},
		{name: "stamp of Start", sql: `INSERT INTO users VALUES (3, 'cy', '', 'cy', ` + stamp(phase.Start) + `)`, err: pg.StaleStamp},
		{name: "stamp of Contract", sql: `INSERT INTO users VALUES (3, 'cy', '', 'cy', ` + stamp(phase.Contract) + `)`, err: pg.StaleStamp},
		{name: "stamp zero", sql: `INSERT INTO users VALUES (3, 'cy', '', 'cy', 0)`, err: pg.StaleStamp},
		{name: "stamp negative", sql: `INSERT INTO users VALUES (3, 'cy', '', 'cy', -1)`, err: pg.StaleStamp},
		{name: "stamp of Expand", sql: `INSERT INTO users VALUES (3, 'cy', '', 'cy', ` + stamp(phase.Expand) + `)`, rows: []string{ada, bob, "3|cy|cy|2"}},
		{name: "stamp of Switch", sql: `INSERT INTO users VALUES (3, 'cy', '', 'cy', ` + stamp(phase.Switch) + `)`, rows: []string{ada, bob, "3|cy|cy|4"}},
		{name: "many rows", sql: `INSERT INTO users (id, user_name) SELECT 10 + n, 'n' || n FROM generate_series(1, 2) n`,
			rows: []string{ada, bob, "11|n1|n1|2", "12|n2|n2|2"}, stray: "insert"},
		{name: "upsert of old", sql: `INSERT INTO users (id, user_name) VALUES (1, 'eve'), (3, 'cy') ON CONFLICT (id) DO UPDATE SET user_name = EXCLUDED.user_name`,
			rows: []string{"1|eve|eve|2", bob, "3|cy|cy|2"}, stray: "insert"},
		{name: "upsert of another value", sql: `INSERT INTO users (id, user_name) VALUES (1, 'eve') ON CONFLICT (id) DO UPDATE SET user_name = users.user_name || '!'`,
			rows: []string{"1|ada!|ada!|2", bob}, stray: "insert"},
		{name: "conflict, nothing done", sql: `INSERT INTO users (id, user_name) VALUES (1, 'eve') ON CONFLICT DO NOTHING`, rows: []string{ada, bob}, stray: "insert"},
		{name: "merge", sql: `MERGE INTO users u USING (VALUES (1, 'eve'), (3, 'cy')) v (id, n) ON u.id = v.id
			WHEN MATCHED THEN UPDATE SET user_name = n WHEN NOT MATCHED THEN INSERT (id, user_name) VALUES (v.id, n)`,
			rows: []string{"1|eve|eve|2", bob, "3|cy|cy|2"}, stray: "insert"},
	})
}

func TestRepairUpdate(t *testing.T) {
	t.Parallel()
	newBed(t, usersSQL, rename(), guard.Repair).run(t, []deed{
		{name: "old", sql: `UPDATE users SET user_name = 'eve' WHERE id = 1`, rows: []string{"1|eve|eve|2", bob}, stray: "update"},
		{name: "new", sql: `UPDATE users SET full_name = 'eve' WHERE id = 1`, rows: []string{"1|eve|eve|2", bob}, stray: "update"},
		{name: "both agree", sql: `UPDATE users SET user_name = 'eve', full_name = 'eve' WHERE id = 1`, rows: []string{"1|eve|eve|2", bob}, stray: "update"},
		{name: "both disagree", sql: `UPDATE users SET user_name = 'eve', full_name = 'eva' WHERE id = 1`, err: pg.WouldLose},
		{name: "the same values", sql: `UPDATE users SET user_name = 'ada', full_name = 'ada' WHERE id = 1`, rows: []string{ada, bob}},
		{name: "another column", sql: `UPDATE users SET email = 'x'`, rows: []string{ada, bob}},
		{name: "old of an unstamped row", sql: `UPDATE users SET user_name = 'eve' WHERE id = 2`, rows: []string{ada, "2|eve|eve|2"}, stray: "update"},
		{name: "new of an unstamped row", sql: `UPDATE users SET full_name = 'eve' WHERE id = 2`, rows: []string{ada, "2|eve|eve|2"}, stray: "update"},
		{name: "stamp written again", sql: `UPDATE users SET user_name = 'eve', full_name_stamp = 33554433 WHERE id = 1`, rows: []string{"1|eve|eve|2", bob}, stray: "update"},
		{name: "stamp NULL", sql: `UPDATE users SET user_name = 'eve', full_name_stamp = NULL WHERE id = 1`, rows: []string{"1|eve|ada|NULL", bob}},
		{name: "stamp of Start", sql: `UPDATE users SET user_name = 'eve', full_name = 'eve', full_name_stamp = ` + stamp(phase.Start), err: pg.StaleStamp},
		{name: "stamp of Contract", sql: `UPDATE users SET full_name = 'eve', full_name_stamp = ` + stamp(phase.Contract), err: pg.StaleStamp},
		{name: "stamp of Contract alone", sql: `UPDATE users SET full_name_stamp = ` + stamp(phase.Contract), err: pg.StaleStamp},
		{name: "stamp of Migrate", sql: `UPDATE users SET user_name = 'eve', full_name = 'eve', full_name_stamp = ` + stamp(phase.Migrate) + ` WHERE id = 1`,
			rows: []string{"1|eve|eve|3", bob}},
		{name: "old and key", sql: `UPDATE users SET id = 9, user_name = 'eve' WHERE id = 1`, rows: []string{bob, "9|eve|eve|2"}, stray: "update"},
		{name: "all rows", sql: `UPDATE users SET user_name = user_name || '!'`, rows: []string{"1|ada!|ada!|2", "2|bob!|bob!|2"}, stray: "update"},
		{name: "twice", sql: `UPDATE users SET user_name = 'x' WHERE id = 1; UPDATE users SET full_name = 'y' WHERE id = 1`, rows: []string{"1|y|y|2", bob}, stray: "update"},
		{name: "stamped, then stray", sql: `UPDATE users SET user_name = 'x', full_name = 'x', full_name_stamp = ` + stamp(phase.Switch) + `;
			UPDATE users SET user_name = 'y' WHERE id = 2`, rows: []string{"1|x|x|4", "2|y|y|2"}, stray: "update"},
		{name: "delete", sql: `DELETE FROM users WHERE id = 1`, rows: []string{bob}},
	})
}

func TestRepairCopy(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	tx := b.db.MustBegin()
	defer func() { _ = tx.Rollback() }()
	copyIn, err := tx.Prepare(`COPY users (id, user_name) FROM STDIN`)
	require.NoError(t, err)
	defer func() { _ = copyIn.Close() }()
	for _, row := range [][]any{{3, "cy"}, {4, "di"}} {
		_, err = copyIn.Exec(row...)
		require.NoError(t, err)
	}
	_, err = copyIn.Exec()
	require.NoError(t, err)
	require.Equal(t, []string{ada, bob, "3|cy|cy|2", "4|di|di|2"}, b.rows(t, tx))
}

// A conversion without a way back: what only wrote new would be lost.
func TestRepairWithoutBackward(t *testing.T) {
	t.Parallel()
	d := price()
	newBed(t, `CREATE SCHEMA app; CREATE TABLE app."Items" (shop int, id text, price double precision DEFAULT 0, price_cents bigint,
		price_cents_stamp int, PRIMARY KEY (id, shop)); INSERT INTO app."Items" VALUES (1, 'a', 1.5, 150, 33554433)`, d, guard.Repair).run(t, []deed{
		{name: "insert old", sql: `INSERT INTO app."Items" VALUES (1, 'b', 2.5)`, rows: []string{"1|a|1.5|150|2", "1|b|2.5|250|2"}, stray: "insert"},
		{name: "insert NULL", sql: `INSERT INTO app."Items" VALUES (1, 'b', NULL)`, rows: []string{"1|a|1.5|150|2", "1|b|NULL|NULL|2"}, stray: "insert"},
		{name: "insert default", sql: `INSERT INTO app."Items" VALUES (1, 'b')`, rows: []string{"1|a|1.5|150|2", "1|b|0|0|2"}, stray: "insert"},
		{name: "insert new", sql: `INSERT INTO app."Items" (shop, id, price_cents) VALUES (1, 'b', 250)`, err: pg.WouldLose},
		{name: "insert both", sql: `INSERT INTO app."Items" VALUES (1, 'b', 2.5, 250)`, rows: []string{"1|a|1.5|150|2", "1|b|2.5|250|2"}, stray: "insert"},
		{name: "insert both, disagreeing", sql: `INSERT INTO app."Items" VALUES (1, 'b', 2.5, 251)`, err: pg.WouldLose},
		{name: "update old", sql: `UPDATE app."Items" SET price = 3`, rows: []string{"1|a|3|300|2"}, stray: "update"},
		{name: "update old to NULL", sql: `UPDATE app."Items" SET price = NULL`, rows: []string{"1|a|NULL|NULL|2"}, stray: "update"},
		{name: "update new", sql: `UPDATE app."Items" SET price_cents = 300`, err: pg.WouldLose},
		{name: "update both", sql: `UPDATE app."Items" SET price = 3, price_cents = 300`, rows: []string{"1|a|3|300|2"}, stray: "update"},
	})
}

// With a way back that is not exact, a stray's new value that old cannot hold is refused, as it is by the wrappers.
func TestRepairLossy(t *testing.T) {
	t.Parallel()
	d := rename()
	d.Types, d.Forward, d.Backward = []string{"text"}, []string{"upper({user_name})"}, []string{"lower({full_name})"}
	for name, triggered := range map[string]string{"plain": "", "triggered": `; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER f BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f()`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newBed(t, usersSQL+triggered, d, guard.Repair).run(t, []deed{
				{name: "insert new", sql: `INSERT INTO users (id, full_name) VALUES (3, 'CY')`, rows: []string{ada, bob, "3|cy|CY|2"}, stray: "insert"},
				{name: "insert lossy new", sql: `INSERT INTO users (id, full_name) VALUES (3, 'Cy')`, err: pg.WouldLose},
				{name: "update new", sql: `UPDATE users SET full_name = 'EVE' WHERE id = 1`, rows: []string{"1|eve|EVE|2", bob}, stray: "update"},
				{name: "update lossy new", sql: `UPDATE users SET full_name = 'Eve' WHERE id = 1`, err: pg.WouldLose},
			})
		})
	}
}
