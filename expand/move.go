package expand

import (
	"errors"
	"strings"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/pair"
)

// ErrTwoTables is what Pin, Do and In return for a pair that moves to another table: fragments are of one.
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
