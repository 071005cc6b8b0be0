package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// relax plans one transaction: it is a matter of the catalog only, and either all of it is taken and noted or nothing.
func (w *work) relax(ctx context.Context) ([]expand.Step, error) {
	if w.reversing() {
		return nil, fmt.Errorf("%w: it is on the way back from Contract; Restore comes first", ErrPhase)
	}
	rules, err := catalog.Rules(ctx, w.db, w.table, w.d)
	if err != nil {
		return nil, err
	}
	uniques, err := catalog.Uniques(ctx, w.db, w.table, w.d)
	if err != nil {
		return nil, err
	}
	twins, err := catalog.Twins(ctx, w.db, w.table, w.d)
	if err != nil {
		return nil, err
	}
	r := w.m.Relaxed
	s := expand.Step{Name: "relax old", Lock: "ACCESS EXCLUSIVE", Why: "metadata only: from Contract on old is not written"}
	if err := w.relaxColumn(ctx, &s, &r); err != nil {
		return nil, err
	}
	// A unique index would go on judging by stale values, and an upsert of a late member find the wrong row there.
	for _, t := range slices.Concat(rules, uniques) {
		if err := w.take(&s, &r, t, twins); err != nil {
			return nil, err
		}
	}
	if len(s.SQL) == 0 {
		return nil, nil
	}
	s.Also = w.note(r)
	return []expand.Step{s}, nil
}

// relaxColumn takes NOT NULL and the default. The default goes because an INSERT that omits old would otherwise fill in a value that
// nobody meant, twice the same one in a unique column.
func (w *work) relaxColumn(ctx context.Context, s *expand.Step, r *state.Relaxed) error {
	for _, name := range w.d.Old {
		c := w.table.Column(name)
		if c == nil {
			return fmt.Errorf("column %s: %w", ident.Quote(name), expand.ErrNoColumn)
		}
		alter := "ALTER TABLE " + w.d.Table.SQL() + " ALTER COLUMN " + ident.Quote(name)
		if c.NotNull {
			constraint, err := catalog.ReadNotNull(ctx, w.db, w.table, name)
			if err != nil {
				return err
			}
			r.NotNull, r.Name, r.Kind, r.Comment = true, constraint.Name, constraint.Kind, constraint.Comment
			s.SQL = append(s.SQL, alter+" DROP NOT NULL")
			r.Restore = append(r.Restore, notNull(w.d, name, constraint)...)
		}
		if c.Default != "" {
			if w.d.IsSet() && r.Default != "" { // of a set it is only shown
				r.Default += ", " + c.Default
			} else {
				r.Default = c.Default
			}
			s.SQL = append(s.SQL, alter+" DROP DEFAULT")
			r.Restore = append(r.Restore, ddl.Step{Name: "default of old", Lock: "ACCESS EXCLUSIVE", SQL: []string{alter + " SET DEFAULT " + c.Default}})
		}
	}
	return nil
}

// take drops an object of old, remembers how to bring it back, and what gives its name to the twin. Without a valid twin it would be lost; of a column set nobody
// but the operator knows whether one is needed, whom the gate to Switch has asked; and in
// another table it is for others to say what it means there.
func (w *work) take(s *expand.Step, r *state.Relaxed, t catalog.Taken, twins []catalog.Twin) error {
	i := slices.IndexFunc(twins, func(w catalog.Twin) bool { return w.Kind == t.Kind && w.Of == t.Name })
	ready := i >= 0 && twins[i].Ready
	if !ready && !w.d.IsSet() && !w.d.Moved() {
		return fmt.Errorf("%s %s has no valid twin on new: run expand.ApplyTwins: %w", t.Kind, ident.Quote(t.Name), ErrDependents)
	}
	s.SQL = append(s.SQL, t.Drop)
	if ready {
		r.Finish = append(r.Finish, twins[i].Finish...)
	}
	if len(t.Rebuild) > 0 {
		r.Restore = append(r.Restore, ddl.Step{Name: "build " + ident.Quote(t.Name) + " again", Lock: "SHARE UPDATE EXCLUSIVE", Concurrently: true, SQL: t.Rebuild})
	}
	for _, sql := range t.Restore {
		r.Restore = append(r.Restore, ddl.Step{Name: "restore " + ident.Quote(t.Name), Lock: "ACCESS EXCLUSIVE", SQL: []string{sql}})
	}
	return nil
}

// note writes what was taken, if nobody else has taken anything since the plan.
func (w *work) note(r state.Relaxed) func(ctx context.Context, tx *sqlx.Tx) error {
	return func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := w.lock(ctx, tx)
		if err != nil {
			return err
		}
		if len(m.Relaxed.Restore) != len(w.m.Relaxed.Restore) {
			return fmt.Errorf("somebody else is taking things from old at this moment, run it again: %w", switchover.ErrStep)
		}
		return m.SetRelaxed(ctx, tx, r)
	}
}

// notNull is the way to SET NOT NULL without a scan under ACCESS EXCLUSIVE: PostgreSQL takes a validated check as the proof.
func notNull(d expand.Definition, column string, constraint catalog.NotNull) []ddl.Step {
	alter := "ALTER TABLE " + d.Table.SQL()
	check := ident.Quote(ident.Derive("tandem_", column, "_not_null"))
	set := alter + " ALTER COLUMN " + ident.Quote(column) + " SET NOT NULL"
	named := []string{}
	if constraint.Name != "" { // from PostgreSQL 18 on it has a name, which is to be kept
		set = alter + " ADD CONSTRAINT " + ident.Quote(constraint.Name) + " NOT NULL " + ident.Quote(column)
		if constraint.Kind != "" {
			set += " " + constraint.Kind
		}
		named = commentOn(d, constraint.Name, constraint.Comment)
	}
	if strings.Contains(constraint.Kind, "NOT VALID") { // there may be rows with NULL
		return []ddl.Step{{Name: "set NOT NULL", Lock: "ACCESS EXCLUSIVE", Why: "metadata only: NOT VALID, as before", SQL: append([]string{set}, named...)}}
	}
	message := d.Name() + ": rows with NULL in " + ident.Quote(column) + ", which is to be NOT NULL: mend them, and run it again"
	return []ddl.Step{
		{Name: "see that no row has NULL in " + ident.Quote(column), Lock: "ACCESS SHARE", Scans: true, Why: "the check would refuse every write of such a row", SQL: []string{
			"DO " + ident.Literal("BEGIN IF EXISTS (SELECT FROM "+d.Table.SQL()+" WHERE "+ident.Quote(column)+" IS NULL) THEN RAISE EXCEPTION USING ERRCODE = '23502', MESSAGE = "+
				ident.Literal(message)+"; END IF; END")}},
		{Name: "check " + ident.Quote(column) + " IS NOT NULL", Lock: "ACCESS EXCLUSIVE", SQL: []string{
			alter + " DROP CONSTRAINT IF EXISTS " + check,
			alter + " ADD CONSTRAINT " + check + " CHECK (" + ident.Quote(column) + " IS NOT NULL) NOT VALID"}},
		{Name: "validate it", Lock: "SHARE UPDATE EXCLUSIVE", Scans: true, SQL: []string{alter + " VALIDATE CONSTRAINT " + check}},
		{Name: "set NOT NULL", Lock: "ACCESS EXCLUSIVE", Why: "the validated check spares the scan", SQL: append([]string{set, alter + " DROP CONSTRAINT " + check}, named...)},
	}
}

// commentOn gives a constraint its comment.
func commentOn(d expand.Definition, constraint, comment string) []string {
	if comment == "" {
		return nil
	}
	return []string{"COMMENT ON CONSTRAINT " + ident.Quote(constraint) + " ON " + d.Table.SQL() + " IS " + ident.Literal(comment)}
}
