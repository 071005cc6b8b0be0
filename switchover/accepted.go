package switchover

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// living says of row t and bad row b that somebody has accepted what old has in it, and that nothing else is known of it yet. Keys are compared as text, so it reads as many rows as the
// condition before it leaves.
func (a *asker) living() string {
	d := a.m.Definition
	key := make([]string, len(d.Key))
	for i, name := range d.Key {
		key[i] = "t." + ident.Quote(name) + "::text"
	}
	return "b.migration = " + ident.Literal(a.m.Name) + " AND b.key = ARRAY[" + strings.Join(key, ", ") + "] AND b.accepted IS NOT NULL AND b.accepted_value = " + d.OldDigest()
}

// ofBadRow joins row t to bad row b by the key's index.
func (a *asker) ofBadRow() string {
	terms := []string{a.m.Definition.Unstamped()}
	for i, name := range a.m.Definition.Key {
		if c := a.table.Column(name); c != nil {
			terms = append(terms, fmt.Sprintf("t.%s = b.key[%d]::%s", ident.Quote(name), i+1, c.Type))
		}
	}
	return strings.Join(terms, " AND ")
}

func (a *asker) badRows(context.Context) error {
	if a.count.BadRows > 0 {
		a.add(false, "bad-rows", "%d rows do not convert, listed in tandem.bad_row: mend them and run backfill.Run again, or backfill.RetryBadRows, or live with them by backfill.AcceptBadRows", a.count.BadRows)
	}
	return nil
}

// expected is how many of the differences that verify has listed are of accepted rows, which have no stamp and so must differ.
func (a *asker) expected(ctx context.Context) (n int64, err error) {
	if a.count.Accepted == 0 || a.table == nil {
		return 0, nil
	}
	text := "SELECT count(DISTINCT b.key) FROM tandem.bad_row b JOIN tandem.mismatch m ON m.migration = b.migration AND m.source = 'verify' AND m.key = b.key JOIN " +
		a.m.Definition.Table.SQL() + " AS t ON " + a.ofBadRow() + " WHERE " + a.living()
	if err := a.db.GetContext(ctx, &n, text); err != nil {
		return 0, fmt.Errorf("accepted rows of %s: %w", a.m.Name, pg.Cause(ctx, err))
	}
	return n, nil
}

// finishable asks whether new can become NOT NULL, which contract.Apply with Finish will want.
func (a *asker) finishable(ctx context.Context) error {
	if d := a.m.Definition; a.count.Accepted == 0 || !a.m.Relaxed.NotNull || d.IsSet() || d.Moved() {
		return nil
	}
	var n int64
	err := a.db.GetContext(ctx, &n, "SELECT count(*) FROM tandem.bad_row b JOIN "+a.m.Definition.Table.SQL()+" AS t ON "+a.ofBadRow()+" WHERE "+a.living())
	if err != nil {
		return fmt.Errorf("accepted rows of %s: %w", a.table, pg.Cause(ctx, err))
	}
	if n > 0 {
		a.add(true, "accepted", "%d accepted bad rows have no %s, which becomes NOT NULL by contract.Apply with Finish: it will refuse until they have been given one through the wrappers; backfill.BadRows lists them",
			n, ident.Quote(a.m.Definition.New[0]))
	}
	return nil
}

// unstamped reads the whole table, under ACCESS SHARE: dropping old would lose what only old holds. What was accepted is asked about apart, unless accepting has said that it may go.
func (a *asker) unstamped(ctx context.Context) error {
	d := a.m.Definition
	from, known := "", ""
	if a.count.Accepted > 0 {
		known = " AND NOT EXISTS (SELECT FROM tandem.bad_row b WHERE " + a.living() + ")"
		from = "FROM tandem.bad_row b JOIN " + d.Table.SQL() + " AS t ON " + a.ofBadRow() + " WHERE " + a.living() + " AND NOT b.lose"
	}
	var n int64
	err := a.db.GetContext(ctx, &n, `SELECT count(*) FROM (SELECT FROM `+d.Table.SQL()+` AS t WHERE `+d.Unstamped()+known+` LIMIT 1000) x`)
	if err != nil {
		return fmt.Errorf("unstamped rows of %s: %w", a.table, pg.Cause(ctx, err))
	}
	if n > 0 {
		a.add(false, "unstamped", "%d rows (counted to 1000) have no stamp, only their old value is right: run backfill.Run", n)
	}
	if from == "" {
		return nil
	}
	var keys []pq.StringArray
	if err := a.db.SelectContext(ctx, &keys, "SELECT b.key "+from+" ORDER BY b.key LIMIT 1000"); err != nil {
		return fmt.Errorf("accepted rows of %s: %w", a.table, pg.Cause(ctx, err))
	}
	if len(keys) > 0 {
		var shown []string
		for _, key := range keys[:min(len(keys), 10)] {
			shown = append(shown, fmt.Sprint([]string(key)))
		}
		a.add(true, "accepted", "the drop loses the old value of %d accepted bad rows (counted to 1000), which have no other: keys %s; write them through the wrappers, accept them with Lose, or waive",
			len(keys), strings.Join(shown, ", "))
	}
	return nil
}

// refuseRecalled asks once more, behind the lock that backfill.UnacceptBadRows takes, whether what the gates took for accepted still is.
func refuseRecalled(ctx context.Context, tx *sqlx.Tx, m *state.Migration) error {
	n, err := state.Unaccepted(ctx, tx, m.Name)
	if err != nil || n == 0 {
		return err
	}
	return &GateError{Migration: m.Name, From: m.Phase, To: Complete, Gates: []Gate{{Name: "bad-rows",
		Missing: fmt.Sprintf("%d bad rows that somebody lived with are accepted no more, since the gates were asked", n)}}}
}
