package model

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"
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

// try is one statement on one row: which columns it writes, and with which stamp, 0 for none.
type try struct {
	was, is        row
	setOld, setNew bool
	stamp          phase.Phase
}

// tries are all statements on all rows that the protocol makes.
func tries() (out []try) {
	rows := []row{{}, {true, initial, none, 0}, {true, none, wrapperB, phase.Contract}, {true, initial, wrapperB, phase.Contract}}
	for p := phase.Expand; p <= phase.Switch; p++ {
		rows = append(rows, row{true, initial, initial, p})
	}
	stamps := []phase.Phase{0, phase.Expand, phase.Migrate, phase.Switch, phase.Contract}
	for _, was := range rows {
		for _, stamp := range stamps {
			for _, old := range []uint8{none, initial, wrapperA} { // none: not written
				for _, fresh := range []uint8{none, initial, wrapperA} {
					t := try{was: was, is: was, setOld: old != none, setNew: fresh != none, stamp: stamp}
					t.is.exists = true
					if t.setOld {
						t.is.old = old
					}
					if t.setNew {
						t.is.new = fresh
					}
					if stamp != 0 {
						t.is.stamp = stamp
					}
					if t.setOld || t.setNew {
						out = append(out, t)
					}
				}
			}
		}
	}
	return out
}

// The model's guard does what the triggers do, to each statement on each row, in each mode and for each kind of pair.
func TestModelIsTheGuard(t *testing.T) {
	t.Parallel()
	for _, c := range kinds()[:4] {
		for _, mode := range []guard.Mode{guard.Repair, guard.Reject, guard.Reverse} {
			t.Run(fmt.Sprintf("%s, forward %t, backward %t", mode, c.Forward, c.Backward), func(t *testing.T) {
				t.Parallel()
				db := guarded(t, c, mode)
				for i, try := range tries() {
					fresh := try.stamp != 0
					want, dirty, ok := fire(c, mode, try.was, try.is, fresh)
					got, gotDirty, gotOK := try.run(t, db, i)
					require.Equal(t, ok, gotOK, "%+v", try)
					if !ok {
						continue
					}
					require.Equal(t, want, got, "%+v", try)
					require.Equal(t, dirty, gotDirty, "%+v", try)
				}
				t.Logf("%d statements", len(tries()))
			})
		}
	}
}

// guarded is a table with a row for each try that needs one, and the guard.
func guarded(t *testing.T, c Config, mode guard.Mode) *sqlx.DB {
	t.Helper()
	db := pgtest.New(t)
	require.NoError(t, state.Install(t.Context(), db))
	db.MustExec(`CREATE TABLE t (id int PRIMARY KEY, old text, new text, new_stamp int)`)
	for i, try := range tries() {
		if r := try.was; r.exists {
			db.MustExec(`INSERT INTO t VALUES ($1, $2, $3, $4)`, i, text(r.old), text(r.new), stamped(r.stamp))
		}
	}
	d := pair.Definition{Table: ident.Table{Schema: "public", Name: "t"}, Key: []string{"id"}, Old: []string{"old"}, New: []string{"new"}, Stamp: "new_stamp"}
	if c.Forward {
		d.Forward = []string{"{old}"}
	}
	if c.Backward {
		d.Backward = []string{"{new}"}
	}
	table, err := catalog.Read(t.Context(), db, d.Table)
	require.NoError(t, err)
	for _, sql := range guard.Install(table.Spec(d), mode) {
		db.MustExec(sql)
	}
	return db
}

// text is a value in the table.
func text(value uint8) sql.NullString {
	return sql.NullString{String: fmt.Sprint(value), Valid: value != none}
}

func stamped(p phase.Phase) sql.NullInt32 { return sql.NullInt32{Int32: p.Stamp(), Valid: p != 0} }

// run sends the statement, and reads what became of the row.
func (y try) run(t *testing.T, db *sqlx.DB, id int) (r row, dirty, ok bool) {
	t.Helper()
	columns, values := []string{"id"}, []string{fmt.Sprint(id)}
	add := func(set bool, column, value string) {
		if set {
			columns, values = append(columns, column), append(values, value)
		}
	}
	add(y.setOld, "old", fmt.Sprintf("'%d'", y.is.old))
	add(y.setNew, "new", fmt.Sprintf("'%d'", y.is.new))
	add(y.stamp != 0, "new_stamp", fmt.Sprint(y.stamp.Stamp()))
	query := fmt.Sprintf(`INSERT INTO t (%s) VALUES (%s)`, strings.Join(columns, ", "), strings.Join(values, ", "))
	if y.was.exists {
		query = fmt.Sprintf(`UPDATE t SET (%s) = ROW (%s) WHERE id = %d`, strings.Join(columns[1:], ", "), strings.Join(values[1:], ", "), id)
	}
	_, err := db.ExecContext(t.Context(), query)
	if s := pg.SQLState(err); s == pg.StaleStamp || s == pg.WouldLose {
		return r, false, false
	}
	require.NoError(t, err, query)
	var now struct {
		Old, New sql.NullString
		Stamp    sql.NullInt32 `db:"new_stamp"`
		Dirty    bool
	}
	require.NoError(t, db.Get(&now, `SELECT old, new, new_stamp, EXISTS (SELECT FROM tandem.dirty WHERE key = ARRAY[$1]) AS dirty FROM t WHERE id = $1::int`, fmt.Sprint(id)))
	r = row{exists: true, stamp: phase.StampPhase(now.Stamp.Int32)}
	all := []sql.NullString{text(none), text(initial), text(wrapperA), text(wrapperB)}
	r.old, r.new = uint8(slices.Index(all, fixed(now.Old))), uint8(slices.Index(all, fixed(now.New))) //nolint:gosec // all are of the table
	return r, now.Dirty, true
}

// fixed is NULL as text writes it.
func fixed(s sql.NullString) sql.NullString {
	if !s.Valid {
		return text(none)
	}
	return s
}
