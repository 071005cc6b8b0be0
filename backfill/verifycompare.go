package backfill

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// found is what a comparison of some rows has brought.
type found struct {
	rows        int64
	differences int64
	keys        [][]string // of the first differences
}

// compare compares one slice and notes what differs.
func (v *verifier) compare(ctx context.Context, w *worker, s slice) (done statement, err error) {
	late := w.saved.Round() > 0
	if late {
		s.where += " AND " + lateSQL(v.since)
	}
	f, err := v.see(ctx, w.task, s)
	if err != nil {
		return done, err
	}
	detail := "found by verify"
	if m := v.task.mirror; m != nil && w.task.extra != "" {
		detail = "a row of " + m.To.String() + " without one in " + m.From.String()
	}
	if late { // the first round may have seen them, before they moved or where they are
		if f, err = v.unlisted(ctx, f); err != nil {
			return done, err
		}
	}
	f.keys = f.keys[:min(len(f.keys), v.room())]
	err = pg.InTx(ctx, v.db, pg.Settings{AsyncCommit: true}, func(ctx context.Context, tx *sqlx.Tx) error {
		var list []state.Mismatch
		for _, k := range f.keys {
			list = append(list, state.Mismatch{Migration: v.task.d.Name(), Key: k, Detail: detail, Phase: phase.Migrate, Source: "verify"})
		}
		if len(list) > 0 {
			if err := state.Mismatches(ctx, tx, list); err != nil {
				return err
			}
		}
		done, err = w.save(ctx, tx, s.next, f.rows, f.differences)
		return err
	})
	if err == nil {
		v.mu.Lock()
		v.kept += len(f.keys)
		v.mu.Unlock()
	}
	return done, err
}

// room is how many differences more are listed.
func (v *verifier) room() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return max(keptDifferences-v.kept, 0)
}

// unlisted leaves out what is listed already, and all if the list is full: it cannot be known then what was counted. The rows were counted in the first round.
func (v *verifier) unlisted(ctx context.Context, f found) (out found, err error) {
	if f.differences == 0 || v.room() == 0 {
		return out, nil
	}
	before, err := v.keys(ctx, `SELECT key FROM tandem.mismatch WHERE migration = $1 AND source = 'verify'`, v.task.d.Name())
	if err != nil {
		return out, err
	}
	listed := make(map[string]bool, len(before))
	for _, k := range before {
		listed[fmt.Sprintf("%q", k)] = true
	}
	out.differences = f.differences - int64(len(f.keys))
	for _, k := range f.keys {
		if !listed[fmt.Sprintf("%q", k)] {
			out.keys = append(out.keys, k)
			out.differences++
		}
	}
	return out, nil
}

// see compares a slice. Where the server refuses some row's value, it is looked for by halving.
func (v *verifier) see(ctx context.Context, k *task, s slice) (f found, err error) {
	see := v.compareInServer
	if k.exprs == nil {
		see = v.compareInGo
	}
	err = v.look(ctx, func(ctx context.Context, q sqlx.QueryerContext) (err error) {
		f, err = see(ctx, q, k, k.compared(), s.where, s.args)
		return err
	})
	if !refused(err) || k.exprs == nil {
		return f, err
	}
	var keys [][]string
	err = v.look(ctx, func(ctx context.Context, q sqlx.QueryerContext) (err error) {
		keys, err = readKeys(ctx, q, "SELECT ARRAY["+k.keyText()+"] FROM "+k.from()+" WHERE "+s.where, s.args...)
		return err
	})
	if err != nil || len(keys) == 0 {
		return found{}, err
	}
	return v.halves(ctx, k, keys)
}

// halves compares rows by their keys; one alone that the server refuses to convert is a difference.
func (v *verifier) halves(ctx context.Context, k *task, keys [][]string) (f found, err error) {
	arrays, names, same := k.keyArrays()
	args := keyArgs(len(keys), len(k.types), func(i int) []string { return keys[i] })
	err = v.look(ctx, func(ctx context.Context, q sqlx.QueryerContext) (err error) {
		f, err = v.compareInServer(ctx, q, k, k.compared()+" JOIN unnest("+arrays+") AS v("+names+") ON "+same, "true", args)
		return err
	})
	switch n := len(keys); {
	case !refused(err):
		return f, err
	case n == 1:
		return found{rows: 1, differences: 1, keys: keys}, nil
	default:
		one, err := v.halves(ctx, k, keys[:n/2])
		if err != nil {
			return f, err
		}
		other, err := v.halves(ctx, k, keys[n/2:])
		return found{one.rows + other.rows, one.differences + other.differences, append(one.keys, other.keys...)}, err
	}
}

// differsSQL says that a row is not in step.
func (k *task) differsSQL() string {
	switch {
	case k.extra != "":
		return k.extra
	case k.d.Moved():
		return k.movedDiffers()
	case k.mirror != nil:
		return "(i." + ident.Quote(k.mirror.ToKey[0]) + " IS NULL OR " + k.mirror.Differs("t.", "i.") + ")"
	}
	stamp := "t." + ident.Quote(k.d.Stamp)
	var terms []string
	for i, e := range k.d.ForwardSQL("t.") {
		terms = append(terms, k.differs(k.d.New[i], e))
	}
	if k.d.HasBackward() && !k.d.Identity() {
		terms = append(terms, k.returns()...)
	}
	return fmt.Sprintf("(%s IS NULL OR %s < %d AND (%s))", stamp, stamp, phase.Contract.Floor(), strings.Join(terms, " OR "))
}

// compareInServer counts the rows, and those that differ with their keys, in one statement: what is listed is what is counted. OFFSET keeps the planner from working the comparison out twice.
func (v *verifier) compareInServer(ctx context.Context, q sqlx.QueryerContext, k *task, from, where string, args []any) (f found, err error) {
	count := "count(*)"
	if k.extra != "" { // they are counted in the other table
		count = "0"
	}
	order := make([]string, len(k.types))
	for i, t := range k.types {
		order[i] = fmt.Sprintf("(u::text[])[%d]::%s", i+1, t)
	}
	text := fmt.Sprintf("SELECT %s, count(key), ARRAY(SELECT u FROM unnest((array_agg(key) FILTER (WHERE key IS NOT NULL))[:%d]) AS u ORDER BY %s)"+
		" FROM (SELECT CASE WHEN %s THEN ARRAY[%s]::text END AS key FROM %s WHERE %s OFFSET 0) AS x",
		count, keptDifferences, strings.Join(order, ", "), k.differsSQL(), k.keyText(), from, where)
	var keys pq.StringArray
	if err := q.QueryRowxContext(ctx, text, args...).Scan(&f.rows, &f.differences, &keys); err != nil {
		return found{}, err
	}
	for _, text := range keys {
		var key pq.StringArray
		if err := key.Scan(text); err != nil {
			return found{}, err
		}
		f.keys = append(f.keys, key)
	}
	return f, nil
}
