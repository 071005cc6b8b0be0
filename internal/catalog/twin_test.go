package catalog_test

import (
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pgtest"
)

const twinSQL = `CREATE SCHEMA tandem; CREATE TABLE groups (a int, b varchar(40), UNIQUE (a, b), UNIQUE (b));
	INSERT INTO groups VALUES (1, 'ada'), (2, 'bob'); CREATE TABLE users (id int PRIMARY KEY, user_name varchar(40), "Org" int, note text);
	INSERT INTO users VALUES (1, 'ada', 1), (2, 'bob', 2)`

// definitions of all indexes and constraints of users, by name.
func definitions(t *testing.T, db *sqlx.DB) []string {
	t.Helper()
	out := []string{}
	require.NoError(t, db.Select(&out, `
		SELECT pg_get_indexdef(indexrelid) || ' valid ' || indisvalid FROM pg_index WHERE indrelid = 'users'::regclass
		UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'users'::regclass AND contype <> 'n'
		UNION ALL SELECT relname || ': ' || obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace = 'public'::regnamespace AND obj_description(oid, 'pg_class') IS NOT NULL
		ORDER BY 1`))
	return out
}

func twins(t *testing.T, db *sqlx.DB, d pair.Definition) []catalog.Twin {
	t.Helper()
	table, err := catalog.Read(t.Context(), db, d.Table)
	require.NoError(t, err)
	list, err := catalog.Twins(t.Context(), db, table, d)
	require.NoError(t, err)
	return list
}

// Each index and constraint is made again on new; once old is gone and the names are moved, the table is as RENAME COLUMN leaves it.
func TestTwins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql   string
		kind  string
		count int
	}{
		"plain":                     {`CREATE INDEX i ON users (user_name)`, "index", 1},
		"unique":                    {`CREATE UNIQUE INDEX i ON users (user_name)`, "index", 1},
		"quoted name":               {`CREATE INDEX "I.x ""y""" ON users (user_name)`, "index", 1},
		"63 bytes":                  {`CREATE INDEX ` + strings.Repeat("i", 63) + ` ON users (user_name)`, "index", 1},
		"two 63 bytes":              {`CREATE INDEX ` + strings.Repeat("i", 62) + `1 ON users (user_name); CREATE INDEX ` + strings.Repeat("i", 62) + `2 ON users (user_name)`, "index", 2},
		"multi-column":              {`CREATE INDEX i ON users ("Org", user_name DESC NULLS LAST, id)`, "index", 1},
		"desc nulls first":          {`CREATE INDEX i ON users (user_name ASC NULLS FIRST)`, "index", 1},
		"opclass":                   {`CREATE INDEX i ON users (user_name varchar_pattern_ops)`, "index", 1},
		"collation":                 {`CREATE INDEX i ON users (user_name COLLATE "POSIX")`, "index", 1},
		"include":                   {`CREATE INDEX i ON users (id) INCLUDE (user_name)`, "index", 1},
		"partial on old":            {`CREATE INDEX i ON users (id) WHERE user_name IS NOT NULL AND user_name <> 'user_name'`, "index", 1},
		"partial on another":        {`CREATE INDEX i ON users (user_name) WHERE "Org" > 1`, "index", 1},
		"expression":                {`CREATE INDEX i ON users (lower(user_name), (user_name || '-' || note))`, "index", 1},
		"unique expression":         {`CREATE UNIQUE INDEX i ON users (lower(user_name)) WHERE id > 0`, "index", 1},
		"nulls not distinct":        {`CREATE UNIQUE INDEX i ON users (user_name) NULLS NOT DISTINCT`, "index", 1},
		"hash":                      {`CREATE INDEX i ON users USING hash (user_name)`, "index", 1},
		"brin with options":         {`CREATE INDEX i ON users USING brin (user_name) WITH (pages_per_range = 32)`, "index", 1},
		"gin":                       {`CREATE INDEX i ON users USING gin (to_tsvector('simple', user_name))`, "index", 1},
		"comment":                   {`CREATE INDEX i ON users (user_name); COMMENT ON INDEX i IS 'it''s a \ comment'`, "index", 1},
		"unique constraint":         {`ALTER TABLE users ADD CONSTRAINT u UNIQUE (user_name)`, "index and unique constraint", 2},
		"deferrable":                {`ALTER TABLE users ADD CONSTRAINT u UNIQUE (user_name, "Org") DEFERRABLE`, "index and unique constraint", 2},
		"deferred":                  {`ALTER TABLE users ADD CONSTRAINT u UNIQUE (user_name) DEFERRABLE INITIALLY DEFERRED`, "index and unique constraint", 2},
		"unique nulls not distinct": {`ALTER TABLE users ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (user_name)`, "index and unique constraint", 2},
		"unique include":            {`ALTER TABLE users ADD CONSTRAINT u UNIQUE (user_name) INCLUDE (note)`, "index and unique constraint", 2},
		"check":                     {`ALTER TABLE users ADD CONSTRAINT c CHECK (user_name <> '')`, "check", 1},
		"multi-column check":        {`ALTER TABLE users ADD CONSTRAINT c CHECK (user_name <> note OR "Org" > 0)`, "check", 1},
		"check not valid":           {`ALTER TABLE users ADD CONSTRAINT c CHECK (user_name <> 'ada') NOT VALID`, "check", 1},
		"two checks of one text":    {`ALTER TABLE users ADD CONSTRAINT c CHECK (user_name <> ''); ALTER TABLE users ADD CONSTRAINT "C" CHECK (user_name <> '')`, "check", 2},
		"foreign key":               {`ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (user_name) REFERENCES groups (b) ON UPDATE CASCADE ON DELETE SET NULL`, "foreign key", 1},
		"multi-column foreign key":  {`ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY ("Org", user_name) REFERENCES groups (a, b) MATCH FULL DEFERRABLE INITIALLY DEFERRED`, "foreign key", 1},
		"foreign key not valid":     {`ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (user_name) REFERENCES groups (b) NOT VALID`, "foreign key", 1},
		"foreign key, set null of":  {`ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY ("Org", user_name) REFERENCES groups (a, b) ON DELETE SET NULL (user_name)`, "foreign key", 1},
		"not of old":                {`CREATE INDEX i ON users (note) WHERE "Org" > 0; ALTER TABLE users ADD CHECK (note <> 'user_name')`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, yardstick, d := pgtest.New(t), pgtest.New(t), usersPair()
			yardstick.MustExec(twinSQL + `; ` + c.sql + `; ALTER TABLE users RENAME user_name TO full_name`)
			db.MustExec(twinSQL + `; ALTER TABLE users ADD full_name varchar(40); UPDATE users SET full_name = user_name; ` + c.sql)
			before := definitions(t, db)
			list := twins(t, db, d)
			require.Len(t, list, c.count)
			require.Equal(t, before, definitions(t, db)) // asking changes nothing
			for _, w := range list {
				require.Contains(t, c.kind, w.Kind)
				require.False(t, w.Ready || w.Leftover)
				for _, sql := range w.Create {
					db.MustExec(sql)
				}
			}
			list = twins(t, db, d)
			require.Len(t, list, c.count)
			for _, w := range list {
				require.True(t, w.Ready, w.Name)
				require.False(t, w.Leftover)
			}
			tx := db.MustBegin()
			tx.MustExec(`ALTER TABLE users DROP COLUMN user_name`)
			for _, w := range list {
				for _, sql := range w.Finish {
					_, err := tx.Exec(sql)
					require.NoError(t, err, sql)
				}
			}
			require.NoError(t, tx.Commit())
			require.Equal(t, definitions(t, yardstick), definitions(t, db))
		})
	}
}

// A deferrable constraint has a deferrable twin, from the first moment on, also when the work is cut between the index and the constraint.
func TestDeferrableTwin(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			db, d := pgtest.New(t), usersPair()
			db.MustExec(twinSQL + `; ALTER TABLE users ADD CONSTRAINT u UNIQUE (user_name)` + when + `; ALTER TABLE users ADD full_name varchar(40); UPDATE users SET full_name = user_name`)
			swap := func(column string) error {
				_, err := db.Exec(`UPDATE users SET ` + column + ` = CASE ` + column + ` WHEN 'ada' THEN 'bob' ELSE 'ada' END`)
				return err
			}
			ready := func(index, constraint bool) {
				t.Helper()
				list := twins(t, db, d)
				require.Len(t, list, 2)
				require.Equal(t, [2]bool{index, constraint}, [2]bool{list[0].Ready, list[1].Ready})
				require.False(t, list[0].Leftover || list[1].Leftover)
			}
			list := twins(t, db, d)
			ready(false, false)
			db.MustExec(list[0].Create[0])
			ready(true, false)
			db.MustExec(twins(t, db, d)[1].Create[0])
			ready(true, true)
			require.Equal(t, swap("user_name") == nil, swap("full_name") == nil)
			require.Equal(t, when != "", swap("full_name") == nil)
			// another constraint on the same index is none
			other := map[bool]string{true: ` DEFERRABLE`, false: ``}[when == ""]
			db.MustExec(`ALTER TABLE users DROP CONSTRAINT ` + list[1].Name + `, ADD CONSTRAINT ` + list[1].Name + ` UNIQUE (full_name)` + other)
			ready(true, false)
		})
	}
}

// Inside a transaction that has changed the table the twins are those of that moment.
func TestTwinsIn(t *testing.T) {
	t.Parallel()
	db, d := pgtest.New(t), usersPair()
	db.MustExec(twinSQL)
	table, err := catalog.Read(t.Context(), db, d.Table)
	require.NoError(t, err)
	tx := db.MustBegin()
	defer func() { _ = tx.Rollback() }()
	tx.MustExec(`LOCK TABLE users IN ACCESS EXCLUSIVE MODE; CREATE INDEX i ON users (user_name)`)
	for range 2 {
		list, err := catalog.TwinsIn(t.Context(), tx, table, d)
		require.NoError(t, err)
		require.Len(t, list, 1)
	}
	require.NoError(t, tx.Commit())
	require.Len(t, twins(t, db, d), 1)
	var left int
	require.NoError(t, db.Get(&left, `SELECT count(*) FROM pg_class WHERE relnamespace = 'tandem'::regnamespace`))
	require.Zero(t, left)
}

// A build that was interrupted, and an index of the twin's name that is another, are no twins.
func TestTwinLeftovers(t *testing.T) {
	t.Parallel()
	db, d := pgtest.New(t), usersPair()
	db.MustExec(twinSQL + `; CREATE UNIQUE INDEX i ON users (user_name); ALTER TABLE users ADD CONSTRAINT c CHECK (user_name <> 'x');
		ALTER TABLE users ADD full_name varchar(40); UPDATE users SET full_name = 'same'`)
	list := twins(t, db, d)
	index, check := list[0], list[1]
	_, err := db.Exec(index.Create[0])
	require.ErrorContains(t, err, "could not create unique index")
	w := twins(t, db, d)[0]
	require.True(t, w.Leftover)
	require.False(t, w.Ready)
	db.MustExec(`DROP INDEX ` + index.Name + `; CREATE UNIQUE INDEX ` + index.Name + ` ON users (id)`)
	require.True(t, twins(t, db, d)[0].Leftover)

	db.MustExec(check.Create[0]) // and then a crash
	w = twins(t, db, d)[1]
	require.True(t, w.Leftover)
	require.Len(t, w.Create, 1)
	db.MustExec(w.Create[0])
	require.True(t, twins(t, db, d)[1].Ready)
}

// Before the new column is there the twins are known too: that is the plan.
func TestTwinsBeforeExpand(t *testing.T) {
	t.Parallel()
	db, d := pgtest.New(t), usersPair()
	db.MustExec(twinSQL + `; CREATE INDEX i ON users (lower(user_name))`)
	list := twins(t, db, d)
	require.Len(t, list, 1)
	require.Contains(t, list[0].Create[0], "(lower((full_name)::text))")
	d.New = []string{"other"}
	require.NotEqual(t, list[0].Name, twins(t, db, d)[0].Name)
}

// The empty copy asks for no more than ACCESS SHARE, and leaves nothing behind.
func TestTwinsBesideWriters(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(twinSQL + `; CREATE INDEX i ON users (user_name)`)
	held := db.MustBegin()
	held.MustExec(`LOCK TABLE users IN EXCLUSIVE MODE`)
	require.Len(t, twins(t, db, usersPair()), 1)
	require.NoError(t, held.Rollback())
	var left int
	require.NoError(t, db.Get(&left, `SELECT count(*) FROM pg_class WHERE relnamespace = 'tandem'::regnamespace`))
	require.Zero(t, left)
}
