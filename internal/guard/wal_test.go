package guard_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/phase"
)

// plainSQL is the table of usersSQL once more, for what no guard touches.
var plainSQL = strings.ReplaceAll(usersSQL, "users", "plain")

// goodWrites are what the wrappers send, with the next stamp of Switch; @table stands for the table.
var goodWrites = map[string]string{
	"the pair":       `UPDATE @table SET user_name = 'eve', full_name = 'eve', full_name_stamp = greatest(full_name_stamp, ` + stamp(phase.Switch) + `) + 1`,
	"another column": `UPDATE @table SET email = 'f'`,
}

// The guard adds not a byte to the log for a good write, in any mode. A BEFORE trigger would, although it never runs: it locks each row first.
func TestGuardWritesNoWAL(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL+`; `+plainSQL, rename(), guard.Repair)
	for _, mode := range []guard.Mode{guard.Repair, guard.Reject, guard.Reverse} {
		b.install(t, mode)
		for name, write := range goodWrites {
			require.Equal(t, walBytes(t, b.db, write, "plain"), walBytes(t, b.db, write, "users"), "%s, %s", mode, name)
		}
	}
	b.db.MustExec(`CREATE TRIGGER locks BEFORE UPDATE ON plain FOR EACH ROW WHEN (false) EXECUTE FUNCTION tandem.reject()`)
	for name, write := range goodWrites {
		require.Greater(t, walBytes(t, b.db, write, "plain"), walBytes(t, b.db, write, "users"), name)
	}
}

// walBytes is what a statement writes to the log, by the server's own count, once the pages that it touches are in the log since the last checkpoint.
// No trigger may run.
func walBytes(t testing.TB, db *sqlx.DB, write, table string) int {
	t.Helper()
	const tries = 10
	for range tries {
		var text []byte
		require.NoError(t, db.Get(&text, `EXPLAIN (ANALYZE, WAL, FORMAT JSON) `+strings.ReplaceAll(write, "@table", table)))
		var plans []struct {
			Plan struct {
				Bytes int `json:"WAL Bytes"`
				Pages int `json:"WAL FPI"`
			}
			Triggers []any
		}
		require.NoError(t, json.Unmarshal(text, &plans))
		require.Empty(t, plans[0].Triggers)
		if plans[0].Plan.Pages == 0 {
			return plans[0].Plan.Bytes
		}
	}
	require.Fail(t, fmt.Sprintf("%d statements in a row met a checkpoint", tries))
	return 0
}
