package expand_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// Bad input gets an error that names place and remedy, and changes nothing.
func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`
		CREATE TABLE good (id bigint PRIMARY KEY, a text, typed int, filled text NOT NULL DEFAULT '', g text GENERATED ALWAYS AS ('x') STORED);
		CREATE TABLE keyless (id bigint, a text);
		CREATE TABLE composite (x int, y int, a text, PRIMARY KEY (x, y));
		CREATE SCHEMA app; CREATE TABLE app.elsewhere (id bigint PRIMARY KEY, a text);
		CREATE VIEW looks AS SELECT * FROM good;
		CREATE TABLE parent (id bigint PRIMARY KEY, a text); CREATE TABLE child () INHERITS (parent);
		CREATE TYPE shape AS (id bigint, a text); CREATE TABLE typed OF shape (PRIMARY KEY (id))`)
	before := dump(t, db)
	rename := expand.Rename[string]
	for name, c := range map[string]struct {
		pair expand.Any
		is   error
		says string
	}{
		"no table":         {rename("nowhere", "a", "b"), expand.ErrNoTable, "nowhere"},
		"other schema":     {rename("elsewhere", "a", "b"), expand.ErrNoTable, "app"},
		"no column":        {rename("good", "z", "b"), expand.ErrNoColumn, "it has id, a"},
		"no key column":    {rename("good", "a", "b", "uid"), expand.ErrNoColumn, "uid"},
		"no primary key":   {rename("keyless", "a", "b"), expand.ErrKey, "ADD PRIMARY KEY"},
		"other key":        {rename("composite", "a", "b", "x"), expand.ErrKey, "(x, y)"},
		"other type":       {rename("good", "a", "typed"), expand.ErrType, "integer"},
		"not nullable":     {rename("good", "a", "filled"), expand.ErrType, "nullable"},
		"generated":        {rename("good", "g", "b"), expand.ErrRefused, "generated"},
		"key as old":       {rename("composite", "x", "b", "y"), expand.ErrRefused, "primary key"},
		"system column":    {rename("good", "ctid", "b"), expand.ErrNoColumn, "ctid"},
		"view":             {rename("looks", "a", "b"), expand.ErrRefused, "looks"},
		"inheritance":      {rename("parent", "a", "b"), expand.ErrRefused, "inheritance"},
		"typed table":      {rename("typed", "a", "b"), expand.ErrRefused, "typed"},
		"catalog":          {rename("pg_catalog.pg_class", "relname", "b"), expand.ErrRefused, "system"},
		"equal names":      {rename("good", "a", "a"), nil, "both old and new"},
		"empty name":       {rename("good", "", "b"), nil, "empty"},
		"long name":        {rename("good", "a", strings.Repeat("x", 64)), nil, "64 bytes"},
		"nul byte":         {rename("good", "a", "x\x00"), nil, "NUL"},
		"three parts":      {rename("x.y.z", "a", "b"), nil, "more than schema and name"},
		"open quote":       {rename(`"good`, "a", "b"), nil, "does not end"},
		"no forward":       {expand.Convert(expand.Spec[string, string]{Table: "good", Old: "a", New: "b"}), nil, "Forward is missing"},
		"bad expression":   {expr("lower({a)"), nil, "{ without }"},
		"foreign column":   {expr("lower({z})"), nil, "{z} is not one of a"},
		"unknown function": {expr("nosuch({a})"), nil, "nosuch"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := expand.Plan(t.Context(), db, c.pair)
			require.ErrorContains(t, err, c.says)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.ErrorContains(t, expand.Apply(t.Context(), db, c.pair, expand.Options{}), c.says)
		})
	}
	require.Equal(t, before, dump(t, db))
}

func expr(forward string) expand.Any {
	same := func(s string) (string, error) { return s, nil }
	return expand.Convert(expand.Spec[string, string]{Table: "good", Old: "a", New: "b", Type: "text", Forward: same, ForwardSQL: forward})
}

// Do, again, undo, again, do; with names of every kind.
func TestApplyAndUndo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain", "Capital", `quo"te`, "dot.ted", "select", "brace{}", "sp ace", strings.Repeat("n", 63), "日本語", "$tandem$"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
			db.MustExec(`CREATE SCHEMA ` + quoted + `; CREATE TABLE ` + quoted + `.` + quoted + ` ("Key" bigint PRIMARY KEY, ` + quoted + ` text)`)
			to := name[:min(len(name), 60)] + "2"
			if name == "日本語" {
				to = name + "2"
			}
			pair := expand.Rename[*string](quoted+"."+quoted, name, to, "Key")
			require.NoError(t, expand.Apply(t.Context(), db, pair, expand.Options{}))
			again, err := expand.Plan(t.Context(), db, pair)
			require.NoError(t, err)
			require.Empty(t, again, "applied twice, nothing is left to do")
			before := dump(t, db)
			require.NoError(t, expand.Apply(t.Context(), db, pair, expand.Options{}))
			require.Equal(t, before, dump(t, db))
			db.MustExec(`INSERT INTO ` + quoted + `.` + quoted + ` ("Key", ` + quoted + `) VALUES (1, 'x')`)
			var n int
			require.NoError(t, db.Get(&n, `SELECT count(*) FROM `+quoted+`.`+quoted+` WHERE "`+strings.ReplaceAll(to, `"`, `""`)+`" = 'x'`))
			require.Equal(t, 1, n, "the guard repairs the stray")
			require.NoError(t, expand.Undo(t.Context(), db, pair, expand.Options{}))
			require.NoError(t, expand.Undo(t.Context(), db, pair, expand.Options{}))
			require.NoError(t, expand.Apply(t.Context(), db, pair, expand.Options{}))
			require.Equal(t, before, dump(t, db))
		})
	}
}

func TestUndoOnlyInStart(t *testing.T) {
	t.Parallel()
	b, _ := newUsers(t)
	b.set(switchover.Expand)
	require.ErrorIs(t, expand.Undo(b.ctx, b.db, users, expand.Options{}), expand.ErrPhase)
}

// What Relax took from old comes back by Restore alone: forgetting the migration would lose it.
func TestUndoOnlyWhenRestored(t *testing.T) {
	t.Parallel()
	b, _ := newUsers(t)
	relaxed := `{"restore": [{"Name": "old not null again", "SQL": ["ALTER TABLE users ALTER COLUMN user_name SET NOT NULL"]}]}`
	b.db.MustExec(`UPDATE tandem.migration SET relaxed = $1`, relaxed)
	before := dump(t, b.db)
	err := expand.Undo(b.ctx, b.db, users, expand.Options{})
	require.ErrorIs(t, err, expand.ErrPhase)
	require.ErrorContains(t, err, "run contract.Apply with Restore first")
	require.Equal(t, before, dump(t, b.db))
	b.db.MustExec(`UPDATE tandem.migration SET relaxed = '{}'`)
	require.NoError(t, expand.Undo(b.ctx, b.db, users, expand.Options{}))
}

// A new column that is there already is taken over empty, and never with the application's values in it.
func TestApplyOnAnExistingColumn(t *testing.T) {
	t.Parallel()
	for _, stamp := range []string{"", ", full_name_stamp int"} {
		db := pgtest.New(t)
		db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text, full_name text` + stamp + `);
			INSERT INTO users VALUES (1, 'old', 'the application''s own'), (2, 'old', NULL)`)
		before := dump(t, db)
		err := expand.Apply(t.Context(), db, users, expand.Options{})
		require.ErrorIs(t, err, expand.ErrRefused)
		require.ErrorContains(t, err, "table users, column full_name: ")
		require.ErrorContains(t, err, "set it to NULL, or name another column")
		require.Equal(t, before, dump(t, db))
		var installed bool
		require.NoError(t, db.Get(&installed, `SELECT to_regclass('tandem.migration') IS NOT NULL`))
		require.False(t, installed)
		db.MustExec(`UPDATE users SET full_name = NULL`)
		require.NoError(t, expand.Apply(t.Context(), db, users, expand.Options{}))
		db.MustExec(`UPDATE users SET user_name = 'stray' WHERE id = 1`)
		require.NoError(t, expand.Apply(t.Context(), db, users, expand.Options{}), "registered: what is there is the guard's")
	}
}

// A composite value with a NULL in it is a value.
func TestApplyOnAnExistingComposite(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TYPE place AS (x int, y int); CREATE TABLE users (id bigint PRIMARY KEY, a text, b place);
		INSERT INTO users VALUES (1, 'old', (1, NULL))`)
	same := func(s string) (string, error) { return s, nil }
	p := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "a", New: "b", Type: "place", Forward: same})
	require.ErrorIs(t, expand.Apply(t.Context(), db, p, expand.Options{}), expand.ErrRefused)
}

// After Complete, Apply has nothing to do, until the columns say that the name begins again.
func TestApplyAfterComplete(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	require.NoError(t, r.Insert(b.ctx, &user{FullName: "kept"}))
	b.set(switchover.Complete)
	before := dump(t, b.db)
	require.NoError(t, expand.Apply(b.ctx, b.db, users, expand.Options{}))
	require.NoError(t, expand.Undo(b.ctx, b.db, users, expand.Options{}))
	require.Equal(t, before, dump(t, b.db))
	require.NoError(t, b.member.Refresh(b.ctx))
	require.Equal(t, switchover.Complete, b.member.Phase(users.Name()))

	other := expand.Rename[string]("users", "family_name", "full_name")
	require.ErrorIs(t, expand.Apply(b.ctx, b.db, other, expand.Options{}), expand.ErrNoColumn)
	b.db.MustExec(`ALTER TABLE users ADD COLUMN user_name text`)
	require.ErrorIs(t, expand.Apply(b.ctx, b.db, users, expand.Options{}), expand.ErrRefused, "full_name holds what the first migration wrote")
	b.db.MustExec(`ALTER TABLE users DROP COLUMN full_name`)
	require.NoError(t, expand.Apply(b.ctx, b.db, users, expand.Options{}))
	require.NoError(t, b.member.Refresh(b.ctx))
	require.Equal(t, switchover.Start, b.member.Phase(users.Name()))
}

func TestApplyByManyAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(usersSQL)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = expand.Apply(t.Context(), db, users, expand.Options{}) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// A guard that was lost is put back, and what was verified no longer counts.
func TestApplyHealsTheGuard(t *testing.T) {
	t.Parallel()
	b, _ := newUsers(t)
	b.set(switchover.Migrate)
	b.db.MustExec(`INSERT INTO tandem.backfill (migration, kind, owner) VALUES ('users.full_name', 'verify', '')`)
	b.db.MustExec(`ALTER TABLE users DISABLE TRIGGER zz_tandem_full_name_update`)
	require.NoError(t, expand.Apply(b.ctx, b.db, users, expand.Options{}))
	var n int
	require.NoError(t, b.db.Get(&n, `SELECT count(*) FROM tandem.backfill`))
	require.Zero(t, n)
	b.db.MustExec(`INSERT INTO users (user_name) VALUES ('a'); UPDATE users SET user_name = 'b'`)
	require.NoError(t, b.db.Get(&n, `SELECT count(*) FROM users WHERE full_name = 'b'`))
	require.Equal(t, 1, n)
}

func TestRedeclaredPair(t *testing.T) {
	t.Parallel()
	b, _ := newUsers(t)
	b.set(switchover.Expand)
	other := expand.Rename[string]("users", "email", "full_name")
	_, err := expand.Plan(b.ctx, b.db, other)
	require.ErrorIs(t, err, switchover.ErrRedeclare)
	type model struct {
		ID       int64  `db:"id"`
		FullName string `db:"full_name"`
	}
	r, err := expand.NewRepository[model](b.db, b.member, other)
	require.NoError(t, err)
	require.ErrorIs(t, r.Insert(b.ctx, &model{1, "x"}), switchover.ErrRedeclare)
	_, err = other.Pin(b.ctx, b.member)
	require.ErrorIs(t, err, switchover.ErrRedeclare)
}

// A lock that does not come: the error names who holds it, nothing is half done, and the next try finishes.
func TestApplyUnderAHeldLock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "application_name=holder")
	db.MustExec(usersSQL)
	tx := db.MustBegin()
	tx.MustExec(`LOCK TABLE users IN ACCESS SHARE MODE`)
	before := dump(t, db)
	err := expand.Apply(t.Context(), db, users, expand.Options{LockTimeout: 10e6, Attempts: 2})
	require.ErrorContains(t, err, "holder")
	require.ErrorContains(t, err, "AccessShareLock")
	require.Equal(t, before, dump(t, db))
	require.NoError(t, tx.Rollback())
	require.NoError(t, expand.Apply(t.Context(), db, users, expand.Options{}))
}
