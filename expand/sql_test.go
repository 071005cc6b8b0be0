package expand_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// good is a row of hand-written SQL.
type good[O, N any] struct {
	ID    int64              `db:"id"`
	Note  string             `db:"note"`
	Worth expand.Value[O, N] `db:"worth"`
}

// stored is a row as the table has it.
type stored[O, N any] struct {
	ID    int64
	Note  string
	Old   *O
	New   *N
	Stamp *int32
}

// goods is a pair under test, in one phase. Both pairs have the same names, so that each statement is written once.
type goods[O, N any] struct {
	*bed
	pair   *expand.Pair[O, N]
	types  [2]string     // of old and new
	of     func(n int) N // the new value of a number, in the order of the numbers
	p      *expand.Pinned[O, N]
	first  int64 // the first of the phase's own keys
	goOnly bool  // the guard cannot bring a write of Start into step
}

// renamedGoods is a pair of two columns of one type.
func renamedGoods(t *testing.T) *goods[string, string] {
	t.Helper()
	g := &goods[string, string]{pair: expand.Rename[string]("goods", "price", "worth"), types: [2]string{"text", "text"},
		of: func(n int) string { return fmt.Sprintf(`%06d "{\,	`, n) }} // what CSV, arrays and COPY escape
	g.create(t)
	return g
}

// convertedGoods is a pair that only Go converts.
func convertedGoods(t *testing.T) *goods[float64, int64] {
	t.Helper()
	g := &goods[float64, int64]{types: [2]string{"double precision", "bigint"}, of: func(n int) int64 { return int64(n) }, goOnly: true,
		pair: expand.Convert(expand.Spec[float64, int64]{Table: "goods", Old: "price", New: "worth", Type: "bigint",
			Forward:  func(p float64) (int64, error) { return int64(math.Round(p * 100)), nil },
			Backward: func(c int64) (float64, error) { return float64(c) / 100, nil }})}
	g.create(t)
	return g
}

func (g *goods[O, N]) create(t *testing.T) {
	t.Helper()
	g.bed = newBed(t, `CREATE TABLE goods (id bigint PRIMARY KEY, note text NOT NULL, price `+g.types[0]+` NOT NULL);
		CREATE TABLE sales (good bigint, amount int, price int, worth int, worth_stamp int)`, g.pair) // names that only an alias tells apart
}

// inEveryPhase calls form with the pair pinned in each phase.
func (g *goods[O, N]) inEveryPhase(t *testing.T, form func()) {
	t.Helper()
	for _, ph := range allPhases {
		g.set(ph)
		g.first = int64(ph) * 100_000
		require.NoError(t, g.pair.Do(g.ctx, g.member, func(p *expand.Pinned[O, N]) error {
			require.Equal(t, ph, p.Phase())
			g.p = p
			form()
			return nil
		}))
	}
}

// row is the phase's row i with the value of n.
func (g *goods[O, N]) row(t *testing.T, i, n int) good[O, N] {
	t.Helper()
	v, err := g.p.Value(g.of(n))
	require.NoError(t, err)
	return good[O, N]{ID: g.first + int64(i), Note: "note " + g.p.Phase().String(), Worth: v}
}

func (g *goods[O, N]) arg(t *testing.T, n int) any {
	t.Helper()
	arg, err := g.p.Arg(g.of(n))
	require.NoError(t, err)
	return arg
}

// requireRead checks that the rows are the phase's rows 0, 1, ... with the values of numbers.
func (g *goods[O, N]) requireRead(t *testing.T, rows []good[O, N], numbers ...int) {
	t.Helper()
	require.Len(t, rows, len(numbers))
	for i, n := range numbers {
		want := g.row(t, i, n)
		require.Equal(t, []any{want.ID, want.Note}, []any{rows[i].ID, rows[i].Note})
		read, err := g.p.Read(rows[i].Worth, rows[i].ID)
		require.NoError(t, err)
		require.Equal(t, g.of(n), read)
	}
}

// requireStored checks what the table has in the phase's rows 0, 1, ..., column by column, and that p.Read makes the values of numbers of it.
func (g *goods[O, N]) requireStored(t *testing.T, numbers ...int) {
	t.Helper()
	ph, columns := g.p.Phase(), `price AS old, worth AS new, worth_stamp AS stamp`
	if ph == switchover.Complete {
		columns = `NULL AS old, worth AS new, NULL AS stamp`
	}
	var rows []stored[O, N]
	require.NoError(t, g.db.Select(&rows, `SELECT id, note, `+columns+` FROM goods WHERE id BETWEEN $1 AND $1 + 99999 ORDER BY id`, g.first))
	require.Len(t, rows, len(numbers))
	stampPhase := ph // Expand, when the guard has stamped a write of Start
	if ph == switchover.Start {
		stampPhase = switchover.Expand
	}
	for i, n := range numbers {
		value := g.of(n)
		old, err := g.pair.Backward(value)
		require.NoError(t, err)
		want := stored[O, N]{ID: g.first + int64(i), Note: "note " + ph.String(), Old: &old, New: &value, Stamp: rows[i].Stamp}
		if !ph.WritesOld() {
			want.Old = nil
		}
		stamped := ph != switchover.Complete
		if ph == switchover.Start && g.goOnly {
			want.New, stamped = nil, false
		}
		require.Equal(t, want, rows[i], ph)
		require.Equal(t, stamped, rows[i].Stamp != nil, ph)
		if stamped {
			require.Equal(t, int32(stampPhase), *rows[i].Stamp>>24, ph)
		}
	}
	var read []good[O, N]
	require.NoError(t, g.db.Select(&read, `SELECT id, note, `+g.p.Select("")+` FROM goods WHERE id BETWEEN $1 AND $1 + 99999 ORDER BY id`, g.first))
	g.requireRead(t, read, numbers...)
}

func (g *goods[O, N]) insertSQL() string {
	return `INSERT INTO goods (id, note, ` + g.p.Columns() + `) VALUES (:id, :note, ` + g.p.Params() + `)`
}

func (g *goods[O, N]) insert(t *testing.T, rows ...good[O, N]) {
	t.Helper()
	_, err := g.db.NamedExecContext(g.ctx, g.insertSQL(), rows)
	require.NoError(t, err)
}

func TestJoin(t *testing.T) {
	t.Parallel()
	joined(t, renamedGoods(t))
	joined(t, convertedGoods(t))
}

func joined[O, N any](t *testing.T, g *goods[O, N]) {
	t.Helper()
	g.inEveryPhase(t, func() {
		g.insert(t, g.row(t, 0, 10), g.row(t, 1, 11), g.row(t, 2, 12))
		g.db.MustExec(`INSERT INTO sales SELECT $1 + i, 7 FROM generate_series(0, 2) i`, g.first)
		var rows []struct {
			good[O, N]
			Amount int `db:"amount"`
		}
		require.NoError(t, g.db.SelectContext(g.ctx, &rows, `SELECT g.id, g.note, s.amount, `+g.p.Select("g")+`
			FROM sales s JOIN goods g ON g.id = s.good
			WHERE `+g.p.Column("g")+` < $1 AND s.good >= $2 ORDER BY `+g.p.Column("g")+` DESC`, g.arg(t, 12), g.first))
		require.Len(t, rows, 2)
		require.Equal(t, []int{7, 7}, []int{rows[0].Amount, rows[1].Amount})
		g.requireRead(t, []good[O, N]{rows[1].good, rows[0].good}, 10, 11)
		g.requireStored(t, 10, 11, 12)
	})
}

// The dotted names go through a CTE, also through one that writes.
func TestCTE(t *testing.T) {
	t.Parallel()
	cte(t, renamedGoods(t))
	cte(t, convertedGoods(t))
}

func cte[O, N any](t *testing.T, g *goods[O, N]) {
	t.Helper()
	g.inEveryPhase(t, func() {
		g.insert(t, g.row(t, 0, 20), g.row(t, 1, 21))
		var rows []good[O, N]
		require.NoError(t, g.db.SelectContext(g.ctx, &rows, `
			WITH found AS (SELECT g.id, g.note, `+g.p.Select("g")+` FROM goods g WHERE `+g.p.Column("g")+` = $1 AND g.id >= $2)
			SELECT found.* FROM found`, g.arg(t, 20), g.first))
		g.requireRead(t, rows, 20)

		query, args, err := g.db.BindNamed(`
			WITH written AS (UPDATE goods g SET `+g.p.Set()+` WHERE id = :id RETURNING g.id, g.note, `+g.p.Select("g")+`)
			SELECT * FROM written`, g.row(t, 0, 22))
		require.NoError(t, err)
		rows = nil
		require.NoError(t, g.db.SelectContext(g.ctx, &rows, query, args...))
		g.requireRead(t, rows, 22)
		g.requireStored(t, 22, 21)
	})
}

func TestOnConflictAndReturning(t *testing.T) {
	t.Parallel()
	returning(t, renamedGoods(t))
	returning(t, convertedGoods(t))
}

func returning[O, N any](t *testing.T, g *goods[O, N]) {
	t.Helper()
	g.inEveryPhase(t, func() {
		for _, step := range []struct {
			sql string
			n   int
		}{
			{g.insertSQL(), 30},
			{g.insertSQL() + ` ON CONFLICT (id) DO UPDATE SET ` + g.p.Excluded(), 31},
			{`UPDATE goods SET ` + g.p.Set() + ` WHERE id = :id`, 32},
		} {
			query, args, err := g.db.BindNamed(step.sql+` RETURNING id, note, `+g.p.Select(""), g.row(t, 0, step.n))
			require.NoError(t, err)
			var rows []good[O, N]
			require.NoError(t, g.db.SelectContext(g.ctx, &rows, query, args...))
			g.requireRead(t, rows, step.n)
			g.requireStored(t, step.n)
		}
	})
}
