package contract_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

var update = flag.Bool("update", false, "rewrite the golden files; once with a server of version 17 or below, once with one of 18 or above")

// planned compares the plan of a stage with its golden file, and wants it to have changed nothing and Apply to do the same steps.
func (w *walker) planned(stage contract.Stage, golden string) {
	w.Helper()
	before := w.describe()
	const stateSQL = `SELECT md5(string_agg(m::text, ',')) FROM (SELECT m::text FROM tandem.migration m UNION ALL SELECT e::text FROM tandem.event e ORDER BY 1) x (m)`
	var was, is string
	require.NoError(w, w.db.Get(&was, stateSQL))
	steps, err := contract.Plan(w.ctx, w.db, w.pair, stage)
	require.NoError(w, err)
	require.NoError(w, w.db.Get(&is, stateSQL))
	require.Equal(w, was, is)
	require.Equal(w, before, w.describe())
	require.Zero(w, w.number(`SELECT count(*) FROM pg_class WHERE relname LIKE 'copy of%'`))

	var text []string
	var names, applied []string
	for _, s := range steps {
		names = append(names, s.Name)
		for _, sql := range s.SQL {
			require.NotContains(w, strings.ToUpper(sql), "CASCADE")
		}
		if s.Name == "repair guard" && len(s.SQL) > 0 {
			s.SQL = []string{"the guard's text, see package guard"}
		}
		text = append(text, s.String())
	}
	w.golden(golden, strings.Join(text, "\n"))
	require.NoError(w, contract.Apply(w.ctx, w.db, w.pair, stage, contract.Options{Gates: quick, Locks: expand.Options{Log: func(name string) { applied = append(applied, name) }}}))
	if stage != contract.Drop { // its one step runs inside switchover.Advance
		require.Equal(w, names, applied)
	}
}

func (w *walker) golden(name, got string) {
	w.Helper()
	if w.number(`SELECT current_setting('server_version_num')::int`) >= 180_000 { // NOT NULL has a name there
		name += "_18"
	}
	path := filepath.Join("testdata", name+".sql")
	if *update {
		require.NoError(w, os.MkdirAll("testdata", 0o755))
		require.NoError(w, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(w, err)
	require.Equal(w, string(want), got)
}

func TestPlanText(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toSwitch()
	w.planned(contract.Relax, "relax")
	w.planned(contract.Restore, "restore_relax")
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.planned(contract.Finish, "finish")
	w.revert(switchover.Switch)
	w.reverse()
	w.planned(contract.Restore, "restore")
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.apply(contract.Finish)
	w.planned(contract.Drop, "drop")
}

// A column with nothing on it needs nothing before it is dropped.
func TestNothingToTake(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, `CREATE TABLE users (id bigint PRIMARY KEY, user_name text, email text); INSERT INTO users VALUES (1, 'x'), (2, NULL)`,
		expand.Rename[*string]("users", "user_name", "full_name"))
	w.toSwitch()
	for _, stage := range []contract.Stage{contract.Relax, contract.Restore} {
		steps, err := contract.Plan(t.Context(), w.db, w.pair, stage)
		require.NoError(t, err)
		require.Empty(t, steps)
		w.apply(stage)
	}
	w.advance(switchover.Contract)
	w.end()
	require.Equal(t, 1, w.number(`SELECT count(full_name) FROM users`))
}
