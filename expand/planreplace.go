package expand

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// planReplace is Plan of a replaced table: one transaction that puts the mirror in force.
func planReplace(ctx context.Context, db *sqlx.DB, d pair.Definition) ([]Step, error) {
	steps, err := replaceSteps(ctx, db, d)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", d.Name(), err)
	}
	return steps, nil
}

func replaceSteps(ctx context.Context, db *sqlx.DB, d pair.Definition) ([]Step, error) {
	m, err := registered(ctx, db, d)
	if err != nil {
		return nil, err
	}
	if m == nil {
		if err := refuseOverlap(ctx, db, d); err != nil {
			return nil, err
		}
	}
	if m != nil && m.Phase == phase.Complete {
		done, err := replaced(ctx, db, d)
		if err != nil || done && m.Same(d) == nil {
			return nil, err
		}
		m = nil // its name begins again
	}
	if m != nil && m.Phase > phase.Switch {
		return nil, nil // the guard is another one now
	}
	if err := refuseAside(ctx, db, d); err != nil {
		return nil, err
	}
	r, err := catalog.ReadReplacement(ctx, db, d, phase.Start)
	if err != nil {
		return nil, err
	}
	unguarded, err := r.Unmirrored(ctx, db, phase.Start)
	if err != nil {
		return nil, err
	}
	fresh := m == nil && unguarded != ""
	if err := checkReplacement(ctx, db, r, fresh); err != nil {
		return nil, err
	}
	if m != nil && m.Guard != guard.None && unguarded == "" {
		return nil, nil
	}
	detail := "mirror"
	switch {
	case m != nil && m.Guard != guard.None:
		detail = "mirror installed again"
	case !fresh:
		detail = "registered again by its mirror, for its row was lost"
	}
	s := Step{Name: "mirror " + d.Table.String() + " into " + d.Into.String(), Lock: "SHARE ROW EXCLUSIVE", Why: strings.Join(replaceWhy(r), "; "),
		SQL: append([]string{"LOCK TABLE " + d.Table.SQL() + ", " + d.Into.SQL() + " IN SHARE ROW EXCLUSIVE MODE"}, r.Mirror(phase.Start).Install()...)}
	s.Also = func(ctx context.Context, tx *sqlx.Tx) error {
		if fresh {
			if err := refuseNotEmpty(ctx, tx, d.Into); err != nil {
				return err
			}
		}
		return register(ctx, tx, d, detail)
	}
	return []Step{s}, nil
}

// replaced tells whether the tables are as a migration leaves them.
func replaced(ctx context.Context, db *sqlx.DB, d pair.Definition) (done bool, err error) {
	gone := d.Table
	if d.KeepName {
		gone = d.Into
	}
	err = db.GetContext(ctx, &done, `SELECT to_regclass($1) IS NULL`, gone.SQL())
	return done, pg.Cause(ctx, err)
}

// refuseAside keeps the name free that the old table gets at the swap. Where it is taken, the row of a migration in Contract may have been lost.
func refuseAside(ctx context.Context, db *sqlx.DB, d pair.Definition) error {
	var taken bool
	if err := db.GetContext(ctx, &taken, `SELECT to_regclass($1) IS NOT NULL`, d.Aside().SQL()); err != nil {
		return pg.Cause(ctx, err)
	}
	if taken {
		return fmt.Errorf("table %s: %w: it has the name that %s gets at the swap: rename it; if it is the old table of a migration whose row was lost, restore schema tandem from a backup",
			d.Aside(), ErrRefused, d.Table)
	}
	return nil
}

func refuseNotEmpty(ctx context.Context, q sqlx.QueryerContext, t ident.Table) error {
	var filled bool
	if err := sqlx.GetContext(ctx, q, &filled, `SELECT EXISTS (SELECT FROM `+t.SQL()+`)`); err != nil {
		return fmt.Errorf("table %s: %w", t, pg.Cause(ctx, err))
	}
	if filled {
		return fmt.Errorf("table %s: %w: it holds rows already; the copy must begin with an empty table: TRUNCATE it", t, ErrRefused)
	}
	return nil
}

// checkReplacement asks PostgreSQL whether each table takes what the other's rows become, with the search_path of the guard.
func checkReplacement(ctx context.Context, db *sqlx.DB, r *catalog.Replacement, fresh bool) error {
	if fresh {
		if err := refuseNotEmpty(ctx, db, r.Definition.Into); err != nil {
			return err
		}
	}
	for _, t := range []*catalog.Table{r.Old, r.New} {
		var hidden bool
		if err := db.GetContext(ctx, &hidden, `SELECT row_security_active($1::bigint::oid)`, t.OID); err != nil {
			return fmt.Errorf("table %s: %w", t, pg.Cause(ctx, err))
		}
		if hidden {
			return fmt.Errorf("table %s: %w: row security hides rows from this role, and so from the guard: run it as the tables' owner, without FORCE ROW LEVEL SECURITY", t, ErrRefused)
		}
	}
	if err := refuseRename(r); err != nil {
		return err
	}
	ways := []guard.Map{r.Mirror(phase.Start).Map}
	if r.OneWay() == nil {
		back := r.Mirror(phase.Contract).Map
		back.From, back.To = r.New.Table, r.Old.Table
		ways = append(ways, back)
	}
	err := pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, guardPath); err != nil {
			return err
		}
		for _, w := range ways {
			if err := pureMap(ctx, tx, w, map[ident.Table]*catalog.Table{r.Old.Table: r.Old, r.New.Table: r.New}[w.From]); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "EXPLAIN "+w.InsertSQL()+" WHERE false"); err != nil {
				return fmt.Errorf("rows of %s do not become rows of %s: %w: %w", w.From, w.To, catalog.ErrMapping, err)
			}
		}
		return errParsed
	})
	if errors.Is(err, errParsed) {
		return nil
	}
	return err
}

// pureMap refuses expressions that depend on more than the row's value, and copies into a type of which that is true: timestamptz to date.
func pureMap(ctx context.Context, tx *sqlx.Tx, m guard.Map, from *catalog.Table) error {
	if _, err := tx.ExecContext(ctx, `CREATE TEMPORARY TABLE tandem_parse (LIKE `+m.From.SQL()+`) ON COMMIT DROP`); err != nil {
		return err
	}
	for i, e := range m.On("") {
		if c := from.Column(m.Columns[i]); c != nil && e == ident.Quote(c.Name) && c.Type == m.Types[i] {
			continue
		}
		if err := pure(ctx, tx, "CAST("+e+" AS "+m.Types[i]+")"); err != nil {
			return fmt.Errorf("table %s, column %s: %w: %w", m.To, ident.Quote(m.Columns[i]), catalog.ErrMapping, err)
		}
	}
	_, err := tx.ExecContext(ctx, `DROP TABLE pg_temp.tandem_parse`)
	return err
}

// refuseRename refuses to give the new table the old one's name where an old binary would not find its columns.
func refuseRename(r *catalog.Replacement) error {
	if !r.Definition.KeepName {
		return nil
	}
	for _, c := range r.Old.Columns {
		n := r.New.Column(c.Name)
		if n == nil || n.Type != c.Type || n.Generated != c.Generated {
			return fmt.Errorf("table %s: %w: KeepName needs column %s %s of %s there too, or old binaries would fail", r.New, ErrRefused, ident.Quote(c.Name), c.Type, r.Old)
		}
		omitted := func(c *catalog.Column) bool { return !c.NotNull || c.Default != "" || c.Identity != "" }
		if omitted(&c) && !omitted(n) {
			return fmt.Errorf("table %s: %w: column %s %s NOT NULL: an old INSERT may leave it out, which KeepName keeps going: give it a default", r.New, ErrRefused, ident.Quote(c.Name), c.Type)
		}
	}
	return nil
}

// replaceWhy says what an operator should know before.
func replaceWhy(r *catalog.Replacement) []string {
	out := []string{"from now on each write of " + r.Old.String() + " writes " + r.New.String() + " too, in its own transaction, and fails if that refuses the row"}
	m := r.Mirror(phase.Start)
	var strict []string
	for i, name := range m.Columns {
		from := r.Old.Column(name)
		if r.New.Column(name).NotNull && !slices.Contains(m.ToKey, name) && (from == nil || !from.NotNull) {
			strict = append(strict, ident.Quote(name)+" = "+m.Exprs[i])
		}
	}
	if len(strict) > 0 {
		out = append(out, "stricter there, NOT NULL: "+strings.Join(strict, ", "))
	}
	if err := r.OneWay(); err != nil {
		out = append(out, "from Contract there is no way back: "+err.Error())
	}
	return out
}

// dependentsOfTable is Dependents of a replaced table.
func dependentsOfTable(ctx context.Context, db *sqlx.DB, d pair.Definition) ([]Dependent, error) {
	m, err := registered(ctx, db, d)
	if err != nil {
		return nil, err
	}
	at := phase.Start
	if m != nil && m.Phase == phase.Contract {
		at = m.Phase
	}
	r, err := catalog.ReadReplacement(ctx, db, d, at)
	if err != nil {
		return nil, err
	}
	return r.Dependents(ctx, db)
}

// undoReplace takes the mirror away and empties the new table, so that Apply can begin again.
func undoReplace(ctx context.Context, db *sqlx.DB, d pair.Definition, o Options) error {
	m := guard.Mirror{Map: guard.Map{From: d.Table, To: d.Into}, Migration: d.Name(), Into: d.Into.Name}
	s := Step{Name: "take the mirror away and empty " + d.Into.String(), Lock: "ACCESS EXCLUSIVE",
		SQL: slices.Concat([]string{"LOCK TABLE " + d.Table.SQL() + ", " + d.Into.SQL() + " IN ACCESS EXCLUSIVE MODE"}, m.RemoveTriggers(), m.RemoveFunctions(),
			[]string{"TRUNCATE " + d.Into.SQL()})}
	s.Also = func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := state.Lock(ctx, tx, d.Name())
		if err != nil {
			return err
		}
		if m.Phase != phase.Start {
			return fmt.Errorf("%w: in %s; revert to Start first", ErrPhase, m.Phase)
		}
		if err := state.Forget(ctx, tx, d.Name()); err != nil {
			return err
		}
		return state.Log(ctx, tx, state.Event{Migration: d.Name(), Kind: "undo", From: m.Phase})
	}
	if _, err := ddl.Run(ctx, db, d.Table, []Step{s}, o); err != nil {
		return fmt.Errorf("undo %s: %w", d.Name(), err)
	}
	return nil
}
