package expand

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// PlanTwins returns what new still lacks of old: every index (CONCURRENTLY), check and foreign key (NOT VALID, then validated), statistics object, comment, storage, statistics target
// and column grants, and ANALYZE at the end. The twins' names end in _tandem_ and six letters until contract.Apply with Drop gives them the names of old's.
//
// Of a column set there is nothing but ANALYZE: which indexes and constraints stand for those of old, only you know. Give each the name that the gate to Switch asks for, and it
// gets the name of old's at the end; or another, and waive that gate (twins), which is asked again before Contract and before the drop. What stands for a unique index has to be
// unique, and NULLS NOT DISTINCT where a new column may be NULL: else two rows that old has kept apart are none.
//
// Run it after the backfill: an index on new that exists during it makes heap-only updates impossible.
//
// To learn how PostgreSQL spells the twins it creates an empty copy of the table in schema tandem and rolls it back, under ACCESS SHARE on the table for that
// moment. So it leaves nothing behind, and needs a connection that may write.
func PlanTwins(ctx context.Context, db *sqlx.DB, p Any) ([]Step, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	steps, err := planTwins(ctx, db, p.Definition())
	if err != nil {
		return nil, fmt.Errorf("twins of %s: %w", p.Name(), err)
	}
	return steps, nil
}

// ApplyTwins runs PlanTwins, in Migrate or Switch (else ErrPhase). It may be run again at any time; an index build that was interrupted is dropped and begun
// anew. Options.Log hears how far a build is, and whom it waits for. The locks, by what is made:
//
//	index          SHARE UPDATE EXCLUSIVE   CONCURRENTLY, without a lock timeout: it waits for older transactions and holds no reader or writer up
//	check          ACCESS EXCLUSIVE         for a moment, to add it
//	foreign key    SHARE ROW EXCLUSIVE      for a moment, to add it, on the referenced table too
//	validation     SHARE UPDATE EXCLUSIVE   while it reads the table; of a foreign key also ROW SHARE on the referenced table
//	storage        ACCESS EXCLUSIVE         for a moment, where old's storage or compression is not the type's own
//	all the rest   SHARE UPDATE EXCLUSIVE   statistics object, comment, statistics target, grants, ANALYZE
//
// SHARE UPDATE EXCLUSIVE blocks neither reads nor writes.
func ApplyTwins(ctx context.Context, db *sqlx.DB, p Any, o Options) error {
	steps, err := PlanTwins(ctx, db, p)
	if err != nil {
		return err
	}
	if _, err := ddl.Run(ctx, db, p.Definition().Table, steps, o); err != nil {
		return fmt.Errorf("twins of %s: %w", p.Name(), err)
	}
	return nil
}

func planTwins(ctx context.Context, db *sqlx.DB, d Definition) ([]Step, error) {
	m, err := state.Load(ctx, db, d.Name())
	if err != nil {
		return nil, err
	}
	if err := m.Same(d); err != nil {
		return nil, err
	}
	if m.Phase != phase.Migrate && m.Phase != phase.Switch {
		return nil, fmt.Errorf("%w: in %s; twins are made in Migrate, after the backfill", ErrPhase, m.Phase)
	}
	if d.Replaces() { // it has what its application has made on it
		return []Step{{Name: "analyze", Lock: "SHARE UPDATE EXCLUSIVE", SQL: []string{"ANALYZE " + d.Into.SQL()}}}, nil
	}
	t, err := catalog.Read(ctx, db, d.Table)
	if err != nil {
		return nil, err
	}
	twins, err := catalog.Twins(ctx, db, t, d)
	if err != nil {
		return nil, err
	}
	var version int
	if err := db.GetContext(ctx, &version, `SELECT current_setting('server_version_num')::int`); err != nil {
		return nil, pg.Cause(ctx, err)
	}
	var steps []Step
	for _, w := range twins {
		if d.IsSet() {
			break // yours to make
		}
		if t.Partitioned && !w.Ready && (w.Kind == "index" || w.Kind == "unique constraint" || w.Kind == "foreign key" && version < 180000) {
			return nil, fmt.Errorf("%s %s: %w: %s", w.Kind, ident.Quote(w.Of), ErrRefused, catalog.ByHand(w.Kind, d, w.Of))
		}
		steps = append(steps, twinSteps(d.There(), w)...)
	}
	if d.Moved() {
		return append(steps, analyze(d, nil)), nil
	}
	if !d.IsSet() {
		attributes, err := catalog.Attributes(ctx, db, t, d.Old[0], d.New[0])
		if err != nil {
			return nil, err
		}
		if len(attributes) > 0 {
			steps = append(steps, Step{Name: "carry over comment, storage, statistics target and grants", Lock: attributesLock(attributes), SQL: attributes})
		}
	}
	return append(steps, analyze(d, twins)), nil
}

func analyze(d Definition, twins []catalog.Twin) Step {
	s := Step{Name: "analyze", Lock: "SHARE UPDATE EXCLUSIVE", Why: "the planner guesses 0.5 % of the rows for a column it knows nothing of",
		SQL: []string{"ANALYZE " + d.There().Table.SQL() + " (" + ident.List("", d.New) + ")"}}
	if slices.ContainsFunc(twins, func(w catalog.Twin) bool { return w.Kind == "statistics object" }) { // it is filled where all its columns are analysed at once
		s.SQL = []string{"ANALYZE " + d.There().Table.SQL()}
	}
	return s
}

// alone names what old of a column set has and new will not get by itself; "" for a pair of two columns.
func alone(ctx context.Context, db *sqlx.DB, d Definition) (string, error) {
	if !d.IsSet() {
		return "", nil
	}
	t, err := catalog.Read(ctx, db, d.Table)
	if err != nil {
		return "", err
	}
	twins, err := catalog.Twins(ctx, db, t, d)
	if err != nil {
		return "", err
	}
	var out []string
	for _, w := range twins {
		out = append(out, w.Kind+" "+ident.Quote(w.Of))
	}
	for _, name := range d.Old {
		c := t.Column(name)
		if c.Default != "" {
			out = append(out, ident.Quote(name)+" DEFAULT "+c.Default)
		}
		if c.NotNull && len(d.NotNull) == 0 {
			out = append(out, ident.Quote(name)+" NOT NULL")
		}
	}
	if len(out) == 0 {
		return "", nil
	}
	return "a column set has no twins by itself; what stands for these on new, and comments, is yours to make: " + strings.Join(out, ", "), nil
}

// attributesLock is the strongest lock of the statements: SET STORAGE and SET COMPRESSION take more than the others.
func attributesLock(statements []string) string {
	for _, sql := range statements {
		if strings.Contains(sql, " SET STORAGE ") || strings.Contains(sql, " SET COMPRESSION ") {
			return "ACCESS EXCLUSIVE"
		}
	}
	return "SHARE UPDATE EXCLUSIVE"
}

func twinSteps(d Definition, w catalog.Twin) []Step {
	if w.Ready || len(w.Create) == 0 {
		return nil
	}
	name := fmt.Sprintf("%s %s for %s", w.Kind, ident.Quote(w.Name), ident.Quote(w.Of))
	if w.Kind == "index" {
		s := Step{Name: "build " + name, Lock: "SHARE UPDATE EXCLUSIVE", Concurrently: true, SQL: w.Create}
		if w.Leftover {
			s.Why = "an interrupted build left it invalid"
			s.SQL = append([]string{"DROP INDEX CONCURRENTLY IF EXISTS " + ident.Quote(d.Table.Schema) + "." + ident.Quote(w.Name)}, w.Create...)
		}
		return []Step{s}
	}
	if w.Kind == "statistics object" {
		return []Step{{Name: "add " + name, Lock: "SHARE UPDATE EXCLUSIVE", SQL: w.Create}}
	}
	lock := map[string]string{"check": "ACCESS EXCLUSIVE", "unique constraint": "ACCESS EXCLUSIVE", "foreign key": "SHARE ROW EXCLUSIVE"}[w.Kind]
	var steps []Step
	for i, sql := range w.Create {
		s := Step{Name: "add " + name, Lock: lock, SQL: []string{sql}}
		if i > 0 || w.Leftover {
			s = Step{Name: "validate " + name, Lock: "SHARE UPDATE EXCLUSIVE", Scans: true, SQL: []string{sql}}
		}
		steps = append(steps, s)
	}
	return steps
}
