package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

const staffSQL = `
	CREATE TABLE units (id bigint PRIMARY KEY); INSERT INTO units SELECT generate_series(1, 50);
	CREATE TABLE staff (id bigint PRIMARY KEY, dept bigint REFERENCES units ON DELETE SET NULL ON UPDATE CASCADE);
	INSERT INTO staff SELECT i, i FROM generate_series(1, 50) i`

// What a foreign key does to the rows of a unit that goes or gets another number, it does in every phase, on the way back too.
func TestForeignKeyActsInEveryPhase(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]string{
		"plain": ``,
		"triggered": `; CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
			CREATE TRIGGER touch BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION touch()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLonelyWalker(t, staffSQL+prepare, expand.Rename[*int64]("staff", "dept", "unit"))
			unit := 0
			act := func() {
				t.Helper()
				unit += 2
				w.exec(`DELETE FROM units WHERE id = $1`, unit-1)
				w.exec(`UPDATE units SET id = id + 100 WHERE id = $1`, unit)
			}
			inStep := func(column string) {
				t.Helper()
				require.Equal(t, unit/2, w.number(`SELECT count(*) FROM staff WHERE `+column+` IS NULL`))
				require.Equal(t, unit/2, w.number(`SELECT count(*) FROM staff WHERE `+column+` = id + 100`))
				require.Equal(t, 50-unit, w.number(`SELECT count(*) FROM staff WHERE `+column+` = id`))
			}
			act()
			w.toMigrate()
			act()
			require.NoError(t, expand.ApplyTwins(w.ctx, w.db, w.pair, expand.Options{}))
			act()
			inStep("dept")
			w.toSwitch()
			act()
			w.apply(contract.Relax)
			act()
			inStep("dept")
			inStep("unit")
			w.advance(switchover.Contract)
			act()
			inStep("unit")
			w.apply(contract.Finish)
			w.revert(switchover.Switch)
			act()
			w.reverse()
			act()
			w.apply(contract.Restore)
			inStep("dept")
			act() // the foreign key of new is the older one now
			inStep("dept")
			inStep("unit")
			w.apply(contract.Relax)
			w.advance(switchover.Contract)
			act()
			w.end()
			act()
			inStep("unit")
			require.Equal(t, 1, w.number(`SELECT count(*) FROM pg_constraint WHERE conname = 'staff_dept_fkey' AND contype = 'f'`))
		})
	}
}

// A deferrable constraint lets one statement exchange values, in every phase.
func TestDeferrableInEveryPhase(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			w := newLonelyWalker(t, `CREATE TABLE list (id bigint PRIMARY KEY, pos bigint NOT NULL, UNIQUE (pos) `+when+`); INSERT INTO list SELECT i, i FROM generate_series(1, 3) i`,
				expand.Rename[int64]("list", "pos", "place"))
			w.exec(`UPDATE list SET pos = 4 - pos`)
			w.toMigrate()
			w.exec(`UPDATE list SET pos = 4 - pos`)
			require.NoError(t, expand.ApplyTwins(w.ctx, w.db, w.pair, expand.Options{}))
			w.exec(`UPDATE list SET pos = 4 - pos`)
			w.toSwitch()
			w.apply(contract.Relax)
			w.exec(`UPDATE list SET pos = 4 - pos`)
			w.apply(contract.Restore)
			w.exec(`UPDATE list SET pos = 4 - pos`)
			w.apply(contract.Relax)
			w.advance(switchover.Contract)
			w.exec(`UPDATE list SET place = 4 - place, place_stamp = 83886080`)
			w.end()
			w.exec(`UPDATE list SET place = 4 - place`)
			require.Equal(t, 3, w.number(`SELECT count(*) FROM list WHERE place = 4 - id`))
		})
	}
}
