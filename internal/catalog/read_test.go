package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/state"
)

func usersPair() pair.Definition {
	return pair.Definition{Table: ident.Table{Schema: "public", Name: "users"}, Key: []string{"id"}, Old: []string{"user_name"}, New: []string{"full_name"},
		Stamp: "full_name_stamp", Forward: []string{"{user_name}"}, Backward: []string{"{full_name}"}}
}

func TestRead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`
		CREATE COLLATION "My" FROM "C";
		CREATE TABLE "T" (b text COLLATE "My" NOT NULL DEFAULT 'x', gone int, a int GENERATED ALWAYS AS IDENTITY, n numeric(10,2), d varchar(9) COLLATE "C",
			g int GENERATED ALWAYS AS (1 + 1) STORED, PRIMARY KEY (d, a));
		ALTER TABLE "T" DROP COLUMN gone; INSERT INTO "T" (d) SELECT n FROM generate_series(1, 500) n; ANALYZE "T"`)
	table, err := catalog.Read(t.Context(), db, ident.Table{Schema: "public", Name: "T"})
	require.NoError(t, err)
	require.Equal(t, []string{"d", "a"}, table.PrimaryKey)
	require.EqualValues(t, 500, table.Rows)
	require.Positive(t, table.Pages)
	require.False(t, table.Partitioned || table.Triggered)
	require.Nil(t, table.Column("gone"))
	b, a, n, d, g := table.Column("b"), table.Column("a"), table.Column("n"), table.Column("d"), table.Column("g")
	require.Equal(t, `text COLLATE public."My"`, b.TypeSQL())
	require.True(t, b.NotNull)
	require.Equal(t, "'x'::text", b.Default)
	require.Equal(t, 3, a.Number)
	require.Equal(t, "a", a.Identity)
	require.Equal(t, "numeric(10,2)", n.TypeSQL())
	require.Equal(t, `character varying(9) COLLATE pg_catalog."C"`, d.TypeSQL())
	require.Equal(t, "s", g.Generated)
	require.True(t, n.Loose)
	require.False(t, a.Loose || b.Loose || d.Loose)
}

func TestTriggered(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE groups (id int PRIMARY KEY); CREATE TABLE users (id int PRIMARY KEY, user_name text, g int REFERENCES groups);
		CREATE TABLE posts (u int REFERENCES users ON UPDATE CASCADE); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
	read := func() bool {
		table, err := catalog.Read(t.Context(), db, usersPair().Table)
		require.NoError(t, err)
		return table.Triggered
	}
	require.False(t, read()) // foreign keys have triggers of their own
	for _, trigger := range []string{`BEFORE INSERT`, `AFTER DELETE`} {
		db.MustExec(`CREATE OR REPLACE TRIGGER t ` + trigger + ` ON users FOR EACH ROW EXECUTE FUNCTION f()`)
		require.False(t, read(), trigger)
	}
	for _, trigger := range []string{`AFTER UPDATE`, `BEFORE INSERT OR UPDATE OF g`} {
		db.MustExec(`DROP TRIGGER t ON users; CREATE TRIGGER t ` + trigger + ` ON users FOR EACH ROW EXECUTE FUNCTION f()`)
		require.True(t, read(), trigger)
	}
	db.MustExec(`DROP TRIGGER t ON users; CREATE TRIGGER zz_tandem_full_name_update AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f()`)
	require.False(t, read())
	db.MustExec(`ALTER TABLE users ENABLE ROW LEVEL SECURITY`)
	require.False(t, read())
	db.MustExec(`ALTER TABLE users FORCE ROW LEVEL SECURITY`)
	require.True(t, read())
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`
		CREATE SCHEMA app; CREATE SCHEMA web; CREATE TABLE app.orders (id int); CREATE TABLE web.orders (id int); CREATE VIEW app.seen AS SELECT 1 AS id;
		CREATE TABLE users (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM users; CREATE MATERIALIZED VIEW m AS SELECT * FROM users;
		CREATE SEQUENCE s; CREATE TYPE person AS (id int); CREATE TABLE typed OF person; CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
		CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts FOR VALUES IN (1); CREATE INDEX i ON users (id)`)
	for _, c := range []struct {
		schema, name string
		is           error
		says         string
	}{
		{"public", "nothing", catalog.ErrNoTable, "check the spelling, capitals and the database"},
		{"public", "Users", catalog.ErrNoTable, "check the spelling"},
		{"nowhere", "users", catalog.ErrNoTable, "in schema nowhere; there is one in public: declare the pair with the schema"},
		{"public", "orders", catalog.ErrNoTable, "there is one in app, web"},
		{"public", "seen", catalog.ErrNoTable, "check the spelling"},
		{"public", "v", catalog.ErrRefused, `its kind is "v"`},
		{"public", "m", catalog.ErrRefused, `its kind is "m"`},
		{"public", "s", catalog.ErrRefused, `its kind is "S"`},
		{"public", "i", catalog.ErrRefused, `its kind is "i"`},
		{"public", "typed", catalog.ErrRefused, "typed table"},
		{"public", "parent", catalog.ErrRefused, "inheritance"},
		{"public", "child", catalog.ErrRefused, "inheritance"},
		{"public", "part", catalog.ErrRefused, "migrate the partitioned parent"},
		{"pg_catalog", "pg_class", catalog.ErrRefused, "system schema"},
		{"information_schema", "sql_parts", catalog.ErrRefused, "system schema"},
		{"pg_toast", "x", catalog.ErrRefused, "system schema"},
		{"tandem", "migration", catalog.ErrRefused, "system schema"},
	} {
		table, err := catalog.Read(t.Context(), db, ident.Table{Schema: c.schema, Name: c.name})
		require.ErrorIs(t, err, c.is, c.name)
		require.ErrorContains(t, err, c.says)
		require.Nil(t, table)
	}
	table, err := catalog.Read(t.Context(), db, ident.Table{Schema: "public", Name: "parts"})
	require.NoError(t, err)
	require.True(t, table.Partitioned)
}

func TestFits(t *testing.T) {
	t.Parallel()
	for want, create := range map[string]string{
		"":                        `id bigint PRIMARY KEY, user_name text`,
		"it has id, name":         `id bigint PRIMARY KEY, name text`,
		"it has user_name":        `user_name text PRIMARY KEY`,
		"generated column":        `id bigint PRIMARY KEY, user_name text GENERATED ALWAYS AS ('x') STORED`,
		"part of the primary key": `id bigint, user_name text, PRIMARY KEY (id, user_name)`,
		"an identity column":      `id bigint PRIMARY KEY, user_name int GENERATED BY DEFAULT AS IDENTITY`,
		"it has no primary key":   `id bigint UNIQUE, user_name text`,
		"key (id), the primary key is (id, tenant)": `id bigint, tenant int, user_name text, PRIMARY KEY (id, tenant)`,
		"key (id), the primary key is (tenant)":     `id bigint, tenant int PRIMARY KEY, user_name text`,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.MustExec(`CREATE TABLE users (` + create + `)`)
			table, err := catalog.Read(t.Context(), db, usersPair().Table)
			require.NoError(t, err)
			err = table.Fits(usersPair())
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "table users")
		})
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int PRIMARY KEY, user_name varchar(9))`)
	read := func() *catalog.Table {
		table, err := catalog.Read(t.Context(), db, usersPair().Table)
		require.NoError(t, err)
		return table
	}
	require.Equal(t, []string{"column full_name is not there: run expand.Apply", "column full_name_stamp is not there: run expand.Apply"}, read().Missing(usersPair()))
	db.MustExec(`ALTER TABLE users ADD full_name text, ADD full_name_stamp bigint`)
	require.Equal(t, []string{"column full_name_stamp has type bigint, needs integer", "column full_name has type text, needs character varying(9)"}, read().Missing(usersPair()))
	db.MustExec(`ALTER TABLE users ALTER full_name TYPE varchar(9), ALTER full_name_stamp TYPE int`)
	require.Empty(t, read().Missing(usersPair()))

}

// A guard is in force when the triggers of its mode are there, always on, and call what that mode calls.
func TestUnguarded(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	require.NoError(t, state.Install(t.Context(), db))
	db.MustExec(`CREATE TABLE units (id int PRIMARY KEY); CREATE TABLE users (id int PRIMARY KEY, user_name int, full_name int, full_name_stamp int)`)
	table := func() *catalog.Table {
		t.Helper()
		table, err := catalog.Read(t.Context(), db, usersPair().Table)
		require.NoError(t, err)
		return table
	}
	missing := func(mode guard.Mode) string {
		t.Helper()
		out, err := catalog.Unguarded(t.Context(), db, table(), usersPair(), mode)
		require.NoError(t, err)
		return out
	}
	all := []guard.Mode{guard.Repair, guard.Reject, guard.Reverse}
	require.Equal(t, "0 of the guard's 2 triggers (repair) are on users and ENABLE ALWAYS: run expand.Apply", missing(guard.Repair))
	for _, acted := range []bool{false, true} {
		if acted {
			db.MustExec(`ALTER TABLE users ADD FOREIGN KEY (full_name) REFERENCES units ON DELETE SET NULL`)
		}
		for _, mode := range all {
			for _, sql := range guard.Install(table().Spec(usersPair()), mode) {
				db.MustExec(sql)
			}
			for _, other := range all {
				require.Equal(t, mode == other, missing(other) == "", "%s while %s", other, mode)
			}
		}
	}
	require.Empty(t, missing(guard.Reverse))
	db.MustExec(`DROP TRIGGER zz_tandem_full_name_action ON users`)
	require.Contains(t, missing(guard.Reverse), "3 of the guard's 4")
	db.MustExec(`ALTER TABLE users ENABLE TRIGGER zz_tandem_full_name_insert`)
	require.Contains(t, missing(guard.Reverse), "2 of the guard's 4")
	db.MustExec(`ALTER TABLE users DISABLE TRIGGER zz_tandem_full_name_update`)
	require.Contains(t, missing(guard.Reverse), "1 of the guard's 4")
}

func TestAnalyzed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int PRIMARY KEY, user_name text, full_name text) WITH (autovacuum_enabled = off)`)
	table, err := catalog.Read(t.Context(), db, usersPair().Table)
	require.NoError(t, err)
	for i, sql := range []string{`SELECT`, `INSERT INTO users VALUES (1, 'a', 'a')`, `ANALYZE users (id, user_name)`, `ANALYZE users`} {
		db.MustExec(sql)
		ok, err := catalog.Analyzed(t.Context(), db, table, []string{"user_name", "full_name"})
		require.NoError(t, err)
		require.Equal(t, []bool{true, false, false, true}[i], ok, sql) // an empty table has no statistics and needs none
	}
}

func TestSpellType(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for in, want := range map[string]string{"int8": "bigint", "varchar(9)": "character varying(9)", "decimal(10, 2)": "numeric(10,2)", "text": "text",
		`text COLLATE "C"`: `text COLLATE pg_catalog."C"`, "timestamptz": "timestamp with time zone", "int[]": "integer[]", "float": "double precision"} {
		got, err := catalog.SpellType(t.Context(), db, in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := catalog.SpellType(t.Context(), db, "strng")
	require.ErrorContains(t, err, "type strng: ")
	var left int
	require.NoError(t, db.Get(&left, `SELECT count(*) FROM pg_class WHERE relname = 'tandem_type'`))
	require.Zero(t, left)
}
