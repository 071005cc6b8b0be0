package pg

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
)

// Blocker is a session, or a prepared transaction, that holds a lock on a table.
type Blocker struct {
	PID         int           `db:"pid"` // 0: a prepared transaction
	Application string        `db:"application"`
	Mode        string        `db:"mode"`
	State       string        `db:"state"`
	Query       string        `db:"query"`
	Seconds     float64       `db:"seconds"`
	Age         time.Duration `db:"-"`
}

func (b Blocker) String() string {
	if b.PID == 0 {
		return fmt.Sprintf("prepared transaction %s holds %s since %s", b.Query, b.Mode, b.Age)
	}
	return fmt.Sprintf("pid %d (%s, %s, transaction open for %s) holds %s: %s", b.PID, b.Application, b.State, b.Age, b.Mode, b.Query)
}

const blockersSQL = `
	SELECT coalesce(l.pid, 0) AS pid, coalesce(a.application_name, '') AS application,
	       string_agg(DISTINCT l.mode, ', ') AS mode, coalesce(a.state, '') AS state,
	       coalesce(left(a.query, 200), string_agg(DISTINCT p.gid, ', '), '') AS query,
	       coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, min(p.prepared))), 0)::float8 AS seconds
	FROM pg_locks l
	LEFT JOIN pg_stat_activity a ON a.pid = l.pid
	-- a prepared transaction keeps the virtual id of its session until a restart, so its own xid lock is what names it
	LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction
	LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
	WHERE l.locktype = 'relation' AND l.granted AND l.relation = to_regclass($1)
	  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	  AND l.pid IS DISTINCT FROM pg_backend_pid()
	GROUP BY l.pid, a.application_name, a.state, a.query, a.xact_start
	ORDER BY seconds DESC LIMIT 10`

// Blockers lists who holds a lock on the table now, longest transaction first, at most ten. A lock request that has timed out is no longer in
// the queue, so this is what the table looks like just after.
func Blockers(ctx context.Context, q sqlx.QueryerContext, table ident.Table) ([]Blocker, error) {
	var out []Blocker
	if err := sqlx.SelectContext(ctx, q, &out, blockersSQL, table.SQL()); err != nil {
		return nil, fmt.Errorf("blockers of %s: %w", table, Cause(ctx, err))
	}
	for i := range out {
		out[i].Age = time.Duration(out[i].Seconds * float64(time.Second)).Round(time.Millisecond)
		out[i].Query = strings.Join(strings.Fields(out[i].Query), " ")
	}
	return out, nil
}

// NameBlockers adds to a lock timeout who was in the way; any other error it returns as it is.
func NameBlockers(ctx context.Context, q sqlx.QueryerContext, table ident.Table, err error) error {
	if SQLState(err) != LockNotAvailable {
		return err
	}
	blockers, listErr := Blockers(ctx, q, table)
	if listErr != nil || len(blockers) == 0 {
		return fmt.Errorf("%w (whoever held the lock on %s has let go: run again)", err, table)
	}
	words := make([]string, len(blockers))
	for i, b := range blockers {
		words[i] = b.String()
	}
	return fmt.Errorf("%w; in the way on %s: %s", err, table, strings.Join(words, "; "))
}
