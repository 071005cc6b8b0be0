package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pgtest"
)

const dependentSQL = `CREATE SCHEMA tandem; CREATE TABLE users (id int PRIMARY KEY, user_name text UNIQUE, age int, full_name text, full_name_stamp int);
	CREATE TABLE log (line text); CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`

func TestDependents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		want []string // kind and name, ! where it blocks the drop
	}{
		"none":                   {`CREATE INDEX ON users (lower(user_name)); ALTER TABLE users ALTER user_name SET DEFAULT 'x', ALTER user_name SET NOT NULL, ADD CHECK (user_name <> '')`, nil},
		"view":                   {`CREATE VIEW "V" AS SELECT user_name FROM users`, []string{`!view "V"`}},
		"view of another column": {`CREATE VIEW v AS SELECT id FROM users`, nil},
		"view that only filters": {`CREATE VIEW v AS SELECT id FROM users WHERE user_name <> ''`, []string{`!view v`}},
		"view on a view":         {`CREATE VIEW v AS SELECT user_name FROM users; CREATE VIEW w AS SELECT user_name FROM v`, []string{`!view v`}},
		"materialized view":      {`CREATE MATERIALIZED VIEW m AS SELECT user_name FROM users`, []string{`!materialized view m`}},
		"rule":                   {`CREATE RULE r AS ON UPDATE TO users DO ALSO INSERT INTO log VALUES (OLD.user_name)`, []string{`!rule r on users`}},
		"policy":                 {`CREATE POLICY "P" ON users USING (user_name = current_user)`, []string{`!policy "P"`}},
		"trigger update of":      {`CREATE TRIGGER t BEFORE UPDATE OF user_name ON users FOR EACH ROW EXECUTE FUNCTION noop()`, []string{`!trigger t`}},
		"trigger when":           {`CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.user_name <> '') EXECUTE FUNCTION noop()`, []string{`!trigger t`}},
		"trigger of others":      {`CREATE TRIGGER t BEFORE UPDATE OF age ON users FOR EACH ROW EXECUTE FUNCTION noop()`, nil},
		"guard": {`CREATE TRIGGER zz_tandem_full_name_insert BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.user_name <> '') EXECUTE FUNCTION noop();
			CREATE FUNCTION tandem.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.user_name := 1; RETURN NEW; END';
			CREATE TRIGGER other BEFORE UPDATE ON users FOR EACH ROW WHEN (NEW.user_name <> '') EXECUTE FUNCTION tandem.g()`, nil},
		"trigger that sets it": {`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.age := 1; NEW.User_Name = now()::text; RETURN NEW; END';
			CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()`, []string{`function touch()`, `!trigger t`}},
		"trigger that sets it in a branch": {`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.age > 1 THEN /* a * b */ -- c
			NEW . "user_name" := 'x'; END IF; RETURN NEW; END$$; CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch()`, []string{`function touch()`, `!trigger t`}},
		"trigger that selects into it": {`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN SELECT line INTO NEW.user_name FROM log; RETURN NEW; END$$;
			CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch()`, []string{`function touch()`, `!trigger t`}},
		"trigger that reads it": {`CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN -- NEW.user_name := 'x';
			/* NEW.user_name := 'x'; */ IF NEW.user_name = 'x' AND NEW.user_name IS NOT NULL THEN INSERT INTO log SELECT NEW.user_name; NEW.user_names = 1; END IF; RETURN NEW; END$$;
			CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION look()`, []string{`function look()`}},
		"trigger too late to set it": {`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.user_name := 1; RETURN NEW; END';
			CREATE TRIGGER t AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch(); CREATE TRIGGER s BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION touch()`, []string{`function touch()`}},
		"trigger told the name": {`ALTER TABLE users ADD words tsvector; CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW
			EXECUTE FUNCTION tsvector_update_trigger('words', 'pg_catalog.english', 'user_name')`, []string{`trigger t`}},
		"trigger told to set it": {`ALTER TABLE users DROP user_name; ALTER TABLE users ADD user_name tsvector, ADD words text; CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW
			EXECUTE FUNCTION tsvector_update_trigger('user_name', 'pg_catalog.english', 'words')`, []string{`!trigger t`}},
		"trigger told another name":     {`CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION noop('user_names', 'a user_name')`, nil},
		"generated column":              {`ALTER TABLE users ADD shout text GENERATED ALWAYS AS (upper(user_name)) STORED`, []string{`!generated column shout`}},
		"exclusion constraint":          {`ALTER TABLE users ADD CONSTRAINT x EXCLUDE USING hash (user_name WITH =)`, []string{`!exclusion constraint x`}},
		"foreign key that points at it": {`CREATE TABLE posts (author text CONSTRAINT f REFERENCES users (user_name))`, []string{`!foreign key f of posts`}},
		"foreign key elsewhere":         {`CREATE TABLE posts (author int REFERENCES users)`, nil},
		"foreign key of it":             {`CREATE TABLE posts (a text PRIMARY KEY); ALTER TABLE users ADD FOREIGN KEY (user_name) REFERENCES posts ON DELETE SET NULL ON UPDATE CASCADE`, nil},
		"foreign key, set default":      {`CREATE TABLE posts (a text PRIMARY KEY); ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (user_name) REFERENCES posts ON DELETE SET DEFAULT`, []string{`!foreign key f`}},
		"replica identity":              {`ALTER TABLE users ALTER user_name SET NOT NULL, REPLICA IDENTITY USING INDEX users_user_name_key`, []string{`!replica identity users_user_name_key`}},
		"replica identity, full":        {`ALTER TABLE users ALTER user_name SET NOT NULL, REPLICA IDENTITY USING INDEX users_user_name_key; ALTER TABLE users REPLICA IDENTITY FULL`, nil},
		"replica identity of others":    {`ALTER TABLE users REPLICA IDENTITY USING INDEX users_pkey`, nil},
		"statistics":                    {`CREATE STATISTICS s ON user_name, age FROM users`, nil},
		"statistics of an expression":   {`CREATE STATISTICS s ON (lower(user_name)) FROM users`, nil},
		"statistics of others":          {`CREATE STATISTICS s ON id, age FROM users`, nil},
		"sequence":                      {`CREATE SEQUENCE q OWNED BY users.user_name`, nil},
		"publication":                   {`CREATE PUBLICATION p FOR TABLE users (id, user_name)`, []string{`!publication p`}},
		"publication of others":         {`CREATE PUBLICATION p FOR TABLE users (id, age); CREATE PUBLICATION q FOR ALL TABLES`, nil},
		"publication that filters":      {`ALTER TABLE users REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR TABLE users WHERE (user_name <> '')`, []string{`!publication p`}},
		"function that mentions it":     {`CREATE FUNCTION count_of(n text) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users WHERE User_Name = n'`, []string{`function count_of(text)`}},
		"trigger function":              {`CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.user_name := upper(NEW.user_name); RETURN NEW; END'`, []string{`function shout()`}},
		"procedure":                     {`CREATE PROCEDURE wipe() LANGUAGE plpgsql AS 'BEGIN UPDATE users SET user_name = NULL; END'`, []string{`function wipe()`}},
		"function of another table":     {`CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT user_name FROM people); END'`, nil},
		"function, new SQL body":        {`CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM users WHERE user_name = ''; END`, []string{`!function f()`}},
		"function of a row":             {`CREATE FUNCTION f(u users) RETURNS text LANGUAGE sql AS 'SELECT u.user_name'`, []string{`function f(users)`}},
		"all at once": {`CREATE VIEW v AS SELECT user_name FROM users; CREATE POLICY p ON users USING (user_name <> ''); CREATE RULE r AS ON UPDATE TO users DO ALSO INSERT INTO log VALUES (OLD.user_name)`,
			[]string{`!policy p`, `!rule r on users`, `!view v`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.MustExec(dependentSQL)
			db.MustExec(c.sql)
			table, err := catalog.Read(t.Context(), db, usersPair().Table)
			require.NoError(t, err)
			list, err := catalog.Dependents(t.Context(), db, table, usersPair())
			require.NoError(t, err)
			var got []string
			blocked := false
			for _, d := range list {
				require.NotEmpty(t, d.Remedy)
				got = append(got, map[bool]string{true: "!"}[d.Blocks]+d.Kind+" "+d.Name)
				blocked = blocked || d.Blocks
			}
			require.Equal(t, c.want, got)
			if name == "guard" {
				return // contract drops it before the column
			}
			// what blocks is what the server says: DROP COLUMN fails, or takes something along without a word
			_, err = db.Exec(`ALTER TABLE users DROP COLUMN user_name`)
			if err != nil {
				require.True(t, blocked, "%v", err)
			}
		})
	}
}

// CREATE OR REPLACE is for views only.
func TestRemedyOfAMaterializedView(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(dependentSQL + `; CREATE MATERIALIZED VIEW m AS SELECT user_name FROM users; CREATE VIEW v AS SELECT user_name FROM users`)
	table, err := catalog.Read(t.Context(), db, usersPair().Table)
	require.NoError(t, err)
	list, err := catalog.Dependents(t.Context(), db, table, usersPair())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "materialized view m: drop it, and create it so that it reads the new column (after Switch)", list[0].String())
	require.Equal(t, "view v: make it read the new column (CREATE OR REPLACE VIEW, after Switch)", list[1].String())
}

// What names the partition key is told apart from what can be mended.
func TestDependentsOfAPartitionKey(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int, user_name text, full_name text) PARTITION BY LIST (user_name)`)
	table, err := catalog.Read(t.Context(), db, usersPair().Table)
	require.NoError(t, err)
	list, err := catalog.Dependents(t.Context(), db, table, usersPair())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "partition key of users: a partition key cannot be exchanged", list[0].String())
	require.True(t, list[0].Blocks)
}

// What a foreign key sets is carried from one column to the other by the guard, which knows SQL only.
func TestForeignKeyThatTheGuardCannotFollow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(dependentSQL)
	db.MustExec(`CREATE TABLE posts (a text PRIMARY KEY); ALTER TABLE users ADD CONSTRAINT n FOREIGN KEY (user_name) REFERENCES posts ON DELETE SET NULL,
		ADD CONSTRAINT c FOREIGN KEY (user_name) REFERENCES posts ON UPDATE CASCADE, ADD CONSTRAINT harmless FOREIGN KEY (user_name) REFERENCES posts ON DELETE CASCADE`)
	table, err := catalog.Read(t.Context(), db, usersPair().Table)
	require.NoError(t, err)
	for _, sql := range [][2]bool{{true, true}, {true, false}, {false, true}} {
		d := usersPair()
		if !sql[0] {
			d.Forward = nil
		}
		if !sql[1] {
			d.Backward = nil
		}
		list, err := catalog.Dependents(t.Context(), db, table, d)
		require.NoError(t, err)
		if sql[0] && sql[1] {
			require.Empty(t, list)
			continue
		}
		require.Len(t, list, 2)
		require.True(t, list[0].Blocks && list[1].Blocks)
		require.Equal(t, "foreign key c: what it sets is carried over in SQL: give the pair both conversions in SQL, or make it NO ACTION for the time of the migration", list[0].String())
	}
}
