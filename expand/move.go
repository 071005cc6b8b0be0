package expand

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// ErrTwoTables: fragments are of one table, and the pair's columns are in two.
var ErrTwoTables = errors.New("the columns are in two tables: read and write the pair by a Repository")

// Move declares a pair whose column moves to another table, where it has the same name and type: users.bio becomes profiles.bio, by
// Move[string]("users", "bio", "profiles", "user_id"). A row of to belongs to one row of table: toKey is its column, of a unique index, that holds table's primary key
// id; it defaults to id too. T is a pointer or an sql.Null where the column may be NULL. Convert declares what has other keys, names or types.
func Move[T any](table, column, to string, toKey ...string) *Pair[T, T] {
	same := func(v T) (T, error) { return v, nil }
	return Convert(Spec[T, T]{Table: table, Old: column, New: column, To: to, ToKey: toKey, Forward: same, Backward: same,
		ForwardSQL: fragment.Placeholder(column), BackwardSQL: fragment.Placeholder(column)})
}

// lockTables locks the tables of a pair one after the other.
func lockTables(d pair.Definition, mode string) string {
	var names []string
	for _, t := range d.Tables() {
		names = append(names, t.SQL())
	}
	return "LOCK TABLE " + strings.Join(names, ", ") + " IN " + mode + " MODE"
}

// lockBoth makes the step of Apply take its locks in the order in which everybody takes them. Where the guard is installed once more, triggers are exchanged.
func lockBoth(s Step, d pair.Definition) Step {
	if len(s.SQL) == 0 {
		s.SQL, s.Lock = []string{lockTables(d, "ACCESS EXCLUSIVE")}, "ACCESS EXCLUSIVE"
		return s
	}
	s.SQL = append([]string{"LOCK TABLE " + d.Table.SQL() + " IN SHARE ROW EXCLUSIVE MODE"}, s.SQL...)
	s.Lock = "SHARE ROW EXCLUSIVE on " + d.Table.String() + ", ACCESS EXCLUSIVE on " + d.To.String()
	return s
}

// checkMovedBackward is checkBackward for a pair whose columns may have one name: each is in a table of its own.
func checkMovedBackward(ctx context.Context, db *sqlx.DB, t *catalog.Table, d pair.Definition) error {
	err := pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		there := t.Typed(d)
		for _, sql := range []string{
			`CREATE TEMPORARY TABLE tandem_parse (` + ident.Quote(d.Old[0]) + ` ` + t.Column(d.Old[0]).TypeSQL() + `) ON COMMIT DROP`,
			`CREATE TEMPORARY TABLE tandem_parse_to (` + ident.Quote(d.New[0]) + ` ` + there.Types[0] + `) ON COMMIT DROP`, guardPath} {
			if _, err := tx.ExecContext(ctx, sql); err != nil {
				return err
			}
		}
		e := d.BackwardSQL("p.")[0]
		if _, err := tx.ExecContext(ctx, `EXPLAIN UPDATE pg_temp.tandem_parse AS t SET `+ident.Quote(d.Old[0])+` = `+e+` FROM pg_temp.tandem_parse_to AS p`); err != nil {
			return fmt.Errorf("backward expression %s: %w", e, err)
		}
		return errParsed
	})
	if errors.Is(err, errParsed) {
		return nil
	}
	return err
}
