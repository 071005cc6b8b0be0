package backfill_test

import (
	"database/sql"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// copied runs a pair of equal types through Go and wants new to be old, byte by byte.
func copied[T any](t *testing.T, typeSQL, values string) {
	t.Helper()
	t.Run(strings.ReplaceAll(typeSQL, " ", "-"), func(t *testing.T) {
		t.Parallel()
		p := expand.Convert(expand.Spec[T, T]{Table: "items", Old: "a", New: "b", Forward: func(v T) (T, error) { return v, nil }})
		b := newBed(t, `CREATE TABLE items (id int PRIMARY KEY, a `+typeSQL+`);
			INSERT INTO items SELECT row_number() OVER (), v FROM (VALUES `+values+`) x (v)`, p)
		b.run()
		require.Zero(t, b.number(`SELECT count(*) FROM tandem.bad_row`), "%v", b.texts(`SELECT error FROM tandem.bad_row`))
		require.Empty(t, b.texts(`SELECT concat_ws(' ', coalesce(a::text, 'NULL'), 'became', coalesce(b::text, 'NULL')) FROM items
			WHERE a::text IS DISTINCT FROM b::text OR b_stamp IS NULL`))
		report, err := backfill.Verify(t.Context(), b.db, p, backfill.VerifyOptions{})
		require.NoError(t, err)
		require.Empty(t, report.Keys)
	})
}

// Values of every kind that the driver knows pass through an array of text.
func TestGoValues(t *testing.T) {
	t.Parallel()
	copied[sql.Null[string]](t, "text", `(''), ('NULL'), (NULL), ('{"a,b\"'), (E'line\n\t''quoted'''), ('Ä€𝄞'), (' ')`)
	copied[*string](t, "varchar(20)", `('x'), (NULL), ('"')`)
	copied[[]byte](t, "bytea", `(''::bytea), ('\x00ff5c22'::bytea), (NULL), ('\x7b2c7d')`)
	t.Run("wrapped", func(t *testing.T) {
		t.Parallel()
		copied[sql.Null[[]byte]](t, "bytea", `('\x00ff5c22'::bytea), (''), (NULL)`)
		copied[secret](t, "bytea", `('\x00ff5c22'::bytea), (''), (NULL)`)
	})
	copied[sql.Null[time.Time]](t, "timestamptz", `(timestamptz '2024-03-31 01:59:59.999999+00'), (NULL), ('1969-12-31 23:59:59+00'), ('0001-01-01 00:00:00+00')`)
	copied[time.Time](t, "date", `(date '2024-02-29'), ('1582-10-15')`)
	copied[sql.Null[bool]](t, "boolean", `(true), (false), (NULL)`)
	copied[sql.Null[int16]](t, "smallint", `('-32768'::smallint), (0), (NULL)`)
	copied[int64](t, "bigint", `(9223372036854775807), (-9223372036854775808)`)
	copied[float64](t, "double precision", `(0.1::float8), ('NaN'), ('-Infinity'), (1e-300)`)
	copied[sql.Null[float32]](t, "real", `(0.1::real), ('NaN'), (NULL)`)
	copied[string](t, "numeric(10,2)", `(1.50::numeric), ('NaN'), (-99999999.99)`)
	copied[json.RawMessage](t, "jsonb", `('{"a": [1, "\"", null]}'::jsonb), ('null'), ('"x"'), (NULL)`)
	copied[pq.StringArray](t, "text[]", `(ARRAY['a', 'b,"c', '']), ('{}')`)
	copied[pq.Int64Array](t, "bigint[]", `(ARRAY[1, -2]::bigint[]), (NULL)`)
}

// secret is a type of the application's.
type secret []byte

func TestGoTypesThatConvert(t *testing.T) {
	t.Parallel()
	p := expand.Convert(expand.Spec[sql.Null[float64], *int64]{Table: "items", Old: "price", New: "cents", Type: "bigint",
		Forward: func(v sql.Null[float64]) (*int64, error) {
			if !v.Valid {
				return nil, nil //nolint:nilnil // NULL becomes NULL
			}
			n := int64(math.Round(v.V * 100))
			return &n, nil
		}})
	b := newBed(t, `CREATE TABLE items (id int PRIMARY KEY, price double precision); INSERT INTO items VALUES (1, 1.1), (2, NULL), (3, -0.5)`, p)
	b.run()
	require.Equal(t, []string{"110", "NULL", "-50"}, b.texts(`SELECT coalesce(cents::text, 'NULL') FROM items WHERE cents_stamp IS NOT NULL ORDER BY id`))
	require.Equal(t, []string{}, b.texts(badKeys))
}

// The same conversion as an SQL expression, in a session of another search_path.
func TestForwardExpression(t *testing.T) {
	t.Parallel()
	p := expand.Convert(expand.Spec[float64, int64]{Table: "app.items", Old: "price", New: "cents", Type: "bigint", ForwardSQL: "round({price} * 100)",
		Forward: func(v float64) (int64, error) { return int64(math.Round(v * 100)), nil }})
	b := newBed(t, `CREATE SCHEMA app; CREATE TABLE app.items (id int PRIMARY KEY, price double precision); INSERT INTO app.items VALUES (1, 1.1), (2, NULL)`, p)
	require.EqualValues(t, 2, b.run().Rows)
	require.Equal(t, []string{"110", "NULL"}, b.texts(`SELECT coalesce(cents::text, 'NULL') FROM app.items WHERE cents_stamp IS NOT NULL ORDER BY id`))
	b.verified(2)
}

// lock holds a lock until release is called or the test ends.
func (b *bed) lock(query string) (release func()) {
	b.Helper()
	tx, err := b.db.BeginTxx(b.ctx, nil)
	require.NoError(b, err)
	_, err = tx.ExecContext(b.ctx, query)
	require.NoError(b, err)
	return func() { _ = tx.Rollback() }
}
