package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
)

const visitsSQL = `
	CREATE TABLE known (name text PRIMARY KEY);
	CREATE TABLE visits (day int PRIMARY KEY, visitor text NOT NULL DEFAULT 'ada' CONSTRAINT known REFERENCES known CONSTRAINT filled CHECK (visitor <> '')) PARTITION BY RANGE (day);
	CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (100); CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (100) TO (200);
	CREATE INDEX by_visitor ON visits (visitor);
	INSERT INTO known VALUES ('ada'), ('bob');
	INSERT INTO visits SELECT i, CASE i % 2 WHEN 0 THEN 'ada' ELSE 'bob' END FROM generate_series(1, 199) i`

// What ApplyTwins cannot make on a partitioned table Check says before the start, and with what hands have made the migration comes to its end.
func TestPartitionedTable(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, visitsSQL, expand.Rename[string]("visits", "visitor", "guest", "day"))
	blocking := func() (out []string) {
		list, err := contract.Check(w.ctx, w.db, w.pair)
		require.NoError(t, err)
		for _, d := range list {
			out = append(out, d.Kind+" "+d.Name)
		}
		return out
	}
	twin := func(name string) string { return ident.Quote(catalog.TwinName(w.pair.Definition(), name)) }
	refusedTwins := func(text string) {
		t.Helper()
		err := expand.ApplyTwins(w.ctx, w.db, w.pair, expand.Options{})
		require.ErrorIs(t, err, expand.ErrRefused)
		require.ErrorContains(t, err, text)
	}
	old := w.number(`SELECT current_setting('server_version_num')::int`) < 180000
	require.Contains(t, blocking(), "index by_visitor")
	require.Equal(t, old, len(blocking()) == 2)
	w.toMigrate()
	refusedTwins("create " + twin("by_visitor") + " ON ONLY the parent")
	w.exec(`CREATE INDEX ` + twin("by_visitor") + ` ON ONLY visits (guest); CREATE INDEX guest_1 ON visits_1 (guest); CREATE INDEX guest_2 ON visits_2 (guest);
		ALTER INDEX ` + twin("by_visitor") + ` ATTACH PARTITION guest_1; ALTER INDEX ` + twin("by_visitor") + ` ATTACH PARTITION guest_2`)
	if old {
		require.Equal(t, []string{"foreign key known"}, blocking())
		refusedTwins("ADD CONSTRAINT " + twin("known") + " FOREIGN KEY")
		w.exec(`ALTER TABLE visits ADD CONSTRAINT ` + twin("known") + ` FOREIGN KEY (guest) REFERENCES known`)
	}
	require.Empty(t, blocking())
	w.toContract()
	w.end()
	got := w.describe()
	w.exec(`ALTER SCHEMA public RENAME TO migrated; CREATE SCHEMA public; ` + visitsSQL + `; ALTER TABLE visits RENAME visitor TO guest`)
	require.Equal(t, w.describe(), got)
}

// An index of a partition alone would go with old, and no twin would stand for it.
func TestRelaxRefusesWhatAPartitionHasAlone(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, `CREATE TABLE visits (day int PRIMARY KEY, visitor text) PARTITION BY RANGE (day); CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (100);
		CREATE INDEX own ON visits_1 (visitor); INSERT INTO visits VALUES (1, 'ada')`, expand.Rename[string]("visits", "visitor", "guest", "day"))
	w.toSwitch()
	err := contract.Apply(w.ctx, w.db, w.pair, contract.Relax, contract.Options{Gates: quick})
	require.ErrorIs(t, err, contract.ErrDependents)
	require.ErrorContains(t, err, "index own of partition visits_1: ")
	require.Equal(t, 1, w.number(`SELECT count(*) FROM pg_class WHERE relname = 'own'`))
	w.exec(`CREATE INDEX mine ON visits_1 (guest); DROP INDEX own; ALTER INDEX mine RENAME TO own`)
	w.apply(contract.Relax)
}
