package backfill

import "fmt"

// maxMessage is what PostgreSQL takes in one message, a little less than its 1 GB: of a longer one it ends the session.
const maxMessage = 1<<30 - 1<<20

// errTooLarge is a statement that PostgreSQL would not take: it is divided, and a row that is too large alone is set aside.
type errTooLarge struct{ size int }

func (e errTooLarge) Error() string {
	return fmt.Sprintf("what goes to PostgreSQL has %d bytes, with the old value to compare and with what its quotes and backslashes take; a message has room for %d", e.size, maxMessage)
}

// sizeOf is the length of arrays as they are sent.
func sizeOf(args []any) (n int) {
	for _, arg := range args {
		if text, ok := arg.(string); ok {
			n += len(text)
		}
	}
	return n
}
