package guard_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/phase"
)

// staffSQL has a row in step and a row that no backfill has seen. The foreign key on @first acts before the one on @second.
const staffSQL = `
	CREATE TABLE units (id bigint PRIMARY KEY); INSERT INTO units SELECT generate_series(1, 9);
	CREATE TABLE staff (id bigint PRIMARY KEY, dept bigint, @new bigint, stamp int) @partitioned;
	INSERT INTO staff VALUES (1, 1, 1, 33554433), (2, 2, NULL, NULL);
	ALTER TABLE staff ADD CONSTRAINT @first FOREIGN KEY (@first) REFERENCES units ON DELETE SET NULL ON UPDATE CASCADE;
	ALTER TABLE staff ADD CONSTRAINT @second FOREIGN KEY (@second) REFERENCES units ON DELETE SET NULL ON UPDATE CASCADE;
	CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE staff SET dept = 5, @new = 5 WHERE id = 1; RETURN NULL; END$$;
	CREATE TABLE others (); CREATE TRIGGER other AFTER INSERT ON others FOR EACH ROW EXECUTE FUNCTION other()`

const (
	ann = "1|1|1|2"
	ben = "2|2|NULL|NULL"
)

// staffs are tables each of which has the guard's triggers in another order: the row trigger of an UPDATE is AFTER on the first, BEFORE on the others.
var staffs = map[string]struct{ new, partitioned, more string }{
	"plain":       {new: "unit"},
	"partitioned": {new: "unit", partitioned: "PARTITION BY HASH (id); CREATE TABLE staff_0 PARTITION OF staff FOR VALUES WITH (MODULUS 1, REMAINDER 0)"},
	"triggered":   {new: "unit", more: touchSQL},
	"long name":   {new: strings.Repeat("u", 63), more: touchSQL},
}

const touchSQL = `; CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER touch BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION touch()`

func newStaff(t *testing.T, kind string, newFirst bool) bed {
	t.Helper()
	k := staffs[kind]
	first, second := "dept", k.new
	if newFirst {
		first, second = second, first
	}
	d := pair.Definition{Table: ident.Table{Schema: "public", Name: "staff"}, Key: []string{"id"}, Old: []string{"dept"}, New: []string{k.new}, Stamp: "stamp",
		Forward: []string{"{dept}"}, Backward: []string{fragment.Placeholder(k.new)}}
	return newBed(t, strings.NewReplacer("@new", k.new, "@partitioned", k.partitioned, "@first", first, "@second", second).Replace(staffSQL+k.more), d, guard.Repair)
}

// In Repair both foreign keys act, in either order, and the row ends in step.
func TestForeignKeysAreRepaired(t *testing.T) {
	t.Parallel()
	for kind := range staffs {
		for _, newFirst := range []bool{false, true} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				newStaff(t, kind, newFirst).run(t, []deed{
					{name: "delete", sql: `DELETE FROM units WHERE id = 1`, rows: []string{"1|NULL|NULL|2", ben}, stray: "update"},
					{name: "update", sql: `UPDATE units SET id = 10 WHERE id = 1`, rows: []string{"1|10|10|2", ben}, stray: "update"},
					{name: "unstamped", sql: `UPDATE units SET id = 10 WHERE id = 2`, rows: []string{ann, "2|10|10|2"}, stray: "update"},
				})
			})
		}
	}
}

// In Contract and on the way back the foreign key on new acts, and nobody else may.
func TestForeignKeyActsInContract(t *testing.T) {
	t.Parallel()
	for kind := range staffs {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newStaff(t, kind, false)
			b.db.MustExec(`ALTER TABLE staff DROP CONSTRAINT dept`)
			set := `UPDATE staff SET ` + b.def.New[0]
			others := []deed{
				{name: "new alone", sql: set + ` = 3 WHERE id = 1`, err: "TD001"},
				{name: "both by a trigger", sql: `INSERT INTO others DEFAULT VALUES`, err: "TD001"},
				{name: "nobody's unit", sql: `DELETE FROM units WHERE id = 5`, rows: []string{ann, ben}},
				{name: "stamped", sql: set + ` = 3, dept = 3, stamp = ` + stamp(phase.Switch) + ` WHERE id = 1`, rows: []string{"1|3|3|4", ben}},
			}
			b.install(t, guard.Reject)
			b.run(t, append(others,
				deed{name: "delete", sql: `DELETE FROM units WHERE id = 1`, rows: []string{"1|1|NULL|5", ben}},
				deed{name: "update", sql: `UPDATE units SET id = 10 WHERE id = 1`, rows: []string{"1|1|10|5", ben}},
			))
			b.install(t, guard.Reverse)
			b.run(t, append(others,
				deed{name: "delete", sql: `DELETE FROM units WHERE id = 1`, rows: []string{"1|NULL|NULL|4", ben}},
				deed{name: "update", sql: `UPDATE units SET id = 10 WHERE id = 1`, rows: []string{"1|10|10|4", ben}},
			))
			b.install(t, guard.Repair)
			b.run(t, []deed{{name: "repair", sql: `DELETE FROM units WHERE id = 1`, rows: []string{"1|NULL|NULL|2", ben}, stray: "update"}})
		})
	}
}

// Only a table with such a foreign key pays for the third trigger, and only while the guard rejects.
func TestActionTriggerIsWhereItIsNeeded(t *testing.T) {
	t.Parallel()
	b := newStaff(t, "plain", false)
	triggers := func() []string {
		return list(t, b.db, `SELECT replace(tgname, 'zz_tandem_unit_', '') || tgenabled::text FROM pg_trigger WHERE tgrelid = 'staff'::regclass AND NOT tgisinternal ORDER BY 1`)
	}
	for _, mode := range []guard.Mode{guard.Reject, guard.Reverse, guard.Repair, guard.Reverse} {
		b.install(t, mode)
		want := []string{"actionA", "insertA", "updateA", "writesA"}
		if mode == guard.Repair {
			want = want[1:3]
		}
		require.Equal(t, want, triggers())
	}
	// what a foreign key writes cannot be carried to old without SQL
	b.def.Backward = nil
	b.install(t, guard.Reverse)
	require.Equal(t, []string{"insertA", "updateA", "writesA"}, triggers())
	b.install(t, guard.Reject)
	require.Equal(t, []string{"actionA", "insertA", "updateA", "writesA"}, triggers())
	for _, sql := range guard.Remove(b.def) {
		b.db.MustExec(sql)
	}
	require.Empty(t, triggers())
	require.Empty(t, list(t, b.db, `SELECT proname FROM pg_proc WHERE pronamespace = 'tandem'::regnamespace AND proname LIKE 'guard %'`))
	// neither deletes rows nor refuses to
	b.db.MustExec(`ALTER TABLE staff DROP CONSTRAINT dept, DROP CONSTRAINT unit, ADD FOREIGN KEY (unit) REFERENCES units ON DELETE CASCADE`)
	b.install(t, guard.Reject)
	require.Equal(t, []string{"insertA", "updateA", "writesA"}, triggers())
	b.run(t, []deed{{name: "cascade", sql: `DELETE FROM units WHERE id = 1`, rows: []string{ben}}})
}

// The swap, there and back, goes on while a reader holds the table.
func TestInstallBlocksNoReader(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	reader := b.db.MustBegin()
	defer func() { _ = reader.Rollback() }()
	reader.MustExec(`LOCK TABLE users IN ACCESS SHARE MODE`)
	for _, mode := range []guard.Mode{guard.Reject, guard.Reverse, guard.Reject} {
		b.install(t, mode)
	}
}
