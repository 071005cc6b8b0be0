package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// described has one of each kind of property.
const described = `
	CREATE TABLE groups (id bigint PRIMARY KEY);
	CREATE TABLE users (
		id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		user_name varchar(40) COLLATE "C" NOT NULL DEFAULT 'nobody',
		group_id  bigint REFERENCES groups (id),
		CONSTRAINT users_name_check CHECK (user_name <> ''),
		UNIQUE (user_name) DEFERRABLE
	);
	CREATE INDEX users_lower ON users (lower(user_name) DESC) INCLUDE (group_id) WHERE group_id > 0;
	CREATE TABLE orders (user_id bigint REFERENCES users (id) ON DELETE CASCADE);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER note BEFORE UPDATE OF user_name ON users FOR EACH ROW EXECUTE FUNCTION note();
	CREATE POLICY own ON users USING (user_name = current_user);
	CREATE STATISTICS both_of_users ON user_name, group_id FROM users;
	CREATE VIEW names AS SELECT user_name FROM users;
	CREATE RULE quiet AS ON DELETE TO users DO INSTEAD NOTHING;
	COMMENT ON COLUMN users.user_name IS 'a name';
	COMMENT ON INDEX users_lower IS 'an index';
	GRANT SELECT (user_name) ON users TO PUBLIC;`

func describedIn(t *testing.T, db *sqlx.DB, schema string) ident.Table {
	t.Helper()
	tx := db.MustBeginTx(t.Context(), nil)
	defer func() { _ = tx.Rollback() }()
	_, err := tx.ExecContext(t.Context(), `CREATE SCHEMA IF NOT EXISTS `+schema+`; SET LOCAL search_path = `+schema+`;`+described)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	return ident.Table{Schema: schema, Name: "users"}
}

func TestDescribeEqualTablesOfTwoSchemas(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, err := catalog.Describe(t.Context(), db, describedIn(t, db, "public"))
	require.NoError(t, err)
	b, err := catalog.Describe(t.Context(), db, describedIn(t, db, "yardstick"))
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.True(t, slices.IsSorted(a))
	for _, kind := range []string{"table", "grant", "column", "index", "constraint", "referenced by", "trigger", "policy", "statistics", "rule", "sequence"} {
		require.True(t, slices.ContainsFunc(a, func(line string) bool { return strings.HasPrefix(line, kind+" ") }), "no line of kind %s in\n%s", kind, strings.Join(a, "\n"))
	}
	for _, line := range append(a, b...) {
		require.NotContains(t, line, "public.")
		require.NotContains(t, line, "yardstick.")
	}
}

func TestDescribeSeesEachDifference(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	table := describedIn(t, db, "public")
	for _, change := range []string{
		`ALTER TABLE users ALTER COLUMN user_name DROP NOT NULL`,
		`ALTER TABLE users ALTER COLUMN user_name DROP DEFAULT`,
		`ALTER TABLE users ALTER COLUMN group_id SET STATISTICS 500`,
		`ALTER TABLE users ALTER COLUMN user_name SET STORAGE EXTERNAL`,
		`ALTER TABLE users ALTER COLUMN group_id SET (n_distinct = 5)`,
		`COMMENT ON COLUMN users.user_name IS NULL`,
		`COMMENT ON INDEX users_lower IS 'another'`,
		`REVOKE SELECT (user_name) ON users FROM PUBLIC`,
		`GRANT SELECT ON users TO PUBLIC`,
		`ALTER INDEX users_lower RENAME TO users_upper`,
		`ALTER INDEX users_upper ALTER COLUMN 1 SET STATISTICS 99`,
		`ALTER TABLE users CLUSTER ON users_pkey`,
		`ALTER TABLE users RENAME CONSTRAINT users_name_check TO checked`,
		`COMMENT ON CONSTRAINT checked ON users IS 'a check'`,
		`ALTER TABLE users ADD CHECK (group_id > 0) NOT VALID`,
		`ALTER TABLE orders ADD UNIQUE (user_id)`, // nothing of users
		`ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey`,
		`ALTER TABLE users DISABLE TRIGGER note`,
		`DROP POLICY own ON users`,
		`ALTER TABLE users ENABLE ROW LEVEL SECURITY`,
		`ALTER STATISTICS both_of_users SET STATISTICS 7`,
		`CREATE OR REPLACE VIEW names AS SELECT user_name FROM users WHERE id > 0`,
		`DROP RULE quiet ON users`,
		`ALTER TABLE users REPLICA IDENTITY FULL`,
		`ALTER TABLE users SET (fillfactor = 90)`,
		`ALTER SEQUENCE users_id_seq CACHE 10`,
		`CREATE PUBLICATION app FOR TABLE users`,
	} {
		before, err := catalog.Describe(t.Context(), db, table)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), change)
		require.NoError(t, err, change)
		after, err := catalog.Describe(t.Context(), db, table)
		require.NoError(t, err)
		if strings.Contains(change, "ADD UNIQUE (user_id)") {
			require.Equal(t, before, after, change)
			continue
		}
		require.NotEqual(t, before, after, change)
	}
}

// A partition may have what its parent has not.
func TestDescribeAPartition(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE p (id int, at date) PARTITION BY RANGE (at); CREATE INDEX i ON p (id);
		CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2020-02-01'); CREATE VIEW v AS SELECT id FROM p1`)
	lines := func() (all []string) {
		for _, name := range []string{"p", "p1", "v"} {
			more, err := catalog.Describe(t.Context(), db, ident.Table{Schema: "public", Name: name})
			require.NoError(t, err)
			all = append(all, more...)
		}
		return all
	}
	require.Contains(t, lines(), "column id integer storage p inherited")
	for _, change := range []string{
		`CREATE INDEX own ON p1 (at)`,
		`ALTER TABLE p1 ADD CHECK (id > 0)`,
		`ALTER VIEW v RENAME id TO number`,
		`CREATE INDEX later ON ONLY p (at)`,
		`ALTER INDEX later ATTACH PARTITION own`,
		`ALTER TABLE p DETACH PARTITION p1`,
	} {
		before := lines()
		db.MustExec(change)
		require.NotEqual(t, before, lines(), change)
	}
}

func TestDescribeNoTable(t *testing.T) {
	t.Parallel()
	_, err := catalog.Describe(t.Context(), pgtest.New(t), ident.Table{Schema: "public", Name: "users"})
	require.ErrorIs(t, err, catalog.ErrNoTable)
}
