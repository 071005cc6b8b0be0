package guard_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// usersSQL has a row in step, a row that no backfill has seen, and the stamp of the first.
const usersSQL = `
	CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL DEFAULT 'anon', email text,
	                    full_name text, full_name_stamp int);
	INSERT INTO users VALUES (1, 'ada', '', 'ada', 33554433), (2, 'bob', '', NULL, NULL)`

func rename() pair.Definition {
	return pair.Definition{
		Table: ident.Table{Schema: "public", Name: "users"}, Key: []string{"id"},
		Old: []string{"user_name"}, New: []string{"full_name"}, Stamp: "full_name_stamp",
		Forward: []string{"{user_name}"}, Backward: []string{"{full_name}"},
	}
}

// goOnly is the pair of users with conversions that only Go knows.
func goOnly() pair.Definition {
	d := rename()
	d.Forward, d.Backward = nil, nil
	return d
}

// bed is a database with one guarded table.
type bed struct {
	db  *sqlx.DB
	def pair.Definition
}

// newBed creates the table and puts the guard in force.
func newBed(t testing.TB, create string, d pair.Definition, mode guard.Mode) bed {
	t.Helper()
	require.NoError(t, d.Check())
	b := bed{db: pgtest.New(t), def: d}
	require.NoError(t, state.Install(t.Context(), b.db))
	b.db.MustExec(create)
	b.install(t, mode)
	return b
}

// install does what expand and the swap do.
func (b bed) install(t testing.TB, mode guard.Mode) {
	t.Helper()
	table, err := catalog.Read(t.Context(), b.db, b.def.Table)
	require.NoError(t, err)
	require.NoError(t, pg.InTx(t.Context(), b.db, pg.Settings{LockTimeout: 10 * time.Second}, func(ctx context.Context, tx *sqlx.Tx) error {
		for _, sql := range guard.Install(table.Spec(b.def), mode) {
			if _, err := tx.ExecContext(ctx, sql); err != nil {
				return fmt.Errorf("%w in %s", err, sql)
			}
		}
		return nil
	}))
	missing, err := catalog.Unguarded(t.Context(), b.db, table, b.def, mode)
	require.NoError(t, err)
	require.Empty(t, missing)
}

// rows shows the table: key, old, new and the phase of the stamp, in the order of the key.
func (b bed) rows(t *testing.T, q sqlx.Queryer) []string {
	t.Helper()
	var terms []string
	for _, c := range append(append(append([]string{}, b.def.Key...), b.def.Old...), b.def.New...) {
		terms = append(terms, "coalesce("+ident.Quote(c)+"::text, 'NULL')")
	}
	stamp := "coalesce((" + ident.Quote(b.def.Stamp) + " >> 24)::text, 'NULL')"
	return list(t, q, `SELECT concat_ws('|', `+strings.Join(append(terms, stamp), ", ")+`) FROM `+
		b.def.Table.SQL()+` ORDER BY `+ident.List("", b.def.Key))
}

func list(t *testing.T, q sqlx.Queryer, query string, args ...any) []string {
	t.Helper()
	out := []string{}
	require.NoError(t, sqlx.Select(q, &out, query, args...))
	return out
}

// deed is what one transaction does to the table, and what must come of it.
type deed struct {
	name  string
	sql   string   // statements, separated by ;
	err   string   // SQLSTATE; empty: none
	rows  []string // afterwards
	stray string   // the operation on record; empty: nobody went around the wrappers
	dirty []string // keys
}

// run does each deed in a transaction that is rolled back, so that all begin with the same rows.
func (b bed) run(t *testing.T, deeds []deed) {
	t.Helper()
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) { b.do(t, d) })
	}
}

func (b bed) do(t *testing.T, d deed) {
	t.Helper()
	tx := b.db.MustBegin()
	defer func() { _ = tx.Rollback() }()
	_, err := tx.Exec(d.sql)
	if d.err != "" {
		require.Error(t, err)
		require.Equal(t, d.err, pg.SQLState(err), "%v", err)
		return
	}
	require.NoError(t, err)
	require.Equal(t, d.rows, b.rows(t, tx))
	stray := []string{}
	if d.stray != "" {
		stray = []string{d.stray + " " + b.def.Name()}
	}
	require.Equal(t, stray, list(t, tx, `SELECT operation || ' ' || migration FROM tandem.stray`))
	require.Equal(t, append([]string{}, d.dirty...), list(t, tx, `SELECT array_to_string(key, ',') FROM tandem.dirty WHERE migration = $1`, b.def.Name()))
}

// fails runs a statement of its own and wants an SQLSTATE.
func (b bed) fails(t *testing.T, sqlState, sql string) {
	t.Helper()
	_, err := b.db.Exec(sql)
	require.Error(t, err, sql)
	require.Equal(t, sqlState, pg.SQLState(err), "%v", err)
}

// stamp is a stamp of the phase, as text.
func stamp(p phase.Phase) string { return fmt.Sprint(p.Floor() + 77) }
