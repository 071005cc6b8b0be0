package guard_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// itemsSQL is a table and a partitioned one in its place, both with a foreign key that acts.
const itemsSQL = `
	CREATE TABLE people (id int PRIMARY KEY); INSERT INTO people VALUES (1), (2);
	CREATE TABLE items (id int PRIMARY KEY, day int NOT NULL, price numeric(10,2), owner int REFERENCES people ON DELETE CASCADE);
	CREATE TABLE items_v2 (day int, id int, cents bigint, owner int REFERENCES people ON DELETE CASCADE, PRIMARY KEY (day, id)) PARTITION BY LIST (day);
	CREATE TABLE items_1 PARTITION OF items_v2 FOR VALUES IN (1);
	CREATE TABLE items_2 PARTITION OF items_v2 DEFAULT`

func replacement() pair.Definition {
	return pair.Definition{Table: ident.Table{Schema: "public", Name: "items"}, Key: []string{"id"}, Into: ident.Table{Schema: "public", Name: "items_v2"}, IntoKey: []string{"day", "id"},
		New: []string{"cents"}, Forward: []string{"{price} * 100"}, Old: []string{"price"}, Backward: []string{"{cents} / 100.0"}}
}

// mirrored is a database in which items_v2 mirrors items, or in Contract items_replaced mirrors items_v2.
func mirrored(t testing.TB, create string, p phase.Phase) *sqlx.DB {
	t.Helper()
	db := pgtest.New(t)
	require.NoError(t, state.Install(t.Context(), db))
	d := replacement()
	require.NoError(t, d.Check())
	db.MustExec(create)
	if p == phase.Contract {
		db.MustExec(`ALTER TABLE items RENAME TO items_replaced`)
	}
	r, err := catalog.ReadReplacement(t.Context(), db, d, p)
	require.NoError(t, err)
	for range 2 { // it can be done again
		require.NoError(t, pg.InTx(t.Context(), db, pg.Settings{LockTimeout: 10 * time.Second}, func(ctx context.Context, tx *sqlx.Tx) error {
			for _, sql := range r.Mirror(p).Install() {
				if _, err := tx.ExecContext(ctx, sql); err != nil {
					return fmt.Errorf("%w in %s", err, sql)
				}
			}
			return nil
		}))
	}
	missing, err := r.Unmirrored(t.Context(), db, p)
	require.NoError(t, err)
	require.Empty(t, missing)
	return db
}

// itemDeeds are what one transaction does to %[1]s, which is written, and must come of %[2]s, which follows. Each begins with the items 1 and 2 of day 1, and 3 of day 2.
var itemDeeds = []struct {
	name, sql, err string
	rows           []string // id, day, cents; of both
	only           phase.Phase
}{
	{name: "insert", sql: `INSERT INTO %[1]s (id, day, %[3]s) VALUES (4, 1, 4), (5, 7, NULL)`, rows: []string{"1 1 100", "2 1 200", "3 2 300", "4 1 400", "5 7 -"}},
	{name: "update", sql: `UPDATE %[1]s SET %[3]s = %[3]s * 2 WHERE id > 1`, rows: []string{"1 1 100", "2 1 400", "3 2 600"}},
	{name: "delete", sql: `DELETE FROM %[1]s WHERE day = 1`, rows: []string{"3 2 300"}},
	{name: "nothing", sql: `UPDATE %[1]s SET id = id`, rows: []string{"1 1 100", "2 1 200", "3 2 300"}},
	{name: "another partition", sql: `UPDATE %[1]s SET day = 3 - day`, rows: []string{"1 2 100", "2 2 200", "3 1 300"}},
	{name: "another key within a partition", sql: `UPDATE %[1]s SET day = 12 WHERE id = 3`, rows: []string{"1 1 100", "2 1 200", "3 12 300"}},
	{name: "another key", sql: `UPDATE %[1]s SET id = 10 WHERE id = 1`, rows: []string{"10 1 100", "2 1 200", "3 2 300"}},
	{name: "key and partition", sql: `UPDATE %[1]s SET id = id + 10, day = 4`, rows: []string{"11 4 100", "12 4 200", "13 4 300"}},
	{name: "upsert", sql: `INSERT INTO %[1]s (id, day, %[3]s) VALUES (1, 1, 9) ON CONFLICT (%[4]s) DO UPDATE SET %[3]s = EXCLUDED.%[3]s`, rows: []string{"1 1 900", "2 1 200", "3 2 300"}},
	{name: "delete and insert again", sql: `DELETE FROM %[1]s WHERE id = 1; INSERT INTO %[1]s (id, day, %[3]s) VALUES (1, 2, 9)`, rows: []string{"1 2 900", "2 1 200", "3 2 300"}},
	{name: "truncate", sql: `TRUNCATE %[1]s; INSERT INTO %[1]s (id, day, %[3]s) VALUES (8, 1, 8)`, rows: []string{"8 1 800"}},
	{name: "replica role", sql: `SET LOCAL session_replication_role = replica; UPDATE %[1]s SET %[3]s = 7 * %[3]s / %[3]s WHERE id = 1; DELETE FROM %[1]s WHERE id = 2`,
		rows: []string{"1 1 700", "3 2 300"}},
	{name: "savepoint", sql: `SAVEPOINT a; DELETE FROM %[1]s; ROLLBACK TO a; UPDATE %[1]s SET day = 5 WHERE id = 1`, rows: []string{"1 5 100", "2 1 200", "3 2 300"}},
	{name: "cascade", sql: `UPDATE %[1]s SET owner = id WHERE id < 3; DELETE FROM people WHERE id = 1`, rows: []string{"2 1 200", "3 2 300"}},
	{name: "a trigger that writes the row again", sql: `
		CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE %[1]s SET %[3]s = 5 * NEW.%[3]s / NEW.%[3]s WHERE id = NEW.id; RETURN NULL; END $$;
		CREATE TRIGGER again AFTER INSERT ON %[1]s FOR EACH ROW EXECUTE FUNCTION again(); INSERT INTO %[1]s (id, day, %[3]s) VALUES (4, 1, 4)`,
		rows: []string{"1 1 100", "2 1 200", "3 2 300", "4 1 500"}},
	{name: "a trigger that takes the row away again", sql: `
		CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM %[1]s WHERE id = NEW.id; RETURN NULL; END $$;
		CREATE TRIGGER away AFTER INSERT OR UPDATE ON %[1]s FOR EACH ROW EXECUTE FUNCTION away(); INSERT INTO %[1]s (id, day, %[3]s) VALUES (4, 1, 4); UPDATE %[1]s SET owner = 1 WHERE id = 1`,
		rows: []string{"2 1 200", "3 2 300"}},
	{name: "a trigger that brings the row back", sql: `
		CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO %[1]s (id, day, %[3]s) VALUES (OLD.id, OLD.day, 5 * OLD.%[3]s / OLD.%[3]s); RETURN NULL; END $$;
		CREATE TRIGGER back AFTER DELETE ON %[1]s FOR EACH ROW EXECUTE FUNCTION back(); DELETE FROM %[1]s WHERE id = 1`, rows: []string{"1 1 500", "2 1 200", "3 2 300"}},
	{name: "keys that move up", sql: `TRUNCATE %[1]s; INSERT INTO %[1]s (id, day, %[3]s) VALUES (3, 1, 9), (2, 1, 4), (1, 1, 8); UPDATE %[1]s SET id = id + 1`,
		rows: []string{"2 1 800", "3 1 400", "4 1 900"}},
	{name: "around the guard, insert", sql: `INSERT INTO %[2]s (id, day) VALUES (4, 1)`, err: pg.StaleStamp},
	{name: "around the guard, update", sql: `UPDATE %[2]s SET owner = NULL WHERE id = 3`, err: pg.StaleStamp},
	{name: "around the guard, delete", sql: `DELETE FROM %[2]s`, err: pg.StaleStamp},
	{name: "around the guard, truncate", sql: `TRUNCATE %[2]s`, err: pg.StaleStamp},
	{name: "around the guard, a partition", sql: `DELETE FROM items_1`, err: pg.StaleStamp, only: phase.Start},
	{name: "into a partition", sql: `INSERT INTO items_1 (id, day, cents) VALUES (4, 1, 400)`, rows: []string{"1 1 100", "2 1 200", "3 2 300", "4 1 400"}, only: phase.Contract},
	{name: "two that old cannot tell apart", sql: `INSERT INTO %[1]s (id, day, cents) VALUES (1, 9, 1)`, err: "23505", only: phase.Contract},
	{name: "what old cannot hold", sql: `UPDATE %[1]s SET owner = 77 WHERE id = 1`, err: "23503"},
}

func TestMirror(t *testing.T) {
	t.Parallel()
	for _, p := range []phase.Phase{phase.Start, phase.Contract} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			db := mirrored(t, itemsSQL, p)
			written, follows, column, key := "items", "items_v2", "price", "id"
			if p == phase.Contract {
				written, follows, column, key = "items_v2", "items_replaced", "cents", "day, id"
			}
			factor := map[phase.Phase]int{phase.Start: 1, phase.Contract: 100}[p]
			db.MustExec(fmt.Sprintf(`INSERT INTO %s (id, day, %s) VALUES (1, 1, %d), (2, 1, %d), (3, 2, %d)`, written, column, factor, 2*factor, 3*factor))
			for _, d := range itemDeeds {
				if d.only != 0 && d.only != p {
					continue
				}
				t.Run(d.name, func(t *testing.T) {
					tx := db.MustBegin()
					defer func() { _ = tx.Rollback() }()
					value := column
					sql := d.sql
					if p == phase.Contract { // what is written as 4 is 400 there
						sql = inCents(sql)
					}
					_, err := tx.Exec(fmt.Sprintf(sql+` -- %[1]s %[2]s %[3]s %[4]s`, written, follows, value, key))
					if d.err != "" {
						require.Equal(t, d.err, pg.SQLState(err), "%v", err)
						return
					}
					require.NoError(t, err)
					require.Equal(t, d.rows, list(t, tx, `SELECT concat_ws(' ', id, day, coalesce((`+map[bool]string{true: "price * 100)::bigint", false: "cents)"}[column == "price"]+
						`::text, '-')) FROM `+written+` ORDER BY id::text COLLATE "C"`))
					require.Empty(t, list(t, tx, fmt.Sprintf(`SELECT id::text FROM items%s o FULL JOIN items_v2 n USING (id, day) WHERE (o.price * 100)::bigint IS DISTINCT FROM n.cents
						OR o.owner IS DISTINCT FROM n.owner OR o.tableoid IS NULL OR n.tableoid IS NULL`, map[bool]string{true: "_replaced"}[p == phase.Contract])))
				})
			}
		})
	}
}

// Values that do not survive the way back are refused in Contract.
func TestMirrorRefusesWhatIsLost(t *testing.T) {
	t.Parallel()
	d := `CREATE TABLE items (id int PRIMARY KEY, day int NOT NULL, price numeric(10,1), owner int);
		CREATE TABLE items_v2 (day int, id int, cents bigint, owner int, PRIMARY KEY (day, id))`
	db := mirrored(t, d, phase.Contract)
	db.MustExec(`INSERT INTO items_v2 VALUES (1, 1, 110, NULL)`)
	_, err := db.Exec(`UPDATE items_v2 SET cents = 111`)
	require.Equal(t, pg.WouldLose, pg.SQLState(err), "%v", err)
	require.Equal(t, []string{"1.1"}, list(t, db, `SELECT price::text FROM items_replaced`))
}

// The writer's role needs no right on the mirror, nor on schema tandem; names may be anything.
func TestMirrorOfARoleAndOddNames(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	require.NoError(t, state.Install(t.Context(), db))
	d := pair.Definition{Table: ident.Table{Schema: "My.App", Name: "select"}, Key: []string{"Id"}, Into: ident.Table{Schema: "My.App", Name: `new "$tandem$" one's`}, IntoKey: []string{"Id"}}
	require.NoError(t, d.Check())
	db.MustExec(`CREATE SCHEMA "My.App"; CREATE TYPE "My.App"."Mood" AS ENUM ('{x}');
		CREATE TABLE ` + d.Table.SQL() + ` ("Id" varchar(9) PRIMARY KEY, "a{b" "My.App"."Mood"[], doc json);
		CREATE TABLE ` + d.Into.SQL() + ` (doc json, "Id" varchar(9) PRIMARY KEY, "a{b" "My.App"."Mood"[])`)
	r, err := catalog.ReadReplacement(t.Context(), db, d, phase.Start)
	require.NoError(t, err)
	for _, sql := range r.Mirror(phase.Start).Install() {
		db.MustExec(sql)
	}
	var role string
	require.NoError(t, db.Get(&role, `SELECT current_database() || '_app'`))
	db.MustExec(`CREATE ROLE ` + role)
	t.Cleanup(func() { db.MustExec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	db.MustExec(`GRANT USAGE ON SCHEMA "My.App" TO ` + role + `; GRANT SELECT, INSERT, UPDATE ON ` + d.Table.SQL() + ` TO ` + role + `; REVOKE ALL ON SCHEMA tandem FROM PUBLIC`)
	tx := db.MustBegin()
	tx.MustExec(`SET LOCAL ROLE ` + role)
	tx.MustExec(`INSERT INTO ` + d.Table.SQL() + ` VALUES ('x', ARRAY['{x}']::"My.App"."Mood"[], '{"a": 1}')`)
	tx.MustExec(`UPDATE ` + d.Table.SQL() + ` SET doc = '2'`)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{`x {"{x}"} 2`}, list(t, db, `SELECT concat_ws(' ', "Id", "a{b", doc) FROM `+d.Into.SQL()))
}

// The mark under which the mirror writes is off again after each write, and after one that failed; and it takes no superuser to make the function that sets it.
func TestMirrorUnmarksItself(t *testing.T) {
	t.Parallel()
	db := mirrored(t, itemsSQL, phase.Start)
	var role string
	require.NoError(t, db.Get(&role, `SELECT current_database() || '_owner'`))
	db.MustExec(`CREATE ROLE ` + role)
	t.Cleanup(func() {
		db.MustExec(`REASSIGN OWNED BY ` + role + ` TO CURRENT_USER; DROP OWNED BY ` + role + `; DROP ROLE ` + role)
	})
	db.MustExec(`GRANT ALL ON SCHEMA tandem, public TO ` + role + `; ALTER TABLE items OWNER TO ` + role + `; ALTER TABLE items_v2 OWNER TO ` + role + `; ALTER TABLE items_1 OWNER TO ` + role + `; ALTER TABLE items_2 OWNER TO ` + role + `; GRANT ALL ON people TO ` + role +
		`; DROP FUNCTION tandem."mirror items_v2"(), tandem."only items_v2"() CASCADE`)
	r, err := catalog.ReadReplacement(t.Context(), db, replacement(), phase.Start)
	require.NoError(t, err)
	tx := db.MustBegin()
	tx.MustExec(`SET LOCAL ROLE ` + role)
	for _, sql := range r.Mirror(phase.Start).Install() {
		tx.MustExec(sql)
	}
	require.NoError(t, tx.Commit())
	for _, write := range []string{
		`INSERT INTO items VALUES (1, 1, 1)`, `UPDATE items SET price = 2`, `UPDATE items SET day = 2`, `DELETE FROM items`, `TRUNCATE items`,
		`DO 'BEGIN INSERT INTO items VALUES (9, 1, 1, 77); EXCEPTION WHEN OTHERS THEN NULL; END'`,
	} {
		tx := db.MustBegin()
		tx.MustExec(write)
		_, err := tx.Exec(`INSERT INTO items_v2 VALUES (5, 5, 5)`)
		require.NoError(t, tx.Rollback()) // before anything ends the test: its cleanup needs the locks
		require.Equal(t, pg.StaleStamp, pg.SQLState(err), "after %s: %v", write, err)
	}
}

// inCents writes the numbers of a deed as the new table has them.
func inCents(sql string) string {
	for _, s := range [][2]string{{"1, 4)", "1, 400)"}, {"1, 9)", "1, 900)"}, {"2, 9)", "2, 900)"}, {"1, 8)", "1, 800)"}, {"7 * ", "700 * "}, {"5 * ", "500 * "}} {
		sql = strings.ReplaceAll(sql, s[0], s[1])
	}
	return sql
}
