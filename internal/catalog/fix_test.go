package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pgtest"
)

const awkwardSQL = `
	CREATE SCHEMA "My ""Schema"""; SET search_path = "My ""Schema""";
	CREATE TABLE "The.Users, all" (id int PRIMARY KEY, "Name ""of, it" text UNIQUE, "select" text, "select_stamp" int);
	CREATE TABLE "The.Users, all, again" (id int);
	CREATE VIEW "A ""view""" AS SELECT "Name ""of, it", '"My ""Schema"""."The.Users, all"' AS literal FROM "The.Users, all", "The.Users, all, again" AS other;
	CREATE VIEW whole AS SELECT id, "The.Users, all"."Name ""of, it" AS "select" FROM "The.Users, all" WHERE "Name ""of, it" ~ E'\\d''';
	CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER "A trigger" BEFORE UPDATE OF "Name ""of, it" ON "The.Users, all" FOR EACH ROW WHEN (NEW."Name ""of, it" <> '"') EXECUTE FUNCTION noop('"My ""Schema"""."The.Users, all"');
	CREATE POLICY "A policy" ON "The.Users, all" USING (EXISTS (SELECT FROM "The.Users, all" x WHERE x."Name ""of, it" <> "The.Users, all"."Name ""of, it"));
	CREATE RULE "A rule" AS ON DELETE TO "The.Users, all" WHERE old."Name ""of, it" = 'x' DO INSTEAD UPDATE "The.Users, all" SET "Name ""of, it" = '' WHERE id = old.id;
	ALTER TABLE "The.Users, all" ADD CONSTRAINT "An exclusion" EXCLUDE USING hash ("Name ""of, it" WITH =);
	CREATE TABLE child (author text CONSTRAINT "A key" REFERENCES "The.Users, all" ("Name ""of, it"));
	CREATE FUNCTION "A function" ("id" int) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT "Name ""of, it" FROM "The.Users, all" WHERE "The.Users, all".id = "A function"."id"; END;
	CREATE MATERIALIZED VIEW "A stored one" AS SELECT lower("Name ""of, it") FROM "The.Users, all";
	ALTER TABLE "The.Users, all" ADD UNIQUE ("select")`

// Whatever the names are: once the SQL has run, nothing depends on old.
func TestFixes(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(awkwardSQL + `; SET search_path = public`)
	d := pair.Definition{Table: ident.Table{Schema: `My "Schema"`, Name: "The.Users, all"}, Key: []string{"id"}, Old: []string{`Name "of, it`}, New: []string{"select"}, Stamp: "select_stamp"}
	dependents := func() []catalog.Dependent {
		t.Helper()
		table, err := catalog.Read(t.Context(), db, d.Table)
		require.NoError(t, err)
		list, err := catalog.Dependents(t.Context(), db, table, d)
		require.NoError(t, err)
		require.NoError(t, catalog.Fixes(t.Context(), db, table, d, list))
		return list
	}
	list := dependents()
	require.Len(t, list, 9)
	for _, x := range list {
		require.NotEmpty(t, x.Fixes, x)
		for _, f := range x.Fixes {
			require.Contains(t, x.String(), f.String())
			_, err := db.Exec(f.SQL)
			require.NoError(t, err, f.SQL)
		}
	}
	require.Empty(t, dependents())
	db.MustExec(`ALTER TABLE "My ""Schema"""."The.Users, all" DROP COLUMN "Name ""of, it"`)
	var literal string
	require.NoError(t, db.Get(&literal, `SELECT substring(pg_get_viewdef('"My ""Schema"""."A ""view"""'::regclass) FROM '''(.*)''')`))
	require.Equal(t, `"My ""Schema"""."The.Users, all"`, literal)
}

// A role that may make no temporary tables is told what depends on old all the same.
func TestFixesWithoutTemporaryTables(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.SetMaxOpenConns(1)
	db.MustExec(`CREATE TABLE users (id int PRIMARY KEY, user_name text); CREATE VIEW v AS SELECT user_name FROM users; GRANT SELECT ON users TO pg_monitor;
		DO $$BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END$$; SET ROLE pg_monitor`)
	table, err := catalog.Read(t.Context(), db, usersPair().Table)
	require.NoError(t, err)
	list, err := catalog.Dependents(t.Context(), db, table, usersPair())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, catalog.Fixes(t.Context(), db, table, usersPair(), list))
	require.Empty(t, list[0].Fixes)
}
