package guard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
)

// profilesSQL has a row in step, one whose row of To has no stamp, and one without.
const profilesSQL = `
	CREATE TABLE users (id bigint PRIMARY KEY, bio text, email text);
	CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE, bio text, bio_stamp int, avatar text);
	INSERT INTO users VALUES (1, 'ada', ''), (2, 'bob', ''), (3, 'cy', '');
	INSERT INTO profiles VALUES (1, 'ada', 33554433, 'a'), (2, NULL, NULL, 'b')`

func move() pair.Definition {
	return pair.Definition{
		Table: ident.Table{Schema: "public", Name: "users"}, Key: []string{"id"}, Old: []string{"bio"},
		To: ident.Table{Schema: "public", Name: "profiles"}, ToKey: []string{"user_id"}, New: []string{"bio"}, Stamp: "bio_stamp",
		Forward: []string{"{bio}"}, Backward: []string{"{bio}"},
	}
}

// pairs shows both tables: key, old, new, phase of the stamp, avatar.
func pairs(t *testing.T, q sqlx.Queryer) []string {
	t.Helper()
	return list(t, q, `SELECT concat_ws('|', coalesce(u.id, p.user_id), CASE WHEN u.id IS NULL THEN 'none' ELSE coalesce(u.bio, 'NULL') END,
		CASE WHEN p.user_id IS NULL THEN 'none' ELSE coalesce(p.bio, 'NULL') END, coalesce((p.bio_stamp >> 24)::text, 'NULL'), p.avatar)
		FROM users u FULL JOIN profiles p ON p.user_id = u.id ORDER BY coalesce(u.id, p.user_id)`)
}

const (
	one   = "1|ada|ada|2|a"
	two   = "2|bob|NULL|NULL|b"
	three = "3|cy|none|NULL"
)

// moves runs deeds on both tables; what is at the end of the transaction counts.
func (b bed) moves(t *testing.T, deeds []deed) {
	t.Helper()
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			tx := b.db.MustBegin()
			defer func() { _ = tx.Rollback() }()
			_, err := tx.Exec(d.sql + `; SET CONSTRAINTS ALL IMMEDIATE`)
			if d.err != "" {
				require.Error(t, err)
				require.Equal(t, d.err, pg.SQLState(err), "%v", err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, d.rows, pairs(t, tx))
			stray := []string{}
			if d.stray != "" {
				stray = []string{d.stray + " profiles.bio"}
			}
			require.Equal(t, stray, list(t, tx, `SELECT operation || ' ' || migration FROM tandem.stray`))
		})
	}
}

func TestMoveRepair(t *testing.T) {
	t.Parallel()
	newBed(t, profilesSQL, move(), guard.Repair).moves(t, []deed{
		{name: "insert", sql: `INSERT INTO users VALUES (4, 'di')`, rows: []string{one, two, three, "4|di|di|4"}},
		{name: "insert NULL", sql: `INSERT INTO users VALUES (4)`, rows: []string{one, two, three, "4|NULL|NULL|4"}},
		{name: "insert both rows", sql: `INSERT INTO users VALUES (4, 'di'); INSERT INTO profiles (user_id, avatar) VALUES (4, 'd')`,
			rows: []string{one, two, three, "4|di|di|4|d"}},
		{name: "insert, update, insert the other", sql: `INSERT INTO users VALUES (4, 'di'); UPDATE users SET bio = 'eve' WHERE id = 4; INSERT INTO profiles (user_id, avatar) VALUES (4, 'd')`,
			rows: []string{one, two, three, "4|eve|eve|4|d"}},
		{name: "insert both rows, then update", sql: `INSERT INTO users VALUES (4, 'di'); INSERT INTO profiles (user_id, avatar) VALUES (4, 'd'); UPDATE users SET bio = 'eve' WHERE id = 4`,
			rows: []string{one, two, three, "4|eve|eve|4|d"}},
		{name: "insert and delete", sql: `INSERT INTO users VALUES (4, 'di'); DELETE FROM users WHERE id = 4`, rows: []string{one, two, three}},
		{name: "update", sql: `UPDATE users SET bio = bio || '!'`, rows: []string{"1|ada!|ada!|4|a", "2|bob!|bob!|4|b", "3|cy!|cy!|4"}},
		{name: "update to NULL", sql: `UPDATE users SET bio = NULL WHERE id = 1`, rows: []string{"1|NULL|NULL|4|a", two, three}},
		{name: "update of another column", sql: `UPDATE users SET email = 'x'`, rows: []string{one, two, three}},
		{name: "upsert", sql: `INSERT INTO users VALUES (1, 'eve'), (4, 'di') ON CONFLICT (id) DO UPDATE SET bio = EXCLUDED.bio`,
			rows: []string{"1|eve|eve|4|a", two, three, "4|di|di|4"}},
		{name: "update of the key", sql: `UPDATE users SET id = 9 WHERE id = 3`, err: pg.WouldLose},
		{name: "delete", sql: `DELETE FROM users WHERE id = 1`, rows: []string{two, three}},

		{name: "profile for a row without", sql: `INSERT INTO profiles (user_id, avatar) VALUES (3, 'c')`, rows: []string{one, two, "3|cy|cy|4|c"}},
		{name: "upsert of a profile", sql: `INSERT INTO profiles (user_id, avatar) VALUES (1, 'x'), (3, 'c') ON CONFLICT (user_id) DO UPDATE SET avatar = EXCLUDED.avatar`,
			rows: []string{"1|ada|ada|2|x", two, "3|cy|cy|4|c"}},
		{name: "avatar", sql: `UPDATE profiles SET avatar = 'x'`, rows: []string{"1|ada|ada|2|x", "2|bob|NULL|NULL|x", three}},
		{name: "new", sql: `UPDATE profiles SET bio = 'eve' WHERE user_id = 1`, rows: []string{"1|eve|eve|4|a", two, three}, stray: "update"},
		{name: "new of an unstamped row", sql: `UPDATE profiles SET bio = 'eve' WHERE user_id = 2`, rows: []string{one, "2|eve|eve|4|b", three}, stray: "update"},
		{name: "insert of new", sql: `INSERT INTO profiles (user_id, bio) VALUES (3, 'eve')`, rows: []string{one, two, "3|eve|eve|4"}, stray: "insert"},
		{name: "insert of the same", sql: `INSERT INTO profiles (user_id, bio) VALUES (3, 'cy')`, rows: []string{one, two, "3|cy|cy|4"}, stray: "insert"},
		{name: "upsert of new", sql: `INSERT INTO profiles (user_id, bio) VALUES (1, 'eve'), (3, 'di') ON CONFLICT (user_id) DO UPDATE SET bio = EXCLUDED.bio`,
			rows: []string{"1|eve|eve|4|a", two, "3|di|di|4"}, stray: "insert"},
		{name: "both", sql: `UPDATE users SET bio = 'x' WHERE id = 1; UPDATE profiles SET bio = 'y' WHERE user_id = 1`, rows: []string{"1|y|y|4|a", two, three}, stray: "update"},
		{name: "stamp of Contract", sql: `UPDATE profiles SET bio = 'x', bio_stamp = ` + stamp(phase.Contract), err: pg.StaleStamp},
		{name: "insert with a stamp of Contract", sql: `INSERT INTO profiles (user_id, bio, bio_stamp) VALUES (3, 'x', ` + stamp(phase.Contract) + `)`, err: pg.StaleStamp},
		{name: "stamp of Start", sql: `UPDATE profiles SET bio_stamp = ` + stamp(phase.Start), err: pg.StaleStamp},
		{name: "stamp NULL", sql: `UPDATE profiles SET bio_stamp = NULL`, rows: []string{"1|ada|ada|NULL|a", two, three}},
		{name: "key of a profile", sql: `UPDATE profiles SET user_id = 3 WHERE user_id = 2`, err: pg.WouldLose},
		{name: "delete a profile", sql: `DELETE FROM profiles WHERE user_id = 1`, rows: []string{"1|ada|ada|4", two, three}},
		{name: "delete a profile, then its user", sql: `DELETE FROM profiles WHERE user_id = 1; DELETE FROM users WHERE id = 1`, rows: []string{two, three}},
	})
}

func TestMoveReject(t *testing.T) {
	t.Parallel()
	b := newBed(t, profilesSQL, move(), guard.Repair)
	b.install(t, guard.Reject)
	over := stamp(phase.Contract)
	b.moves(t, []deed{
		{name: "insert old", sql: `INSERT INTO users VALUES (4, 'di')`, err: pg.StaleStamp},
		{name: "update old", sql: `UPDATE users SET bio = 'x' WHERE id = 3`, err: pg.StaleStamp},
		{name: "update old to NULL", sql: `UPDATE users SET bio = NULL WHERE id = 3`, err: pg.StaleStamp},
		{name: "the same value", sql: `UPDATE users SET bio = 'ada' WHERE id = 1`, err: pg.StaleStamp},
		{name: "upsert of NULL", sql: `INSERT INTO users VALUES (1) ON CONFLICT (id) DO UPDATE SET bio = EXCLUDED.bio`, err: pg.StaleStamp},
		{name: "another column", sql: `UPDATE users SET email = 'x'`, rows: []string{one, two, three}},
		{name: "insert without old", sql: `INSERT INTO users (id) VALUES (4)`, rows: []string{one, two, three, "4|NULL|NULL|4"}},
		{name: "insert of both rows", sql: `WITH o AS (INSERT INTO users (id) VALUES (4) RETURNING id)
			INSERT INTO profiles (user_id, bio, bio_stamp) SELECT id, 'di', ` + over + ` FROM o`, rows: []string{one, two, three, "4|NULL|di|5"}},
		{name: "new", sql: `INSERT INTO profiles (user_id, bio, bio_stamp) VALUES (1, 'x', ` + over + `), (2, 'y', ` + over + `), (3, 'z', ` + over + `)
			ON CONFLICT (user_id) DO UPDATE SET bio = EXCLUDED.bio, bio_stamp = EXCLUDED.bio_stamp`, rows: []string{"1|ada|x|5|a", "2|bob|y|5|b", "3|cy|z|5"}},
		{name: "new without a stamp", sql: `UPDATE profiles SET bio = 'x' WHERE user_id = 1`, err: pg.StaleStamp},
		{name: "the same new without a stamp", sql: `UPDATE profiles SET bio = 'ada' WHERE user_id = 1`, err: pg.StaleStamp},
		{name: "insert of new without a stamp", sql: `INSERT INTO profiles (user_id, bio) VALUES (3, 'x')`, err: pg.StaleStamp},
		{name: "stamp NULL", sql: `UPDATE profiles SET bio_stamp = NULL WHERE user_id = 1`, err: pg.StaleStamp},
		{name: "stamp of Migrate", sql: `UPDATE profiles SET bio = 'x', bio_stamp = ` + stamp(phase.Migrate), err: pg.StaleStamp},
		{name: "profile without new", sql: `INSERT INTO profiles (user_id, avatar) VALUES (3, 'c')`, rows: []string{one, two, "3|cy|cy|4|c"}},
		{name: "avatar", sql: `UPDATE profiles SET avatar = 'x' WHERE user_id = 1`, rows: []string{"1|ada|ada|2|x", two, three}},
		{name: "delete", sql: `DELETE FROM users WHERE id = 1`, rows: []string{two, three}},
		// the deleted value does not come back from old
		{name: "delete a profile", sql: `DELETE FROM profiles WHERE user_id = 1`, rows: []string{"1|NULL|NULL|4", two, three}},
		{name: "truncate", sql: `TRUNCATE profiles`, rows: []string{"1|NULL|NULL|4", "2|NULL|NULL|4", "3|NULL|NULL|4"}},
		{name: "truncate both", sql: `TRUNCATE users CASCADE`, rows: []string{}},
		{name: "delete a profile and make another", sql: `DELETE FROM profiles WHERE user_id = 1; INSERT INTO profiles (user_id, avatar) VALUES (1, 'x')`,
			rows: []string{"1|NULL|NULL|4|x", two, three}},
	})
}

func TestMoveReverse(t *testing.T) {
	t.Parallel()
	b := newBed(t, profilesSQL, move(), guard.Repair)
	b.install(t, guard.Reject)
	b.db.MustExec(`UPDATE profiles SET bio = 'new', bio_stamp = ` + stamp(phase.Contract) + ` WHERE user_id = 1`)
	b.install(t, guard.Reverse)
	const one = "1|ada|new|5|a"
	b.moves(t, []deed{
		{name: "insert", sql: `INSERT INTO users VALUES (4, 'di')`, rows: []string{one, two, three, "4|di|di|4"}},
		{name: "update", sql: `UPDATE users SET bio = 'x'`, rows: []string{"1|x|x|4|a", "2|x|x|4|b", "3|x|x|4"}},
		{name: "the value that old has already", sql: `UPDATE users SET bio = 'ada' WHERE id = 1`, rows: []string{"1|ada|ada|4|a", two, three}},
		{name: "another column", sql: `UPDATE users SET email = 'x'`, rows: []string{one, two, three}},
		{name: "new as in Contract", sql: `UPDATE profiles SET bio = 'x', bio_stamp = ` + stamp(phase.Contract) + `+ 1`, err: pg.StaleStamp},
		{name: "new without a stamp", sql: `UPDATE profiles SET bio = 'x' WHERE user_id = 1`, err: pg.StaleStamp},
		{name: "insert of new", sql: `INSERT INTO profiles (user_id, bio) VALUES (3, 'x')`, err: pg.StaleStamp},
		{name: "profile without new", sql: `INSERT INTO profiles (user_id, avatar) VALUES (3, 'c')`, rows: []string{one, two, "3|cy|cy|4|c"}},
		{name: "delete a profile of Contract", sql: `DELETE FROM profiles WHERE user_id = 1`, rows: []string{"1|NULL|NULL|4", two, three}},
		{name: "delete a profile", sql: `UPDATE users SET bio = 'x' WHERE id = 3; DELETE FROM profiles WHERE user_id = 3`, rows: []string{one, two, "3|x|x|4"}},
		{name: "delete", sql: `DELETE FROM users WHERE id = 1`, rows: []string{two, three}},
	})
	b.install(t, guard.Repair)
	b.moves(t, []deed{{name: "repair again", sql: `UPDATE profiles SET bio = 'x' WHERE user_id = 3; DELETE FROM profiles WHERE user_id = 2; UPDATE users SET bio = 'y' WHERE id = 3`,
		rows: []string{one, "2|bob|bob|4", "3|y|y|4"}}})
}

// Without a foreign key a row of To outlives its row of Table, and means nothing to the next of that key.
func TestMoveWithoutForeignKey(t *testing.T) {
	t.Parallel()
	b := newBed(t, profilesSQL+`; ALTER TABLE profiles DROP CONSTRAINT profiles_user_id_fkey`, move(), guard.Repair)
	for _, mode := range []guard.Mode{guard.Repair, guard.Reject, guard.Reverse} {
		b.install(t, mode)
		b.moves(t, []deed{
			{name: string(mode) + " delete", sql: `DELETE FROM users WHERE id = 1`, rows: []string{"1|none|NULL|NULL|a", two, three}},
			{name: string(mode) + " and again", sql: `DELETE FROM users WHERE id = 1; INSERT INTO users (id) VALUES (1)`, rows: []string{"1|NULL|NULL|4|a", two, three}},
			{name: string(mode) + " profile of nobody", sql: `INSERT INTO profiles (user_id) VALUES (9)`, rows: []string{one, two, three, "9|none|NULL|NULL"}},
		})
	}
	b.install(t, guard.Repair)
	b.fails(t, pg.WouldLose, `INSERT INTO profiles (user_id, bio) VALUES (9, 'x')`)
}

// A trigger of the application writes old once more, before the guard's own fires for the first write.
func TestMoveBesideTriggers(t *testing.T) {
	t.Parallel()
	newBed(t, profilesSQL+`; CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE users SET bio = upper(bio) WHERE id = NEW.id; RETURN NEW; END';
		CREATE TRIGGER again AFTER INSERT OR UPDATE OF bio ON users FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION again()`, move(), guard.Repair).moves(t, []deed{
		{name: "update", sql: `UPDATE users SET bio = 'eve' WHERE id = 1`, rows: []string{"1|EVE|EVE|4|a", two, three}},
		{name: "insert", sql: `INSERT INTO users VALUES (4, 'di')`, rows: []string{one, two, three, "4|DI|DI|4"}},
	})
}

// A conversion with another type, and names that need quotes.
func TestMoveConverts(t *testing.T) {
	t.Parallel()
	d := move()
	d.Table, d.Old, d.Key = ident.Table{Schema: "public", Name: "Users"}, []string{"Price"}, []string{"a", "b"}
	d.To, d.New, d.ToKey = ident.Table{Schema: "app", Name: "100%.x"}, []string{"Cents"}, []string{"b", "A"}
	d.Types, d.Stamp = []string{"bigint"}, "Cents_stamp"
	d.Forward, d.Backward = []string{"round({Price} * 100)"}, []string{"{Cents} / 100.0"}
	b := newBed(t, `CREATE SCHEMA app; CREATE TABLE "Users" (a int, b text, "Price" numeric(10,2), PRIMARY KEY (b, a));
		CREATE TABLE app."100%.x" (b int, "A" text, "Cents" bigint, "Cents_stamp" int, PRIMARY KEY ("A", b))`, d, guard.Repair)
	rows := `SELECT concat_ws('|', u.a, u.b, u."Price", p."Cents") FROM "Users" u JOIN app."100%.x" p ON p.b = u.a AND p."A" = u.b ORDER BY 1`
	b.db.MustExec(`INSERT INTO "Users" VALUES (1, 'x', 1.5), (2, 'x', 2); UPDATE "Users" SET "Price" = 3 WHERE a = 2`)
	require.Equal(t, []string{"1|x|1.50|150", "2|x|3.00|300"}, list(t, b.db, rows))
	b.db.MustExec(`UPDATE app."100%.x" SET "Cents" = 205 WHERE b = 1`)
	require.Equal(t, []string{"1|x|2.05|205", "2|x|3.00|300"}, list(t, b.db, rows))
	b.install(t, guard.Reject)
	b.fails(t, pg.StaleStamp, `UPDATE app."100%.x" SET "Cents" = 5`)
	for _, sql := range guard.Remove(d) {
		b.db.MustExec(sql)
	}
	require.Empty(t, list(t, b.db, `SELECT tgname FROM pg_trigger WHERE tgname LIKE 'zz%'`))
	require.Empty(t, list(t, b.db, `SELECT proname FROM pg_proc WHERE proname LIKE 'guard %'`))
}

// A lossy way back, and none.
func TestMoveLossy(t *testing.T) {
	t.Parallel()
	d := move()
	d.Types, d.Forward, d.Backward = []string{"text"}, []string{"lower({bio})"}, []string{"{bio}"}
	newBed(t, profilesSQL, d, guard.Repair).moves(t, []deed{
		{name: "fits", sql: `UPDATE profiles SET bio = 'eve' WHERE user_id = 1`, rows: []string{"1|eve|eve|4|a", two, three}, stray: "update"},
		{name: "does not", sql: `UPDATE profiles SET bio = 'Eve' WHERE user_id = 1`, err: pg.WouldLose},
		{name: "insert that fits", sql: `INSERT INTO profiles (user_id, bio) VALUES (3, 'eve')`, rows: []string{one, two, "3|eve|eve|4"}, stray: "insert"},
		{name: "insert that does not", sql: `INSERT INTO profiles (user_id, bio) VALUES (3, 'Eve')`, err: pg.WouldLose},
	})
	d.Backward = nil
	newBed(t, profilesSQL, d, guard.Repair).moves(t, []deed{
		{name: "no way back", sql: `UPDATE profiles SET bio = 'eve' WHERE user_id = 1`, err: pg.WouldLose},
		{name: "no way back, insert", sql: `INSERT INTO profiles (user_id, bio) VALUES (3, 'eve')`, err: pg.WouldLose},
		{name: "no way back, insert of the same", sql: `INSERT INTO profiles (user_id, bio) VALUES (3, 'cy')`, rows: []string{one, two, "3|cy|cy|4"}, stray: "insert"},
	})
}

// Whoever writes one table needs no right on the other; and writers of every kind are seen: COPY, replicas, MERGE.
func TestMoveWriters(t *testing.T) {
	t.Parallel()
	b := newBed(t, profilesSQL, move(), guard.Repair)
	role := fmt.Sprintf("mover_%d", time.Now().UnixNano()) // roles belong to the server
	b.db.MustExec(`CREATE ROLE ` + role + `; GRANT SELECT, INSERT, UPDATE, DELETE ON users TO ` + role)
	t.Cleanup(func() { b.db.MustExec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	b.moves(t, []deed{
		{name: "role", sql: `SET LOCAL ROLE ` + role + `; INSERT INTO users VALUES (4, 'di'); UPDATE users SET bio = 'x' WHERE id IN (1, 4); DELETE FROM users WHERE id = 2;
			SET CONSTRAINTS ALL IMMEDIATE; RESET ROLE`, rows: []string{"1|x|x|4|a", three, "4|x|x|4"}},
		{name: "replica", sql: `SET LOCAL session_replication_role = replica; INSERT INTO users VALUES (4, 'di'); UPDATE users SET bio = 'x' WHERE id IN (1, 4)`,
			rows: []string{"1|x|x|4|a", two, three, "4|x|x|4"}},
		{name: "merge", sql: `MERGE INTO users u USING (VALUES (1, 'eve'), (4, 'di')) v (id, n) ON u.id = v.id
			WHEN MATCHED THEN UPDATE SET bio = n WHEN NOT MATCHED THEN INSERT (id, bio) VALUES (v.id, n)`, rows: []string{"1|eve|eve|4|a", two, three, "4|di|di|4"}},
	})
	tx := b.db.MustBegin()
	copyIn, err := tx.Prepare(`COPY users (id, bio) FROM STDIN`)
	require.NoError(t, err)
	defer func() { _ = copyIn.Close() }()
	_, err = copyIn.Exec(4, "di")
	require.NoError(t, err)
	_, err = copyIn.Exec()
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{one, two, three, "4|di|di|4"}, pairs(t, b.db))
}

// What the functions plan while a table is small they keep when it has grown, in the same transaction too: they must find rows by their keys from the first one on.
func TestMoveFindsRowsByKey(t *testing.T) {
	t.Parallel()
	b := newBed(t, profilesSQL, move(), guard.Repair)
	b.db.MustExec(`VACUUM ANALYZE users, profiles`) // else the planner takes them for larger than they are
	tx := b.db.MustBegin()
	defer func() { _ = tx.Rollback() }()
	tx.MustExec(`INSERT INTO users SELECT i, 'bio ' || i FROM generate_series(10, 2009) i; SET CONSTRAINTS ALL IMMEDIATE; UPDATE users SET bio = bio || '!'; DELETE FROM profiles WHERE user_id = 10`)
	var read int
	require.NoError(t, tx.Get(&read, `SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'profiles'`))
	require.Less(t, read, 20_000)
}
