package expand_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

var errRange = errors.New("out of range")

// cents is a pair that only Go converts.
func cents(key ...string) *expand.Pair[float64, int64] {
	return expand.Convert(expand.Spec[float64, int64]{
		Table: "items", Key: key, Old: "price", New: "price_cents", Type: "bigint",
		Forward: func(p float64) (int64, error) {
			c := math.Round(p * 100)
			if math.IsNaN(c) || math.Abs(c) > 1e15 {
				return 0, fmt.Errorf("%v: %w", p, errRange)
			}
			return int64(c), nil
		},
		Backward: func(c int64) (float64, error) {
			if c > 1e15 {
				return 0, fmt.Errorf("%d: %w", c, errRange)
			}
			return float64(c) / 100, nil
		},
	})
}

type item struct {
	Shop  string `db:"shop"`
	ID    int    `db:"id"`
	Cents int64  `db:"price_cents"`
}

const itemsSQL = `CREATE TABLE items (shop text, id int, price double precision NOT NULL, PRIMARY KEY (shop, id))`

func TestGoConversionInEveryPhase(t *testing.T) {
	t.Parallel()
	pair := cents("shop", "id")
	b := newBed(t, itemsSQL, pair)
	r, err := expand.NewRepository[item](b.db, b.member, pair)
	require.NoError(t, err)
	b.db.MustExec(`INSERT INTO items VALUES ('old', 1, 12.34)`) // a stray: its stamp stays NULL
	for i, ph := range allPhases {
		b.set(ph)
		if ph < switchover.Complete {
			got, err := r.Get(b.ctx, "old", 1)
			require.NoError(t, err)
			require.Equal(t, item{"old", 1, 1234}, got)
		}
		it := item{"new", i, 100 + int64(i)}
		require.NoError(t, r.Insert(b.ctx, &it))
		it.Cents += 1000
		require.NoError(t, r.Update(b.ctx, &it))
		list, err := r.Select(b.ctx, `WHERE {price_cents} = $1`, pair.Arg(it.Cents))
		require.NoError(t, err)
		require.Equal(t, []item{it}, list)
	}
}

// A value that does not convert is an error and writes nothing.
func TestConversionErrors(t *testing.T) {
	t.Parallel()
	pair := cents("shop", "id")
	b := newBed(t, itemsSQL, pair)
	r, err := expand.NewRepository[item](b.db, b.member, pair)
	require.NoError(t, err)
	b.set(switchover.Migrate)
	require.ErrorIs(t, r.Insert(b.ctx, &item{"x", 1, 2e15}), errRange)
	require.ErrorContains(t, r.Insert(b.ctx, &item{"x", 1, 2e15}), "items.price_cents: backward of 2000000000000000")
	_, err = r.Select(b.ctx, `WHERE {price_cents} = $1`, pair.Arg(2e15))
	require.ErrorIs(t, err, errRange)
	b.db.MustExec(`INSERT INTO items VALUES ('nan', 1, 'NaN')`)
	_, err = r.Get(b.ctx, "nan", 1)
	require.ErrorIs(t, err, errRange)
	require.ErrorContains(t, err, "nan")
	var n int
	require.NoError(t, b.db.Get(&n, `SELECT count(*) FROM items WHERE shop = 'x'`))
	require.Zero(t, n)
}

// Old cannot hold the value: it would come back as another one.
func TestLossy(t *testing.T) {
	t.Parallel()
	pair := expand.Convert(expand.Spec[*string, *string]{Table: "notes", Old: "body", New: "loud", Type: "text",
		Forward: func(s *string) (*string, error) {
			if s == nil {
				return nil, nil //nolint:nilnil // NULL becomes NULL
			}
			loud := strings.ToUpper(*s)
			return &loud, nil
		},
		Backward: func(s *string) (*string, error) { return s, nil }})
	type note struct {
		ID   int64   `db:"id"`
		Loud *string `db:"loud"`
	}
	b := newBed(t, `CREATE TABLE notes (id bigint PRIMARY KEY, body text)`, pair)
	r, err := expand.NewRepository[note](b.db, b.member, pair)
	require.NoError(t, err)
	b.set(switchover.Migrate)
	lyon, upper := "Lyon", "LYON"
	err = r.Insert(b.ctx, &note{1, &lyon})
	require.ErrorIs(t, err, expand.ErrLossy)
	require.ErrorContains(t, err, "notes.loud: backward of Lyon is Lyon, and forward of that LYON")
	require.NoError(t, r.Insert(b.ctx, &note{1, &upper}))
	require.NoError(t, r.Insert(b.ctx, &note{2, nil}))
	_, err = r.Select(b.ctx, `WHERE {loud} < $1`, pair.Arg(&lyon)) // only compared
	require.NoError(t, err)
	b.set(switchover.Contract)
	require.NoError(t, r.Insert(b.ctx, &note{3, &lyon}))
}

func TestNoBackward(t *testing.T) {
	t.Parallel()
	pair := expand.Convert(expand.Spec[float64, int64]{Table: "items", Key: []string{"shop", "id"}, Old: "price", New: "price_cents", Type: "bigint",
		Forward: func(p float64) (int64, error) { return int64(p * 100), nil }})
	db := pgtest.New(t)
	db.MustExec(itemsSQL)
	steps, err := expand.Plan(t.Context(), db, pair)
	require.NoError(t, err)
	require.Contains(t, steps[0].String(), "from Contract there is no way back")
	steps, err = expand.Plan(t.Context(), db, cents("shop", "id"))
	require.NoError(t, err)
	require.NotContains(t, steps[0].String(), "one way")
	b := newBed(t, itemsSQL, pair)
	r, err := expand.NewRepository[item](b.db, b.member, pair)
	require.NoError(t, err)
	b.set(switchover.Switch)
	require.ErrorIs(t, r.Insert(b.ctx, &item{"x", 1, 2}), expand.ErrNoBackward)
	b.set(switchover.Contract)
	require.NoError(t, r.Insert(b.ctx, &item{"x", 1, 2}))
}

// NULL goes through where the type has one, and is an error that names the column where it has none.
func TestNull(t *testing.T) {
	t.Parallel()
	const tableSQL = `CREATE TABLE notes (id bigint PRIMARY KEY, body text)`
	type nullable struct {
		ID   int64   `db:"id"`
		Text *string `db:"text"`
	}
	pair := expand.Rename[*string]("notes", "body", "text")
	b := newBed(t, tableSQL, pair)
	r, err := expand.NewRepository[nullable](b.db, b.member, pair)
	require.NoError(t, err)
	for i, ph := range allPhases {
		b.set(ph)
		n := nullable{ID: int64(i)}
		require.NoError(t, r.Insert(b.ctx, &n))
		got, err := r.Get(b.ctx, n.ID)
		require.NoError(t, err)
		require.Equal(t, n, got)
		text := "text"
		n.Text = &text
		require.NoError(t, r.Update(b.ctx, &n))
		got, err = r.Get(b.ctx, n.ID)
		require.NoError(t, err)
		require.Equal(t, n, got)
	}
	strict := expand.Convert(expand.Spec[string, string]{Table: "notes", Old: "body", New: "text", Type: "text",
		Forward:  func(s string) (string, error) { return s, nil },
		Backward: func(s string) (string, error) { return s, nil }})
	b = newBed(t, tableSQL, strict)
	b.db.MustExec(`INSERT INTO notes VALUES (1)`)
	b.set(switchover.Migrate)
	type plain struct {
		ID   int64  `db:"id"`
		Text string `db:"text"`
	}
	rp, err := expand.NewRepository[plain](b.db, b.member, strict)
	require.NoError(t, err)
	_, err = rp.Get(b.ctx, 1)
	require.ErrorIs(t, err, expand.ErrNull)
	require.ErrorContains(t, err, "body")
}

// A NUL byte in text is refused in every phase with PostgreSQL's code, and nothing is written.
func TestNULByte(t *testing.T) {
	t.Parallel()
	type note struct {
		ID   int64  `db:"id"`
		Text string `db:"text"`
	}
	pair := expand.Rename[string]("notes", "body", "text")
	b := newBed(t, `CREATE TABLE notes (id bigint PRIMARY KEY, body text)`, pair)
	r, err := expand.NewRepository[note](b.db, b.member, pair)
	require.NoError(t, err)
	for _, ph := range allPhases {
		b.set(ph)
		err := r.Insert(b.ctx, &note{1, "a\x00b"})
		require.Equal(t, "22021", pg.SQLState(err), "%v", err)
		require.ErrorContains(t, err, "insert into notes: ")
		require.ErrorContains(t, err, "0x00")
	}
	var n int
	require.NoError(t, b.db.Get(&n, `SELECT count(*) FROM notes`))
	require.Zero(t, n)
}
