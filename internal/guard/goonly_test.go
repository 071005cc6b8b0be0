package guard_test

import (
	"testing"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
)

// Where only Go converts, a row that a stray has written is left to the reader's rule and its key to the sweeper.
func TestGoOnly(t *testing.T) {
	t.Parallel()
	newBed(t, usersSQL, goOnly(), guard.Repair).run(t, []deed{
		{name: "insert old", sql: `INSERT INTO users (id, user_name) VALUES (3, 'cy')`, rows: []string{ada, bob, "3|cy|NULL|NULL"}, stray: "insert", dirty: []string{"3"}},
		{name: "insert default", sql: `INSERT INTO users (id) VALUES (3)`, rows: []string{ada, bob, "3|anon|NULL|NULL"}, stray: "insert", dirty: []string{"3"}},
		{name: "insert new", sql: `INSERT INTO users (id, full_name) VALUES (3, 'cy')`, err: pg.WouldLose},
		{name: "insert both", sql: `INSERT INTO users (id, user_name, full_name) VALUES (3, 'cy', 'cy')`, err: pg.WouldLose},
		{name: "update old", sql: `UPDATE users SET user_name = 'eve' WHERE id = 1`, rows: []string{"1|eve|NULL|NULL", bob}, stray: "update", dirty: []string{"1"}},
		{name: "update old of an unstamped row", sql: `UPDATE users SET user_name = 'eve' WHERE id = 2`, rows: []string{ada, "2|eve|NULL|NULL"}, stray: "update", dirty: []string{"2"}},
		{name: "update new", sql: `UPDATE users SET full_name = 'eve' WHERE id = 1`, err: pg.WouldLose},
		{name: "update both", sql: `UPDATE users SET user_name = 'eve', full_name = 'eve' WHERE id = 1`, err: pg.WouldLose},
		{name: "update another column", sql: `UPDATE users SET email = 'x'`, rows: []string{ada, bob}},
		{name: "update old and key", sql: `UPDATE users SET id = 9, user_name = 'eve' WHERE id = 1`, rows: []string{bob, "9|eve|NULL|NULL"}, stray: "update", dirty: []string{"9"}},
		{name: "update twice", sql: `UPDATE users SET user_name = 'x' WHERE id = 1; UPDATE users SET user_name = 'y' WHERE id = 1`,
			rows: []string{"1|y|NULL|NULL", bob}, stray: "update", dirty: []string{"1", "1"}},
		{name: "upsert", sql: `INSERT INTO users (id, user_name) VALUES (1, 'eve') ON CONFLICT (id) DO UPDATE SET user_name = EXCLUDED.user_name`,
			rows: []string{"1|eve|NULL|NULL", bob}, stray: "insert", dirty: []string{"1", "1"}},
	})
}

func TestGoForwardSQLBackward(t *testing.T) {
	t.Parallel()
	d := goOnly()
	d.Backward = []string{"upper({full_name})"}
	newBed(t, usersSQL, d, guard.Repair).run(t, []deed{
		{name: "insert old", sql: `INSERT INTO users (id, user_name) VALUES (3, 'cy')`, rows: []string{ada, bob, "3|cy|NULL|NULL"}, stray: "insert", dirty: []string{"3"}},
		{name: "insert new", sql: `INSERT INTO users (id, full_name) VALUES (3, 'cy')`, rows: []string{ada, bob, "3|CY|cy|2"}, stray: "insert"},
		{name: "insert both", sql: `INSERT INTO users (id, user_name, full_name) VALUES (3, 'CY', 'cy')`, err: pg.WouldLose},
		{name: "update old", sql: `UPDATE users SET user_name = 'eve' WHERE id = 1`, rows: []string{"1|eve|NULL|NULL", bob}, stray: "update", dirty: []string{"1"}},
		{name: "update new", sql: `UPDATE users SET full_name = 'eve' WHERE id = 1`, rows: []string{"1|EVE|eve|2", bob}, stray: "update"},
		{name: "update old, then new to what it was", sql: `UPDATE users SET user_name = 'eve' WHERE id = 1; UPDATE users SET full_name = 'ada' WHERE id = 1`,
			rows: []string{"1|ADA|ada|2", bob}, stray: "update", dirty: []string{"1"}},
		{name: "update both", sql: `UPDATE users SET user_name = 'EVE', full_name = 'eve' WHERE id = 1`, err: pg.WouldLose},
	})
}

// A composite key goes to tandem.dirty in the order of the pair's declaration, whatever the order in the index.
func TestGoOnlyCompositeKey(t *testing.T) {
	t.Parallel()
	d := price()
	d.Forward = nil
	newBed(t, `CREATE SCHEMA app; CREATE TABLE app."Items" (shop int, id text, price double precision DEFAULT 0, price_cents bigint,
		price_cents_stamp int, PRIMARY KEY (id, shop))`, d, guard.Repair).run(t, []deed{
		{name: "insert", sql: `INSERT INTO app."Items" VALUES (1, 'a,b "c"', 2.5)`, rows: []string{`1|a,b "c"|2.5|NULL|NULL`}, stray: "insert", dirty: []string{`1,a,b "c"`}},
	})
}

// Two columns become one: the pair is in step only when the whole is.
func TestManyColumns(t *testing.T) {
	t.Parallel()
	d := rename()
	d.Old, d.New = []string{"first", "last"}, []string{"full_name"}
	d.Types, d.Forward = []string{"text"}, []string{"{first} || ' ' || {last}"}
	d.Backward = []string{"split_part({full_name}, ' ', 1)", "split_part({full_name}, ' ', 2)"}
	newBed(t, `CREATE TABLE users (id int PRIMARY KEY, first text, last text, full_name text, full_name_stamp int);
		INSERT INTO users VALUES (1, 'Ada', 'L', 'Ada L', 33554433)`, d, guard.Repair).run(t, []deed{
		{name: "insert old", sql: `INSERT INTO users VALUES (2, 'Bo', 'X')`, rows: []string{"1|Ada|L|Ada L|2", "2|Bo|X|Bo X|2"}, stray: "insert"},
		{name: "insert new", sql: `INSERT INTO users (id, full_name) VALUES (2, 'Bo X')`, rows: []string{"1|Ada|L|Ada L|2", "2|Bo|X|Bo X|2"}, stray: "insert"},
		{name: "insert half and new", sql: `INSERT INTO users (id, first, full_name) VALUES (2, 'Bo', 'Bo X')`, err: pg.WouldLose},
		{name: "update one", sql: `UPDATE users SET last = 'Y'`, rows: []string{"1|Ada|Y|Ada Y|2"}, stray: "update"},
		{name: "update new", sql: `UPDATE users SET full_name = 'Bo X'`, rows: []string{"1|Bo|X|Bo X|2"}, stray: "update"},
		{name: "update one and new", sql: `UPDATE users SET last = 'Y', full_name = 'Ada Y'`, rows: []string{"1|Ada|Y|Ada Y|2"}, stray: "update"},
		{name: "update one and new, disagreeing", sql: `UPDATE users SET last = 'Y', full_name = 'Ada Z'`, err: pg.WouldLose},
	})
}
