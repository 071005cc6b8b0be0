package contract_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// feature is one thing that can hang on a column, and how a migration of that column ends.
type feature struct {
	name      string
	sql       string // makes it on featureSQL
	column    string // defaults to user_name
	since     int    // the first version that has it; defaults to all
	until     int    // the last version; defaults to all
	extension string // that it takes
	ends      string // of a rename: equal, remedied, refused
	why       string // a word of the blocker, where it is not carried
	retype    string // of a change of type; "": not asked, because ALTER COLUMN TYPE refuses it, or because it is no matter of types
}

// featureSQL is what the features hang on.
const featureSQL = `
	CREATE TABLE users (id bigint PRIMARY KEY, user_name text, seat int, email text, tenant int, during int4range);
	INSERT INTO users SELECT i, 'name ' || i, i, i || '@example.org', i % 3, int4range(i, i + 1) FROM generate_series(1, 20) i;`

// Whatever hangs on a column is there after the migration, as ALTER TABLE leaves it: RENAME COLUMN, or ALTER COLUMN TYPE and RENAME COLUMN. What the library does not carry it names before
// anything is touched, mostly with the SQL that mends it.
func TestCatalog(t *testing.T) {
	t.Parallel()
	server := newFeatureServer(t)
	t.Run("of a column", func(t *testing.T) {
		for _, f := range server.features(slices.Concat(features, partitionedFeatures)) {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				server.run(t, f, "")
			})
			if f.retype != "" {
				t.Run(f.name+" of another type", func(t *testing.T) {
					t.Parallel()
					server.run(t, f, f.newType())
				})
			}
		}
	})
	server.report(t)
}

func (f feature) old() string {
	if f.column != "" {
		return f.column
	}
	return "user_name"
}

func (f feature) newType() string {
	if f.column == "" {
		return "varchar(60)"
	}
	return "bigint"
}

// pair renames the column, or gives it another type too.
func (f feature) pair(newType string) expand.Any {
	fresh := map[string]string{"user_name": "full_name", "seat": "place"}[f.old()]
	if newType == "" {
		return expand.Rename[*string]("users", f.old(), fresh)
	}
	return expand.Convert(expand.Spec[*string, *string]{Table: "users", Old: f.old(), New: fresh, Type: newType, ForwardSQL: "{" + f.old() + "}", BackwardSQL: "{" + fresh + "}",
		Forward: func(s *string) (*string, error) { return s, nil }, Backward: func(s *string) (*string, error) { return s, nil }})
}

// plain is what ALTER TABLE leaves.
func (f feature) plain(t *testing.T, newType string) snapshot {
	t.Helper()
	dsn := pgtest.DSN(t)
	db := pgtest.Open(t, dsn)
	statements := []string{featureSQL + f.sql}
	if newType != "" {
		statements = append(statements, fmt.Sprintf(`ALTER TABLE users ALTER COLUMN %[1]s TYPE %[2]s USING %[1]s::%[2]s`, f.old(), newType))
	}
	d := f.pair(newType).Definition()
	for _, sql := range append(statements, `ALTER TABLE users RENAME COLUMN `+d.Old[0]+` TO `+d.New[0]) {
		_, err := db.ExecContext(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	return takeSnapshot(t, db, dsn)
}

// featureServer knows what the server has, and counts how features end.
type featureServer struct {
	version    int // 15
	extensions []string
	space      string // a tablespace; "": this role is no superuser

	mu    sync.Mutex
	ended map[string]int // of a rename, and with the prefix retyped of a change of type
}

const retyped = "retyped "

func newFeatureServer(t *testing.T) *featureServer {
	t.Helper()
	db := pgtest.New(t)
	s := &featureServer{ended: map[string]int{}}
	require.NoError(t, db.GetContext(t.Context(), &s.version, `SELECT current_setting('server_version_num')::int / 10000`))
	require.NoError(t, db.SelectContext(t.Context(), &s.extensions, `SELECT name FROM pg_available_extensions`))
	conn, err := db.Connx(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	space := fmt.Sprintf("tandem_%d_%s", os.Getpid(), strings.ToLower(rand.Text()[:10]))
	for _, sql := range []string{`SET allow_in_place_tablespaces = on`, `CREATE TABLESPACE ` + space + ` LOCATION ''`} {
		if _, err := conn.ExecContext(t.Context(), sql); err != nil {
			t.Logf("without tablespaces and other owners, for which it takes a superuser: %v", err)
			return s
		}
	}
	s.space = space
	t.Cleanup(func() {
		_, err := conn.ExecContext(context.WithoutCancel(t.Context()), `DROP TABLESPACE `+space)
		require.NoError(t, err)
	})
	return s
}

// features are those that the server has.
func (s *featureServer) features(all []feature) (out []feature) {
	for _, f := range all {
		superuser := strings.Contains(f.sql, "%space%") || strings.Contains(f.sql, "OWNER TO")
		f.sql = strings.ReplaceAll(f.sql, "%space%", s.space)
		if f.since <= s.version && (f.until == 0 || s.version <= f.until) && (f.extension == "" || slices.Contains(s.extensions, f.extension)) && (s.space != "" || !superuser) {
			out = append(out, f)
		}
	}
	return out
}

func (s *featureServer) report(t *testing.T) {
	t.Helper()
	of := func(prefix string) (carried, remedy, never, sum int) {
		carried, remedy, never = s.ended[prefix+equal], s.ended[prefix+remedied], s.ended[prefix+refused]
		return carried, remedy, never, carried + remedy + never
	}
	carried, remedy, never, sum := of("")
	again, mended, left, changes := of(retyped)
	t.Logf("carried %d, after a remedy %d, refused %d of %d features on PostgreSQL %d; with another type carried %d, after a remedy %d, refused %d of %d",
		carried, remedy, never, sum, s.version, again, mended, left, changes)
}

// run takes a feature through a migration, and notes how it ends.
func (s *featureServer) run(t *testing.T, f feature, newType string) {
	t.Helper()
	want := f.ends
	if newType != "" {
		want = f.retype
	}
	w := &walker{T: t, gates: quick, ctx: t.Context(), dsn: pgtest.DSN(t), pair: f.pair(newType)}
	w.db = pgtest.Open(t, w.dsn)
	w.exec(featureSQL + f.sql)
	list, ended := f.ask(w)
	require.Equal(t, want, ended, "%s", list)
	if ended != refused {
		yardstick := f.plain(t, newType)
		before := w.contents(f.old())
		f.migrate(w, list)
		require.Equal(t, before, w.contents(w.pair.Definition().New[0]))
		yardstick.same(t, takeSnapshot(t, w.db, w.dsn))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if newType != "" {
		ended = retyped + ended
	}
	s.ended[ended]++
}

// ask asks Plan and Check how it will end, and wants reasons to be true and nothing to have changed.
func (f feature) ask(w *walker) (list []expand.Dependent, ended string) {
	w.Helper()
	before := takeSnapshot(w.T, w.db, "")
	defer func() { before.same(w.T, takeSnapshot(w.T, w.db, "")) }()
	if _, err := expand.Plan(w.ctx, w.db, w.pair); err != nil {
		require.ErrorIs(w, err, expand.ErrRefused)
		require.ErrorContains(w, err, f.why)
		require.NotEmpty(w, f.why)
		require.ErrorIs(w, expand.Apply(w.ctx, w.db, w.pair, expand.Options{}), expand.ErrRefused)
		return nil, refused
	}
	list, err := contract.Check(w.ctx, w.db, w.pair)
	require.NoError(w, err)
	list = slices.DeleteFunc(list, func(d expand.Dependent) bool { return !d.Blocks }) // RENAME COLUMN does not mend it either
	ended = equal
	for _, d := range list {
		require.Contains(w, d.String(), f.why)
		require.NotEmpty(w, f.why)
		trueOf(w.T, w.db, before, w.pair, d)
		switch {
		case len(d.Fixes) == 0:
			ended = refused
		case ended == equal:
			ended = remedied
		}
	}
	return list, ended
}

// migrate goes to the end, with the SQL of the blockers at its time.
func (f feature) migrate(w *walker, list []expand.Dependent) {
	w.Helper()
	w.fix(list, switchover.Start)
	require.NoError(w, expand.Apply(w.ctx, w.db, w.pair, expand.Options{}))
	w.touch()
	w.toMigrate()
	w.touch()
	w.fix(list, switchover.Migrate)
	w.toSwitch()
	w.touch()
	w.fix(list, switchover.Switch)
	w.touch()
	whole := takeSnapshot(w.T, w.db, "")
	w.once(contract.Relax, quick)
	w.touch()
	require.NoError(w, contract.Apply(w.ctx, w.db, w.pair, contract.Restore, contract.Options{}))
	whole.same(w.T, takeSnapshot(w.T, w.db, ""))
	w.once(contract.Relax, quick)
	w.advance(switchover.Contract)
	w.touch()
	w.once(contract.Finish, quick)
	gates := quick
	gates.Waive = map[string]string{"mentions": "functions and triggers' arguments are as wrong after RENAME COLUMN"}
	w.once(contract.Drop, gates)
	w.fix(list, switchover.Complete)
}
