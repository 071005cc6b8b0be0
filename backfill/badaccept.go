package backfill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// AcceptOptions of AcceptBadRows and UnacceptBadRows: one of Keys and All must be set.
type AcceptOptions struct {
	Keys  [][]string // of these bad rows
	All   bool       // of all that are on the list now
	Lose  bool       // contract.Apply with Drop may take their old values away; defaults to false: it asks once more
	Actor string     // who, for the event log; defaults to user@host
}

// ErrAccept is in the chain of the error when no bad row of the migration can be accepted as things are.
var ErrAccept = errors.New("cannot be accepted")

// AcceptBadRows says that somebody lives with bad rows, and why: they hold up neither the steps to Switch and Contract nor a Run by its limits. It returns how many. The rows stay as they
// are, without a stamp, and so does the value in old, which is all that is known of them. See "Bad rows" in the package's doc for what is read of such a row, and what becomes of it.
//
// What is accepted is the value that old has now. When another one comes that does not convert either, the row is a bad row like any other again. To accept once more changes the reason, and may
// add Lose; only UnacceptBadRows takes that back.
//
// Errors: ErrNoBadRow, with nothing accepted, if a key is not that of a bad row, or the row has gone or has been mended meanwhile; ErrAccept on the way back from Contract and
// for a replaced table, which would lack the row; ErrPhase outside of Migrate, Switch and Contract. Lock: that of the migration's row.
func AcceptBadRows(ctx context.Context, db *sqlx.DB, p expand.Any, reason string, o AcceptOptions) (int64, error) {
	n, err := acceptBadRows(ctx, db, p, strings.TrimSpace(reason), o)
	if err != nil {
		return 0, fmt.Errorf("accept bad rows of %s: %w", p.Name(), err)
	}
	return n, nil
}

func acceptBadRows(ctx context.Context, db *sqlx.DB, p expand.Any, reason string, o AcceptOptions) (int64, error) {
	if reason == "" {
		return 0, errors.New("a reason is needed, for the event log and for whoever meets the rows next year")
	}
	args := []any{reason, cmp.Or(o.Actor, state.Actor()), o.Lose}
	return changeAccepted(ctx, db, p, "accept", reason, o, args, func(k *task, which string) string {
		return "UPDATE tandem.bad_row b SET accepted = $1, accepted_by = $2, accepted_at = clock_timestamp(), accepted_value = " + k.d.OldDigest() +
			", lose = $3 OR b.accepted IS NOT NULL AND b.lose FROM " + k.from() + " WHERE " + which + " AND " + k.keyIs("b.key") + " AND " + k.todo + " RETURNING b.key"
	})
}

// UnacceptBadRows takes AcceptBadRows back. It returns how many rows hold up the migration again. Errors and locks are those of AcceptBadRows. In Contract it is in time up to the drop.
func UnacceptBadRows(ctx context.Context, db *sqlx.DB, p expand.Any, o AcceptOptions) (int64, error) {
	n, err := changeAccepted(ctx, db, p, "unaccept", "", o, nil, func(_ *task, which string) string {
		return "UPDATE tandem.bad_row b SET accepted = NULL, accepted_by = NULL, accepted_at = NULL, accepted_value = NULL, lose = false WHERE " + which + " AND b.accepted IS NOT NULL RETURNING b.key"
	})
	if err != nil {
		return 0, fmt.Errorf("unaccept bad rows of %s: %w", p.Name(), err)
	}
	return n, nil
}

// changeAccepted sends what text makes of the condition which rows are meant, with args as its first parameters, and logs it. Whoever takes a step of the migration has the
// lock that it takes, so that each of the two is wholly before the other.
func changeAccepted(ctx context.Context, db *sqlx.DB, p expand.Any, kind, reason string, o AcceptOptions, args []any, text func(k *task, which string) string) (int64, error) {
	if o.All == (len(o.Keys) > 0) {
		return 0, errKeys
	}
	r, err := newRunner(ctx, db, p, Options{})
	if err != nil {
		return 0, err
	}
	k, keys := r.task, distinct(o.Keys)
	if k.mirror != nil {
		return 0, fmt.Errorf("%w: %s would not have the row, and nobody would read it from Switch on: mend it or delete it", ErrAccept, k.mirror.To)
	}
	which := "b.migration = " + ident.Literal(k.d.Name())
	if !o.All {
		which += " AND " + inList("b.key", len(args)+1, len(k.types))
		columns, err := k.keyArguments(keys)
		if err != nil {
			return 0, err
		}
		args = append(args, columns...)
	}
	var changed []pq.StringArray
	err = r.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := state.Lock(ctx, tx, k.d.Name())
		if err != nil {
			return err
		}
		if m.Guard == guard.Reverse {
			return fmt.Errorf("%w on the way back from Contract: old would keep a value of yesterday, which old binaries read; mend the new value, or write it once more when old has room for it", ErrAccept)
		}
		changed = changed[:0]
		if err := tx.SelectContext(ctx, &changed, text(k, which), args...); err != nil {
			return err
		}
		if left := without(keys, changed); len(left) > 0 {
			return fmt.Errorf("%s: %w, or no more, or not as you think: backfill.BadRows lists them", shown(left), ErrNoBadRow)
		}
		if len(changed) == 0 {
			return nil
		}
		return state.Log(ctx, tx, state.Event{Migration: m.Name, Kind: kind, From: m.Phase, To: m.Phase, Actor: o.Actor, Detail: eventDetail(reason, o.Lose, changed)})
	})
	return int64(len(changed)), pg.Cause(ctx, err)
}

func eventDetail(reason string, lose bool, keys []pq.StringArray) string {
	detail := fmt.Sprintf("%d bad rows, %s", len(keys), shown(keys))
	if lose {
		detail += ", whose old value may be lost"
	}
	if reason != "" {
		detail += ": " + reason
	}
	return detail
}

// inList says that a key, a text array, is among those in arrays that are parameters from first on.
func inList(key string, first, columns int) string {
	arrays, names := make([]string, columns), make([]string, columns)
	for i := range columns {
		arrays[i], names[i] = fmt.Sprintf("$%d::text[]", first+i), fmt.Sprintf("k%d", i)
	}
	list := strings.Join(names, ", ")
	return key + " IN (SELECT ARRAY[" + list + "] FROM unnest(" + strings.Join(arrays, ", ") + ") AS v(" + list + "))"
}

// without are the keys that are not among the others.
func without(keys [][]string, others []pq.StringArray) (out [][]string) {
	there := map[string]bool{}
	for _, key := range others {
		there[fmt.Sprintf("%q", []string(key))] = true
	}
	for _, key := range keys {
		if !there[fmt.Sprintf("%q", key)] {
			out = append(out, key)
		}
	}
	return out
}
