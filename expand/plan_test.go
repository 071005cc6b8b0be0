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
