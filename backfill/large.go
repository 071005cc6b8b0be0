package backfill

import (
	"fmt"
	"strings"
)

// maxMessage is what PostgreSQL takes in one message, a little less than its 1 GB: of a longer one it ends the session.
const maxMessage = 1<<30 - 1<<20

// errTooLarge is a statement that PostgreSQL would not take: it is divided, and a row that is too large alone is set aside.
type errTooLarge struct{ size int }

func (e errTooLarge) Error() string {
	return fmt.Sprintf("what goes to PostgreSQL has %d bytes, with the old value to compare and with what its quotes and backslashes take; a message has room for %d", e.size, maxMessage)
}

// size is the length of a batch's arrays as they are sent.
func (b *batch) size() (n int) {
	element := func(s string) { n += len(s) + strings.Count(s, `"`) + strings.Count(s, `\`) + len(`"",`) }
	for _, column := range b.sources {
		for _, source := range column {
			if source != nil {
				element(*source)
			}
		}
	}
	for _, column := range b.targets {
		for _, target := range column {
			switch v := target.(type) {
			case string:
				element(v)
			case []byte:
				element(string(v))
			}
		}
	}
	for _, column := range b.keys {
		for _, part := range column {
			element(part)
		}
	}
	return n
}
