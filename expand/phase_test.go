package expand_test

import (
	"slices"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/switchover"
)

// setPhase does to the database what the steps up to a phase do, without asking gates and without a backfill.
func setPhase(t testing.TB, db *sqlx.DB, p expand.Any, ph switchover.Phase) {
	t.Helper()
	d := p.Definition()
	table, err := catalog.Read(t.Context(), db, d.Table)
	require.NoError(t, err)
	mode := guard.Repair
	tx := db.MustBegin()
	defer func() { _ = tx.Rollback() }()
	switch ph {
	case switchover.Contract:
		mode = guard.Reject
		for _, name := range d.Old {
			tx.MustExec(`ALTER TABLE ` + d.Table.SQL() + ` ALTER COLUMN ` + ident.Quote(name) + ` DROP NOT NULL`)
		}
		for _, sql := range guard.Install(table.Spec(d), mode) {
			tx.MustExec(sql)
		}
	case switchover.Complete:
		mode = guard.None
		for _, sql := range guard.Remove(d) {
			tx.MustExec(sql)
		}
		for _, name := range append(slices.Clone(d.Old), d.Stamp) {
			tx.MustExec(`ALTER TABLE ` + d.Table.SQL() + ` DROP COLUMN ` + ident.Quote(name))
		}
	}
	tx.MustExec(`UPDATE tandem.migration SET phase = $2, guard = $3, epoch = epoch + 1 WHERE name = $1`, p.Name(), ph, mode)
	require.NoError(t, tx.Commit())
}

var allPhases = []switchover.Phase{switchover.Start, switchover.Expand, switchover.Migrate, switchover.Switch, switchover.Contract, switchover.Complete}
