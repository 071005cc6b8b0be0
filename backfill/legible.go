package backfill

import (
	"cmp"
	"database/sql"
	"fmt"
)

// legible keeps the error of scan destinations. What the pair's Go type does not take, such as an infinite timestamp in a time.Time, is a fault of that row, and
// the others go on.
type legible struct{ err error }

// columns wraps scan destinations.
func (l *legible) columns(to []any) []any {
	out := make([]any, len(to))
	for i := range to {
		out[i] = &legibleColumn{to: to[i], of: l}
	}
	return out
}

type legibleColumn struct {
	to any
	of *legible
}

// Scan implements sql.Scanner.
func (c *legibleColumn) Scan(src any) error {
	s, ok := c.to.(sql.Scanner)
	if !ok {
		return fmt.Errorf("%T is no Scanner", c.to)
	}
	if err := s.Scan(src); err != nil {
		c.of.err = cmp.Or(c.of.err, err)
	}
	return nil
}
