package expand

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/switchover"
)

// writeColumns are the columns of a pair that a phase writes, in the order of the arguments.
func writeColumns(d pair.Definition, ph switchover.Phase) []string {
	var out []string
	if ph.WritesOld() {
		out = append(out, d.Old...)
	}
	if ph.WritesNew() {
		out = append(out, d.New...)
	}
	if ph.Stamps() {
		out = append(out, d.Stamp)
	}
	return out
}

// filter is what a WHERE or ORDER BY names for a new column in a phase: the column that is read, old or new. Old of a set has no column for each of new's, so
// there it is forward of old.
func filter(d pair.Definition, ph switchover.Phase, prefix, column string) (string, error) {
	i := slices.Index(d.New, column)
	switch {
	case i < 0:
		return "", fmt.Errorf("%s is not a new column of pair %s", ident.Quote(column), d.Name())
	case ph.ReadsNew():
		return prefix + ident.Quote(column), nil
	case !d.IsSet():
		return prefix + ident.Quote(d.Old[0]), nil
	case d.HasForward():
		return "(" + d.StoredSQL(prefix)[i] + ")", nil
	}
	return "", fmt.Errorf("%s has no column for %s, and only Go converts: filter by it once new is read, or declare SQL for it", ident.List("", d.Old), ident.Quote(column))
}

// arbiters are the columns whose unique index may decide a conflict, the best first. Up to Migrate old has one, and new perhaps none yet; from Switch on new
// has one, and old none once contract.Apply has relaxed it. A phase that writes both can take the other: new on the way back from Switch, before
// Restore, and old where the gate to Switch was waived. A phase that writes one has no choice: the other column is stale.
func arbiters(d pair.Definition, ph switchover.Phase) [][]string {
	switch {
	case !ph.WritesNew():
		return [][]string{d.Old}
	case !ph.WritesOld():
		return [][]string{d.New}
	case ph.ReadsNew():
		return [][]string{d.New, d.Old}
	default:
		return [][]string{d.Old, d.New}
	}
}

// storedColumns are the columns that a read selects in a phase: the reader's rule needs all three while they exist. They come over as they are and Go
// decides, because each node of a CASE costs the server 2 to 4 us a statement (parsed and planned anew each time), a column 1 us.
func storedColumns(d pair.Definition, ph switchover.Phase) []string {
	switch ph {
	case switchover.Start:
		return d.Old
	case switchover.Complete:
		return d.New
	default:
		return d.Columns()
	}
}

// assignments is the SET list `a = $1, b = $2` that begins with parameter first.
func assignments(columns []string, first int) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = fmt.Sprintf("%s = $%d", ident.Quote(c), first+i)
	}
	return strings.Join(out, ", ")
}

// excluded is the SET list of an upsert.
func excluded(columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = ident.Quote(c) + " = EXCLUDED." + ident.Quote(c)
	}
	return strings.Join(out, ", ")
}

// without returns the columns that are not in drop.
func without(columns, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return slices.Contains(drop, c) })
}
