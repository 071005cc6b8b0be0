package pair

import (
	"fmt"
	"slices"
)

// NoKey in the place of a key says that the table has none. It is PostgreSQL's name of a row's place, which no column can have. A place is good for one statement, and to say what
// to look at: it changes with every update.
const NoKey = "ctid"

// Keyless tells whether the table has no key.
func (d Definition) Keyless() bool { return slices.Contains(d.Key, NoKey) }

// checkKeyless refuses what cannot be done for rows that nothing tells apart.
func (d Definition) checkKeyless() error {
	switch {
	case !d.Keyless():
		return nil
	case len(d.Key) > 1:
		return fmt.Errorf("pair on %s: NoKey stands alone: leave out the columns, or NoKey", d.Table)
	case d.Moved():
		return fmt.Errorf("pair on %s: without a key nothing says which row of %s belongs to a row: add a key", d.Table, d.To)
	case !d.HasForward():
		return fmt.Errorf("pair on %s: without a key a stray's row that only Go converts could not be found again: declare ForwardSQL, or add a key", d.Table)
	}
	return nil
}
