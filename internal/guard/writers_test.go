package guard_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
)

// A writer whose snapshot is older than the exchange of the guard meets the new guard all the same.
func TestWriterOlderThanTheExchange(t *testing.T) {
	t.Parallel()
	for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL, rename(), guard.Repair)
			begin := func() *sql.Tx {
				tx, err := b.db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
				require.NoError(t, err)
				t.Cleanup(func() { _ = tx.Rollback() })
				var n int
				require.NoError(t, tx.QueryRow(`SELECT count(*) FROM tandem.migration`).Scan(&n)) // takes the snapshot, no lock on users
				return tx
			}
			before := begin()
			b.install(t, guard.Reject)
			_, err := before.Exec(`UPDATE users SET user_name = 'eve' WHERE id = 1`)
			require.Equal(t, pg.StaleStamp, pg.SQLState(err), "%v", err)
			before = begin()
			b.install(t, guard.Repair)
			_, err = before.Exec(`UPDATE users SET user_name = 'eve' WHERE id = 1`)
			require.NoError(t, err)
			require.NoError(t, before.Commit())
			require.Equal(t, []string{"1|eve|eve|2", bob}, b.rows(t, b.db))
		})
	}
}

// A statement that was planned under one guard meets the next one.
func TestPreparedStatementMeetsTheNextGuard(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	b.db.SetMaxOpenConns(1)
	write, err := b.db.Prepare(`UPDATE users SET user_name = $1 WHERE id = 1`)
	require.NoError(t, err)
	defer func() { _ = write.Close() }()
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} { // past the fifth the plan is generic
		_, err = write.Exec(name)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"1|g|g|2", bob}, b.rows(t, b.db))
	b.install(t, guard.Reject)
	_, err = write.Exec("h")
	require.Equal(t, pg.StaleStamp, pg.SQLState(err), "%v", err)
}

// Triggers of the application: one changes the row before it is stored, one changes it again after.
func TestApplicationsOwnTriggers(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL+`;
		CREATE TABLE audit (line text);
		CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.user_name := btrim(NEW.user_name); RETURN NEW; END';
		CREATE TRIGGER tidy BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION tidy();
		CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
			UPDATE users SET email = 'touched', user_name = user_name || '+' WHERE id = NEW.id AND email <> 'touched'; RETURN NULL; END$$;
		CREATE TRIGGER a_touch AFTER UPDATE OF user_name ON users FOR EACH ROW EXECUTE FUNCTION touch();
		CREATE TRIGGER zzz_touch AFTER UPDATE OF user_name ON users FOR EACH ROW EXECUTE FUNCTION touch()`, rename(), guard.Repair)
	b.run(t, []deed{
		{name: "insert", sql: `INSERT INTO users (id, user_name) VALUES (3, ' cy ')`, rows: []string{ada, bob, "3|cy|cy|2"}, stray: "insert"},
		{name: "update old", sql: `UPDATE users SET user_name = ' eve ' WHERE id = 1`, rows: []string{"1|eve+|eve+|2", bob}, stray: "update"},
		// UPDATE OF goes by the columns that the statement names, so it misses the old value that the guard sets
		{name: "update new", sql: `UPDATE users SET full_name = 'eve' WHERE id = 1`, rows: []string{"1|eve|eve|2", bob}, stray: "update"},
		{name: "update all", sql: `UPDATE users SET user_name = user_name || ' '`, rows: []string{"1|ada+|ada+|2", "2|bob+|bob+|2"}, stray: "update"},
	})
}

// What an application's trigger does must work when the guard writes the row: under the writer's search_path and role, once.
func TestAuditTrigger(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL+`;
		CREATE TABLE audit (line text);
		CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
			INSERT INTO audit VALUES (OLD.user_name || ' to ' || NEW.user_name || ' by ' || current_user); RETURN NULL; END$$;
		CREATE TRIGGER audit AFTER UPDATE ON users FOR EACH ROW WHEN (NEW.user_name <> OLD.user_name) EXECUTE FUNCTION audit()`, rename(), guard.Repair)
	var role string
	require.NoError(t, b.db.Get(&role, `SELECT current_database() || '_app'`))
	b.db.MustExec(`CREATE ROLE ` + role + `; GRANT ALL ON users, audit TO ` + role)
	t.Cleanup(func() { b.db.MustExec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	for _, set := range []string{`user_name = 'eve'`, `full_name = 'eve'`} {
		t.Run(set, func(t *testing.T) {
			tx := b.db.MustBegin()
			defer func() { _ = tx.Rollback() }()
			_, err := tx.Exec(`SET LOCAL ROLE ` + role + `; UPDATE users SET ` + set + ` WHERE id = 1`)
			require.NoError(t, err)
			require.Equal(t, []string{"1|eve|eve|2", bob}, b.rows(t, tx))
			require.Equal(t, []string{"ada to eve by " + role}, list(t, tx, `SELECT line FROM audit`))
		})
	}
}

// FORCE ROW LEVEL SECURITY binds the table's owner too, and so the guard's functions: a row that they cannot see must not stay out of step.
func TestRowSecurityOfTheOwner(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	var base string
	require.NoError(t, b.db.Get(&base, `SELECT current_database()`))
	owner, app := base+"_owner", base+"_app"
	b.db.MustExec(`CREATE ROLE ` + owner + `; CREATE ROLE ` + app + `; GRANT ALL ON SCHEMA public, tandem TO ` + owner + `;
		GRANT ALL ON ALL TABLES IN SCHEMA tandem TO ` + owner + `; GRANT ALL ON users TO ` + app + `; ALTER TABLE users OWNER TO ` + owner)
	t.Cleanup(func() {
		b.db.MustExec(`DROP TABLE users; DROP OWNED BY ` + owner + `, ` + app + `; DROP ROLE ` + owner + `, ` + app)
	})
	for _, f := range guard.Functions(b.def)[:2] { // the third is of another mode
		b.db.MustExec(`ALTER FUNCTION tandem."` + f + `" OWNER TO ` + owner)
	}
	b.db.MustExec(`ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON users TO ` + app + ` USING (true)`)
	write := func() []string {
		tx := b.db.MustBegin()
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.Exec(`SET LOCAL ROLE ` + app + `; UPDATE users SET user_name = 'eve' WHERE id = 1`); err != nil {
			return []string{pg.SQLState(err)}
		}
		tx.MustExec(`RESET ROLE`)
		return b.rows(t, tx)
	}
	require.Equal(t, []string{pg.WouldLose}, write()) // the guard is older than the policy, and finds no row to repair
	b.install(t, guard.Repair)
	require.Equal(t, []string{"1|eve|eve|2", bob}, write())
}

// A good writer's row is left exactly as it was written.
func TestGoodWriterIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	for _, p := range []phase.Phase{phase.Expand, phase.Migrate, phase.Switch} {
		b.db.MustExec(`UPDATE users SET user_name = 'o', full_name = 'n', full_name_stamp = $1 WHERE id = 1`, p.Stamp())
		b.db.MustExec(`UPDATE users SET full_name_stamp = $1 WHERE id = 1`, p.Stamp()) // the backfill of a row that is in step
	}
	require.Equal(t, []string{"1|o|n|4", bob}, b.rows(t, b.db))
	require.Equal(t, []string{}, list(t, b.db, `SELECT operation FROM tandem.stray`))
}

// A deferrable constraint lets one statement exchange the values of two rows; so does its twin, when the guard repairs what a stray exchanges.
func TestStrayExchangesUniqueValues(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"} {
		b := newBed(t, usersSQL+`; UPDATE users SET full_name = user_name, full_name_stamp = 33554433;
			ALTER TABLE users ADD UNIQUE (user_name) `+when+`, ADD UNIQUE (full_name) `+when, rename(), guard.Repair)
		b.run(t, []deed{{name: when, sql: `UPDATE users SET user_name = CASE user_name WHEN 'ada' THEN 'bob' ELSE 'ada' END; SET CONSTRAINTS ALL IMMEDIATE`,
			rows: []string{"1|bob|bob|2", "2|ada|ada|2"}, stray: "update"}})
	}
}
