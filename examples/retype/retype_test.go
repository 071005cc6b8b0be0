package main

import (
	"math"
	"testing"
	"testing/quick"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/examples/internal/trial/trialtest"
	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestProgram(t *testing.T) {
	t.Parallel()
	code, object, story := trialtest.Perform(t, program, "")
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
	code, object, story := trialtest.Perform(t, program, `
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
