// Package expandtest checks the conversions of a pair in an application's own tests: the SQL form against the Go form, and the way back against the way there.
//
//	func TestPrice(t *testing.T) {
//		price := rapid.Custom(func(t *rapid.T) sql.Null[float64] { ... })
//		expandtest.Check(t, db, Price, price)
//	}
//
// A failure shows the smallest old value that was found:
//
//	items.price_cents: old 0.125: Go makes 13, SQL makes 12
//
// The server computes in a temporary table with the types of the pair, in a transaction that is rolled back; the table of the pair must be there, for its
// types, and is not touched.
package expandtest

import (
	"testing"

	"github.com/jmoiron/sqlx"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/expand"
)

// Check fails t if for some old value, drawn from old, or for NULL (of a column set: NULL in all),
//   - Go and SQL make two values of it, or one of them refuses what the other takes (where the pair has ForwardSQL);
//   - new comes back from PostgreSQL as a value that the pair's Equal calls another, because PostgreSQL normalises it (jsonb, numeric) or because forward
//     does not depend on its argument alone;
//   - backward, in Go or in SQL, does not lead back: it refuses what forward has made, or forward of what it returns is another value.
//
// Values that old's own type refuses, such as text with a NUL byte, are drawn again. How many values are drawn says rapid's flag -rapid.checks, 100 by default.
func Check[O, N any](t testing.TB, db *sqlx.DB, p *expand.Pair[O, N], old *rapid.Generator[O]) {
	t.Helper()
	ctx := t.Context()
	b, err := newBench(ctx, db, p)
	if err != nil {
		t.Fatalf("expandtest: %v", err)
	}
	defer b.close()
	says, err := b.try(ctx, make([]any, len(b.old)))
	switch {
	case err != nil:
		t.Fatalf("expandtest: %s: %v", p.Name(), err)
	case says != "":
		t.Fatalf("%s: %s", p.Name(), says)
	}
	rapid.Check(t, func(t *rapid.T) {
		says, err := b.try(ctx, b.c.Args(old.Draw(t, "old")))
		switch {
		case refused(err):
			t.Skip(err)
		case err != nil:
			t.Fatalf("expandtest: %s: %v", p.Name(), err)
		case says != "":
			t.Fatalf("%s: %s", p.Name(), says)
		}
	})
}
