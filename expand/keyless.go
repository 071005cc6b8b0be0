package expand

import (
	"errors"
	"fmt"

	"github.com/tandem-go/tandem/internal/pair"
)

// NoKey stands for the key of a table that has none, neither a primary key nor a unique index of NOT NULL columns: Rename[string]("log", "line", "text", NoKey).
// Such a pair needs ForwardSQL, and stays in its table. What needs to name a row is closed off: of a Repository all but Select, Insert and InsertAll (ErrNoKey), a share of the keys at
// Switch, and the setting aside of rows that do not convert: backfill.Run stops at one and says where it is. Whoever gives the table a key later begins with another declaration.
const NoKey = pair.NoKey

// ErrNoKey is what methods of a Repository return that would have to name a row of a table without a key.
var ErrNoKey = errors.New("the table has no key (NoKey): nothing names one row")

// keyed refuses what names rows by their key.
func (m *model) keyed(what string) error {
	if len(m.key) == 0 {
		return fmt.Errorf("%s %s: %w", what, m.table, ErrNoKey)
	}
	return nil
}
