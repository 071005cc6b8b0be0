package backfill

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
)

// leastShare is how many rows Options.BadShare needs before it says something: of the first ten, one is a tenth.
const leastShare = 1000

// tooMany tells whether so many bad rows, of those passed, are too many to go on.
func tooMany(bad, passed int64, o Options) error {
	switch {
	case bad > int64(o.BadRows):
		return fmt.Errorf("%w: %d, Options.BadRows is %d; the reasons are in tandem.bad_row", ErrBadRows, bad, o.BadRows)
	case o.BadShare > 0 && passed >= leastShare && float64(bad) > o.BadShare*float64(passed):
		return fmt.Errorf("%w: %d of %d, Options.BadShare is %g; the reasons are in tandem.bad_row", ErrBadRows, bad, passed, o.BadShare)
	}
	return nil
}

func checkShare(share float64) error {
	if !(share >= 0 && share <= 1) { // not a number neither
		return fmt.Errorf("options: a share of %g bad rows: must lie between 0 and 1", share)
	}
	return nil
}

// setAside notes bad rows, and counts those among them that an operator lives with. Accepted is a value: a row that has another one now is accepted no more.
func (k *task) setAside(ctx context.Context, tx *sqlx.Tx, rows []badRow) (accepted int, err error) {
	text := `INSERT INTO tandem.bad_row AS b (migration, key, error) VALUES ($1, $2, $3)
		ON CONFLICT (migration, key) DO UPDATE SET error = EXCLUDED.error, at = now(), accepted = ` + k.stillAccepted() + ` RETURNING accepted IS NOT NULL`
	for _, bad := range rows {
		var lived bool
		if err := tx.GetContext(ctx, &lived, text, k.d.Name(), pq.Array(bad.key), storable(bad.err)); err != nil {
			return 0, fmt.Errorf("bad row %v: %w", bad.key, err)
		}
		if lived {
			accepted++
		}
	}
	return accepted, nil
}

// stillAccepted is the reason of bad row b, if its row has the value that was accepted.
func (k *task) stillAccepted() string {
	if !k.acceptable() {
		return "NULL"
	}
	return "CASE WHEN EXISTS (SELECT FROM " + k.d.Table.SQL() + " AS t WHERE " + k.keyIs("b.key") + " AND " + k.d.OldDigest() + " = b.accepted_value) THEN b.accepted END"
}

// acceptable says that bad rows of this direction may be accepted: old's value is left without new. On the way back, new is left without old, which contract.Apply with Restore refuses;
// and a replaced table would lack the row.
func (k *task) acceptable() bool { return k.kind == "copy" && k.mirror == nil }

// clearBadRows forgets the bad rows that have a stamp now or are gone, and counts the rest, without those accepted.
func (r *runner) clearBadRows(ctx context.Context) (left int64, err error) {
	err = r.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM tandem.bad_row b WHERE b.migration = $1 AND `+r.task.mended(), r.task.d.Name()); err != nil {
			return err
		}
		return tx.GetContext(ctx, &left, `SELECT count(*) FROM tandem.bad_row WHERE migration = $1 AND accepted IS NULL`, r.task.d.Name())
	})
	if err != nil {
		return 0, fmt.Errorf("bad rows: %w", err)
	}
	return left, nil
}

// mended says of bad row b that its row is done or gone. What was accepted on the way forward stays so on the way back.
func (k *task) mended() string {
	text := "NOT EXISTS (SELECT FROM " + k.from() + " WHERE " + k.keyIs("b.key") + " AND " + k.todo + ")"
	if k.kind == "reverse" {
		text += " AND NOT (b.accepted IS NOT NULL AND EXISTS (SELECT FROM " + k.from() + " WHERE " + k.keyIs("b.key") + " AND " + k.d.Unstamped() + "))"
	}
	return text
}

// ErrNoBadRow says that a key that was named is not on the list of bad rows, or no more.
var ErrNoBadRow = errors.New("not a bad row")

// keyArguments are keys as keyArrays takes them. A key of another length than the table's names no row.
func (k *task) keyArguments(keys [][]string) ([]any, error) {
	for _, key := range keys {
		if len(key) != len(k.types) {
			return nil, fmt.Errorf("key %v: %w: a key of %s has %d columns", key, ErrNoBadRow, k.d.Table, len(k.types))
		}
	}
	return keyArgs(len(keys), len(k.types), func(i int) []string { return keys[i] }), nil
}

// refuseUnlisted finds the keys that name no bad row.
func (k *task) refuseUnlisted(ctx context.Context, q sqlx.QueryerContext, keys [][]string) error {
	args, err := k.keyArguments(keys)
	if err != nil {
		return err
	}
	var listed []pq.StringArray
	err = sqlx.SelectContext(ctx, q, &listed, "SELECT b.key FROM tandem.bad_row b WHERE b.migration = "+ident.Literal(k.d.Name())+" AND "+inList("b.key", 1, len(args)), args...)
	if err != nil {
		return err
	}
	if unlisted := without(keys, listed); len(unlisted) > 0 {
		return fmt.Errorf("%s: %w, or no more: backfill.BadRows lists them", shown(unlisted), ErrNoBadRow)
	}
	return nil
}

// shownKeys is how many keys an error or an event spells out.
const shownKeys = 20

func shown[T ~[]string](keys []T) string {
	var out []string
	for _, key := range keys[:min(len(keys), shownKeys)] {
		out = append(out, fmt.Sprint([]string(key)))
	}
	if more := len(keys) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	if len(keys) == 1 {
		return "key " + out[0]
	}
	return "keys " + strings.Join(out, ", ")
}
