package expand_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

const bulk = 10_000

// rows are the phase's rows 0, 1, ... with the values of numbers from 0 on.
func (g *goods[O, N]) rows(t *testing.T) (rows []good[O, N], numbers []int) {
	t.Helper()
	for i := range bulk {
		rows = append(rows, g.row(t, i, i))
		numbers = append(numbers, i)
	}
	return rows, numbers
}

// A named insert has a parameter for each value, and a statement 65,535 of them.
func TestBulkNamed(t *testing.T) {
	t.Parallel()
	bulkNamed(t, renamedGoods(t))
	bulkNamed(t, convertedGoods(t))
}

func bulkNamed[O, N any](t *testing.T, g *goods[O, N]) {
	t.Helper()
	g.inEveryPhase(t, func() {
		rows, numbers := g.rows(t)
		perRow := 2 + len(g.p.Names())
		for chunk := range slices.Chunk(rows, min(65_535/perRow, bulk/2)) {
			_, err := g.db.NamedExecContext(g.ctx, g.insertSQL(), chunk)
			require.NoError(t, err)
		}
		g.requireStored(t, numbers...)
	})
}

// An array for each column is one parameter, so any number of rows is one statement. All three columns of the pair are passed in every phase, under
// the names of the table, and Columns picks those of the phase.
func TestBulkUnnest(t *testing.T) {
	t.Parallel()
	bulkUnnest(t, renamedGoods(t))
	bulkUnnest(t, convertedGoods(t))
}

func bulkUnnest[O, N any](t *testing.T, g *goods[O, N]) {
	t.Helper()
	g.inEveryPhase(t, func() {
		rows, numbers := g.rows(t)
		var (
			ids    []int64
			notes  []string
			olds   []expand.Cell[O]
			news   []expand.Cell[N]
			stamps []expand.Stamp
		)
		for _, r := range rows {
			ids, notes = append(ids, r.ID), append(notes, r.Note)
			olds, news, stamps = append(olds, r.Worth.Old), append(news, r.Worth.New), append(stamps, r.Worth.Stamp)
		}
		_, err := g.db.ExecContext(g.ctx, `INSERT INTO goods (id, note, `+g.p.Columns()+`) SELECT id, note, `+g.p.Columns()+`
			FROM unnest($1::bigint[], $2::text[], $3::`+g.types[0]+`[], $4::`+g.types[1]+`[], $5::int[]) AS r (id, note, price, worth, worth_stamp)`,
			pq.Array(ids), pq.Array(notes), pq.Array(olds), pq.Array(news), pq.Array(stamps))
		require.NoError(t, err)
		g.requireStored(t, numbers...)
	})
}

// COPY needs a transaction with lib/pq, and its columns and values in one order.
func TestBulkCopy(t *testing.T) {
	t.Parallel()
	bulkCopy(t, renamedGoods(t))
	bulkCopy(t, convertedGoods(t))
}

func bulkCopy[O, N any](t *testing.T, g *goods[O, N]) {
	t.Helper()
	g.inEveryPhase(t, func() {
		rows, numbers := g.rows(t)
		require.NoError(t, expand.InTx(g.ctx, g.db, g.member, nil, func(ctx context.Context, tx *expand.Tx) error {
			p, err := g.pair.In(tx)
			require.NoError(t, err)
			stmt, err := tx.PrepareContext(ctx, `COPY goods (id, note, `+p.Columns()+`) FROM STDIN`)
			require.NoError(t, err)
			defer func() { _ = stmt.Close() }()
			for _, r := range rows {
				_, err = stmt.ExecContext(ctx, append([]any{r.ID, r.Note}, p.Values(r.Worth)...)...)
				require.NoError(t, err)
			}
			_, err = stmt.ExecContext(ctx) // sends what is left
			return err
		}))
		g.requireStored(t, numbers...)
	})
}

// A nil []byte is NULL, and an empty one is not.
func TestCopyBytes(t *testing.T) {
	t.Parallel()
	pair := expand.Rename[[]byte]("blobs", "body", "content")
	b := newBed(t, `CREATE TABLE blobs (id bigint PRIMARY KEY, body bytea)`, pair)
	b.set(switchover.Migrate)
	require.NoError(t, expand.InTx(b.ctx, b.db, b.member, nil, func(ctx context.Context, tx *expand.Tx) error {
		p, err := pair.In(tx)
		require.NoError(t, err)
		stmt, err := tx.PrepareContext(ctx, `COPY blobs (id, `+p.Columns()+`) FROM STDIN`)
		require.NoError(t, err)
		defer func() { _ = stmt.Close() }()
		for i, content := range [][]byte{nil, {}, {0, '\\', 255}} {
			v, err := p.Value(content)
			require.NoError(t, err)
			_, err = stmt.ExecContext(ctx, append([]any{i}, p.Values(v)...)...)
			require.NoError(t, err)
		}
		_, err = stmt.ExecContext(ctx)
		return err
	}))
	for _, column := range []string{"body", "content"} {
		var got []string
		require.NoError(t, b.db.Select(&got, `SELECT coalesce(`+column+`::text, 'NULL') FROM blobs ORDER BY id`))
		require.Equal(t, []string{"NULL", `\x`, `\x005cff`}, got)
	}
}

func TestIn(t *testing.T) {
	t.Parallel()
	in(t, renamedGoods(t))
	in(t, convertedGoods(t))
}

func in[O, N any](t *testing.T, g *goods[O, N]) {
	t.Helper()
	g.inEveryPhase(t, func() {
		g.insert(t, g.row(t, 0, 40), g.row(t, 1, 41), g.row(t, 2, 42))
		query, args, err := sqlx.In(`SELECT id, note, `+g.p.Select("")+` FROM goods WHERE `+g.p.Column("")+` IN (?) AND id >= ? ORDER BY id`,
			[]any{g.arg(t, 40), g.arg(t, 41)}, g.first)
		require.NoError(t, err)
		var rows []good[O, N]
		require.NoError(t, g.db.SelectContext(g.ctx, &rows, g.db.Rebind(query), args...))
		g.requireRead(t, rows, 40, 41)
	})
}

// Names and Values have the order of Columns, and names have no quotes.
func TestNamesAndValues(t *testing.T) {
	t.Parallel()
	pair := expand.Rename[string]("goods", "Price", "Worth")
	b := newBed(t, `CREATE TABLE goods (id bigint PRIMARY KEY, "Price" text)`, pair)
	for _, c := range []struct {
		phase   switchover.Phase
		columns string
		names   []string
	}{
		{switchover.Start, `"Price"`, []string{"Price"}},
		{switchover.Switch, `"Price", "Worth", "Worth_stamp"`, []string{"Price", "Worth", "Worth_stamp"}},
		{switchover.Contract, `"Worth", "Worth_stamp"`, []string{"Worth", "Worth_stamp"}},
		{switchover.Complete, `"Worth"`, []string{"Worth"}},
	} {
		b.set(c.phase)
		require.NoError(t, pair.Do(b.ctx, b.member, func(p *expand.Pinned[string, string]) error {
			v, err := p.Value("x")
			require.NoError(t, err)
			all := map[string]any{"Price": v.Old, "Worth": v.New, "Worth_stamp": v.Stamp}
			var want []any
			for _, name := range c.names {
				want = append(want, all[name])
			}
			require.Equal(t, c.columns, p.Columns())
			require.Equal(t, c.names, p.Names())
			require.Equal(t, want, p.Values(v))
			return nil
		}))
	}
}
