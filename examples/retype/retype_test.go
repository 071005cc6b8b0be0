package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"testing"
	"testing/quick"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// performed is one run with -json: its exit code, its object without the operations, and its story.
func performed(t *testing.T, spoil string) (code int, object map[string]int64, story string) {
	t.Helper()
	dsn := pgtest.DSN(t)
	o := options{rows: minRows, json: true, spoil: func(ctx context.Context, db *sqlx.DB) error {
		_, err := db.ExecContext(ctx, spoil)
		return err
	}}
	var stdout, stderr bytes.Buffer
	code = perform(t.Context(), func(name string) string { return server.With(dsn, "", "application_name="+name) }, o, &stdout, &stderr)
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &object), "%s%s", stdout.String(), stderr.String())
	require.Greater(t, object["operations"], int64(between))
	delete(object, "operations")
	return code, object, stderr.String()
}

func TestProgram(t *testing.T) {
	t.Parallel()
	code, object, story := performed(t, "")
	require.Zero(t, code, "%v\n%s", object, story)
	require.Equal(t, map[string]int64{"errors": 0, "lost_writes": 0, "differences": 0}, object)
	for _, line := range []string{
		"items.price_cents from Migrate to Switch is refused:", "bad-rows: 3 rows do not convert", "item 10: ", "item 20: ", "item 30: ", "NaN is no price", "mended; 0 do not convert",
		"stray old-binary of role", "member shop", "7. drop price",
	} {
		require.Contains(t, story, line)
	}
	require.NotContains(t, story, " 0 writes around", "what the old binary wrote waited for Sweep")
}

// The proof notices what is done to the table behind its back: a lost write and a lost row; two wrong rows, one missing, one too many.
func TestProofCanFail(t *testing.T) {
	t.Parallel()
	code, object, story := performed(t, `
		UPDATE items SET price_cents = price_cents + 1 WHERE id = (SELECT max(id) FROM items);
		DELETE FROM items WHERE id = (SELECT max(id) - 1 FROM items);
		UPDATE items SET price_cents = price_cents - 1 WHERE id IN (3, 10);
		DELETE FROM items WHERE id = 4;
		INSERT INTO items (name, price_cents) VALUES ('nobody''s', 1)`)
	require.Equal(t, 1, code, "%v\n%s", object, story)
	require.Equal(t, map[string]int64{"errors": 0, "lost_writes": 2, "differences": 4}, object)
}

func TestCents(t *testing.T) {
	t.Parallel()
	for price, want := range map[float64]int64{0: 0, 12.34: 1234, 0.296: 30, 0.304: 30, -0.003: 0, -1.007: -101, 1e13: maxCents} {
		got, err := toCents(price)
		require.NoError(t, err)
		require.Equal(t, want, got, "%v", price)
	}
	for _, price := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 1.00001e13} {
		_, err := toCents(price)
		require.ErrorContains(t, err, "is no price")
	}
	_, err := toPrice(maxCents + 1)
	require.Error(t, err)
	require.NoError(t, quick.Check(func(n int64) bool { // there and back
		price, err := toPrice(n % (maxCents + 1))
		again, err2 := toCents(price)
		return err == nil && err2 == nil && again == n%(maxCents+1)
	}, &quick.Config{MaxCount: 100_000}))
}
