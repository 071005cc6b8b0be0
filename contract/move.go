package contract

import (
	"context"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
)

// lockTables locks the tables of the pair, one after the other.
func (w *work) lockTables(mode string) string {
	var names []string
	for _, t := range w.d.Tables() {
		names = append(names, t.SQL())
	}
	return "LOCK TABLE " + strings.Join(names, ", ") + " IN " + mode + " MODE"
}

// movedDrop is dropStep for a pair in two tables. The default of old comes to new only here: as long as the guard is there, a row of To without a value must show that
// whoever made it gave none.
func (w *work) movedDrop(ctx context.Context, tx *sqlx.Tx) (expand.Step, error) {
	s := expand.Step{Name: "drop old, stamp and guard", Lock: "ACCESS EXCLUSIVE", Why: "metadata only; without CASCADE; on both tables"}
	twins, err := catalog.TwinsIn(ctx, tx, w.table, w.d)
	if err != nil {
		return s, err
	}
	s.SQL = append([]string{w.lockTables("ACCESS EXCLUSIVE")}, guard.Remove(w.d)...)
	s.SQL = append(s.SQL, "ALTER TABLE "+w.d.Table.SQL()+" DROP COLUMN "+ident.Quote(w.d.Old[0]), "ALTER TABLE "+w.d.To.SQL()+" DROP COLUMN "+ident.Quote(w.d.Stamp))
	if c := w.there.Column(w.d.New[0]); c != nil && c.Default == "" && w.newDefault() != "" {
		s.SQL = append(s.SQL, "ALTER TABLE "+w.d.To.SQL()+" ALTER COLUMN "+ident.Quote(w.d.New[0])+" SET DEFAULT "+w.newDefault())
	}
	for _, t := range twins {
		if t.Ready {
			s.SQL = append(s.SQL, t.Finish...)
		}
	}
	s.SQL = append(s.SQL, w.m.Relaxed.Finish...)
	return s, nil
}
