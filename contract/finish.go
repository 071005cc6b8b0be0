package contract

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
)

// finish plans NOT NULL and default on new. Not before Contract: an INSERT by a stray, which the guard repairs, would fail.
func (w *work) finish() ([]expand.Step, error) {
	var steps []expand.Step
	if w.d.Moved() { // the row of another table may be made by somebody who does not know the column
		return nil, nil
	}
	for _, name := range w.d.New {
		c := w.table.Column(name)
		if c == nil {
			return nil, fmt.Errorf("column %s: %w", ident.Quote(name), expand.ErrNoColumn)
		}
		if w.notNull(name) && !c.NotNull {
			steps = append(steps, notNull(w.d, name, w.newNotNull())...)
		}
		if want := w.newDefault(); want != "" && c.Default == "" {
			steps = append(steps, expand.Step{Name: "default of new", Lock: "ACCESS EXCLUSIVE", Why: "metadata only",
				SQL: []string{"ALTER TABLE " + w.d.Table.SQL() + " ALTER COLUMN " + ident.Quote(name) + " SET DEFAULT " + want}})
		}
	}
	return steps, nil
}

// notNull tells whether a new column becomes NOT NULL: as old was, or as the declaration of a set says.
func (w *work) notNull(name string) bool {
	if w.d.IsSet() {
		return slices.Contains(w.d.NotNull, name)
	}
	return w.m.Relaxed.NotNull
}

// newNotNull is the NOT NULL that new gets: a constraint of old's kind under another name, until old is dropped, where that kind is not the usual one.
func (w *work) newNotNull() catalog.NotNull {
	r := w.m.Relaxed
	if w.d.IsSet() || r.Kind == "" {
		return catalog.NotNull{}
	}
	return catalog.NotNull{Name: catalog.TwinName(w.d, r.Name), Kind: r.Kind}
}

// newDefault is forward of old's default; "" if there was none, or if only Go could convert it: then the gate to Complete asks for it. Columns of a set have no default
// that old's would say.
func (w *work) newDefault() string {
	switch {
	case w.d.IsSet():
		return ""
	case w.m.Relaxed.Default == "", w.d.Types == nil:
		return w.m.Relaxed.Default
	case w.d.HasForward():
		return w.d.ForwardOf([]string{w.m.Relaxed.Default})[0]
	default:
		return ""
	}
}

// dropStep is one transaction: guard, old and stamp go, and the twins take the names. It reads the catalog in tx and runs nothing yet.
func (w *work) dropStep(ctx context.Context, tx *sqlx.Tx) (expand.Step, error) {
	s := expand.Step{Name: "drop old, stamp and guard", Lock: "ACCESS EXCLUSIVE", Why: "metadata only; without CASCADE"}
	if w.d.Moved() {
		return w.movedDrop(ctx, tx)
	}
	for _, name := range w.d.New {
		if c := w.table.Column(name); c == nil || w.notNull(name) && !c.NotNull {
			return s, fmt.Errorf("column %s is not yet NOT NULL: run contract.Apply with Finish: %w", ident.Quote(name), ErrPhase)
		}
	}
	twins, err := catalog.TwinsIn(ctx, tx, w.table, w.d)
	if err != nil {
		return s, err
	}
	s.SQL = guard.Remove(w.d)
	if w.d.Carries() { // else they would go with old
		owned, err := catalog.Owned(ctx, tx, w.table, w.d.Old[0], w.d.New[0])
		if err != nil {
			return s, err
		}
		s.SQL = append(s.SQL, owned...)
	}
	alter := "ALTER TABLE " + w.d.Table.SQL()
	for _, name := range append(append([]string{}, w.d.Old...), w.d.Stamp) {
		s.SQL = append(s.SQL, alter+" DROP COLUMN "+ident.Quote(name))
	}
	for _, t := range twins {
		switch {
		case t.Ready:
		case w.d.IsSet(): // the gates have asked
			s.Why += "; " + t.Kind + " " + ident.Quote(t.Of) + " goes with old"
			continue
		default:
			return s, fmt.Errorf("%s %s has no valid twin on new and would be lost: %w", t.Kind, ident.Quote(t.Of), ErrDependents)
		}
		s.SQL = append(s.SQL, t.Finish...)
	}
	s.SQL = append(s.SQL, w.m.Relaxed.Finish...)
	rename, err := w.renameNotNull(ctx, tx)
	s.SQL = append(s.SQL, rename...)
	return s, err
}

// renameNotNull gives new's NOT NULL constraint the name and the comment of old's, where constraints of that kind have names.
func (w *work) renameNotNull(ctx context.Context, tx *sqlx.Tx) ([]string, error) {
	if w.m.Relaxed.Name == "" || w.d.IsSet() {
		return nil, nil
	}
	is, err := catalog.ReadNotNull(ctx, tx, w.table, w.d.New[0])
	if err != nil || is.Name == "" {
		return nil, err
	}
	var out []string
	if is.Name != w.m.Relaxed.Name {
		out = append(out, fmt.Sprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", w.d.Table.SQL(), ident.Quote(is.Name), ident.Quote(w.m.Relaxed.Name)))
	}
	return append(out, commentOn(w.d, w.m.Relaxed.Name, w.m.Relaxed.Comment)...), nil
}
