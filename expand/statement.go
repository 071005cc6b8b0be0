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
	if d.Moved() { // new and stamp are written by the guard, or in a statement of their own table
		if ph.WritesOld() {
			out = append(out, d.Old...)
		}
		return out
	}
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

// filterColumns are the columns that a WHERE or ORDER BY names in a phase: the ones it reads.
func filterColumns(d pair.Definition, ph switchover.Phase) []string {
	if ph.ReadsNew() {
		return d.New
	}
	return d.Old
}

// arbiters are the columns whose unique index may decide a conflict, the best first. Up to Migrate old has one, and new perhaps none yet; from Switch on new
// has one, and old none once contract.Apply has relaxed it. A phase that writes both can take the other: new on the way back from Switch, before
// Restore, and old where the gate to Switch was waived. A phase that writes one has no choice: the other column is stale.
func arbiters(d pair.Definition, ph switchover.Phase) []string {
	switch old, new := d.Old[0], d.New[0]; {
	case !ph.WritesNew():
		return []string{old}
	case !ph.WritesOld():
		return []string{new}
	case ph.ReadsNew():
		return []string{new, old}
	default:
		return []string{old, new}
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
