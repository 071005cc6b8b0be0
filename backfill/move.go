package backfill

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// inPlace says that the copy changes rows where they are: only then do blocks and stripes bring something.
func (k *task) inPlace() bool { return !k.d.Moved() && k.mirror == nil && k.extra == "" }

// insertSQL copies rows of Table to To. FOR SHARE makes the statement read a row again that somebody has changed since it began, and keeps writers away until its copy
// is committed: without it the copy could be older than what the writer's trigger has brought to To, where there was no row to find.
func (k *task) insertSQL(also, where string) string {
	d := k.d
	return fmt.Sprintf("INSERT INTO %s AS p (%s, %s, %s) SELECT %s, %s, %d FROM (SELECT %s, t.%s FROM %s WHERE %s AND %s FOR SHARE OF t) AS x"+
		" ON CONFLICT (%s) DO UPDATE SET %s = EXCLUDED.%s, %s = EXCLUDED.%s WHERE p.%s IS NULL",
		d.To.SQL(), ident.List("", d.ToKey), ident.Quote(d.New[0]), ident.Quote(d.Stamp),
		ident.List("x.", d.Key), d.ForwardSQL("x.")[0], k.stamp.Stamp(),
		ident.List("t.", d.Key), ident.Quote(d.Old[0]), k.from()+also, where, k.todo,
		ident.List("", d.ToKey), ident.Quote(d.New[0]), ident.Quote(d.New[0]), ident.Quote(d.Stamp), ident.Quote(d.Stamp), ident.Quote(d.Stamp))
}

// reverseSQL brings new of Contract back to old, from where the guard brings it to new once more, with a stamp of Switch. It is right if before has locked the rows.
func (k *task) reverseSQL(also, where string) string {
	d := k.d
	return fmt.Sprintf("UPDATE %s SET %s = %s FROM %s AS q%s WHERE %s AND %s AND %s AND NOT (%s)",
		k.from(), ident.Quote(d.Old[0]), d.BackwardSQL("q.")[0], d.To.SQL(), also, d.Joined("q.", "t."), where, k.contracted(), k.lossy("q."))
}

// before is what a transaction of the way back does first: it locks the rows of Table, so that the next statement sees what those have written who had them, and sets
// aside those whose new value old cannot hold.
func (k *task) before(also, where string) []string {
	if !k.reverse() {
		return nil
	}
	d := k.d
	return []string{
		"SELECT count(*) FROM (SELECT FROM " + k.from() + also + " WHERE " + where + " AND " + k.todo + " FOR NO KEY UPDATE OF t) x",
		fmt.Sprintf("INSERT INTO tandem.bad_row (migration, key, error) SELECT %s, ARRAY[%s], 'old cannot hold this value: forward of backward of it is another'"+
			" FROM %s, %s AS q WHERE %s AND %s AND %s AND (%s) ON CONFLICT (migration, key) DO UPDATE SET error = EXCLUDED.error, at = now(), accepted = NULL",
			ident.Literal(d.Name()), k.keyText(), k.from()+also, d.To.SQL(), d.Joined("q.", "t."), where, k.contracted(), k.lossy("q."))}
}

func (k *task) reverse() bool { return k.d.Moved() && k.kind == "reverse" }

func (k *task) contracted() string {
	return fmt.Sprintf("q.%s >= %d", ident.Quote(k.d.Stamp), phase.Contract.Floor())
}

// lossy says that a new value does not come back from old; prefix qualifies the columns of To.
func (k *task) lossy(prefix string) string {
	d := k.d
	if d.Identity() || !d.HasBackward() {
		return "false"
	}
	back := fmt.Sprintf("CAST(%s AS %s)", d.BackwardSQL(prefix)[0], k.columnTypes[d.Old[0]])
	return fmt.Sprintf("ROW(%s%s)::record *<> ROW(CAST(%s AS %s))::record", prefix, ident.Quote(d.New[0]), d.ForwardOf([]string{back})[0], k.newType)
}

// copySQL copies rows in the task's direction: those of Table, called t, and also of what the list of keys is joined to, where the condition holds.
func (k *task) copySQL(also, where string) string {
	if k.reverse() {
		return k.reverseSQL(also, where)
	}
	return k.insertSQL(also, where)
}

// named are the rows of Table whose keys are in arrays, a parameter for each key column.
func (k *task) named() (also, where string) {
	arrays, names, same := k.keyArrays()
	return ", unnest(" + arrays + ") AS v(" + names + ")", same
}

// movedDiffers is differsSQL for a row of Table and its row of To, if it has one.
func (k *task) movedDiffers() string {
	d := k.d
	stamp := "p." + ident.Quote(d.Stamp)
	forward := fmt.Sprintf("ROW(p.%s)::record *<> ROW(CAST(%s AS %s))::record", ident.Quote(d.New[0]), d.ForwardSQL("t.")[0], k.newType)
	return fmt.Sprintf("(%s IS NULL OR %s < %d AND (%s OR %s))", stamp, stamp, phase.Contract.Floor(), forward, k.lossy("p."))
}

// compared are the rows that verify looks at, each with what it is compared with.
func (k *task) compared() string {
	switch {
	case k.mirror != nil:
		return k.from() + " LEFT JOIN " + k.mirror.To.SQL() + " AS i ON " + k.mirror.SameTo("i.", "t.")
	case k.d.Moved():
		return k.from() + " LEFT JOIN " + k.d.To.SQL() + " AS p ON " + k.d.Joined("p.", "t.")
	}
	return k.from()
}

// runAll sends statements with the same arguments.
func runAll(ctx context.Context, tx *sqlx.Tx, statements []string, args []any) error {
	for _, text := range statements {
		if _, err := tx.ExecContext(ctx, text, args...); err != nil {
			return err
		}
	}
	return nil
}
