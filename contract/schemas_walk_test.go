package contract_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// migrate takes a copy of the schema through the whole migration, with programs that know nothing of it at work, and compares.
func (s *sampleSchema) migrate(t *testing.T, p expand.Any, list []expand.Dependent) {
	t.Helper()
	want := s.renamed(t, p)
	w := &walker{T: t, gates: quick, ctx: t.Context(), dsn: pgtest.Copy(t, s.template), pair: p}
	w.db = pgtest.Open(t, w.dsn)
	before := w.contents(p.Definition().Old[0])
	w.fix(list, switchover.Start)
	require.NoError(t, expand.Apply(w.ctx, w.db, p, expand.Options{}))
	w.touch()
	w.toMigrate()
	w.touch()
	w.fix(list, switchover.Migrate)
	w.toSwitch()
	w.touch()
	w.fix(list, switchover.Switch)
	w.once(contract.Relax, quick)
	w.touch()
	w.advance(switchover.Contract)
	w.touch()
	w.once(contract.Finish, quick)
	gates := quick
	gates.Waive = map[string]string{"mentions": "functions and triggers' arguments are as wrong after RENAME COLUMN"}
	w.once(contract.Drop, gates)
	w.fix(list, switchover.Complete)
	require.Equal(t, before, w.contents(p.Definition().New[0]))
	want.same(t, takeSnapshot(t, w.db, w.dsn))
}

func (w *walker) once(stage contract.Stage, gates switchover.Options) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, waitTime) // the error then lists the gates
	defer cancel()
	require.NoError(w, contract.Apply(ctx, w.db, w.pair, stage, contract.Options{Gates: gates}))
}

// fix runs the SQL that the blockers name for a phase. Before it, Relax refuses and names it.
func (w *walker) fix(list []expand.Dependent, in switchover.Phase) {
	w.Helper()
	var sql []string
	for _, d := range list {
		for _, f := range d.Fixes {
			if f.In == in {
				sql = append(sql, f.SQL)
			}
		}
	}
	if in == switchover.Switch && len(sql) > 0 {
		err := contract.Apply(w.ctx, w.db, w.pair, contract.Relax, contract.Options{Gates: quick})
		require.ErrorIs(w, err, contract.ErrDependents)
		for _, s := range sql {
			require.ErrorContains(w, err, s)
		}
	}
	for _, s := range sql {
		w.exec(s)
	}
}

// touch is a write that does not know the pair, and that the application's triggers act on.
func (w *walker) touch() {
	w.Helper()
	d := w.pair.Definition()
	w.exec(`UPDATE ` + d.Table.SQL() + ` SET ` + ident.Quote(d.Key[0]) + ` = ` + ident.Quote(d.Key[0]))
}

// contents are the values of a column, with the key.
func (w *walker) contents(column string) []string {
	w.Helper()
	d := w.pair.Definition()
	var out []string
	query := fmt.Sprintf(`SELECT concat_ws(' ', %s, coalesce(%s::text, 'NULL')) FROM %s ORDER BY 1`, ident.List("", d.Key), ident.Quote(column), d.Table.SQL())
	require.NoError(w, w.db.SelectContext(w.ctx, &out, query))
	return out
}
