package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// Application is how the application_name of a batch's transaction begins.
const Application = "tandem backfill "

// Blocked is how long sessions have been waiting for a lock of a batch's, of any backfill of this database, which is in the way of the application then: statements should be shorter.
type Blocked struct {
	Soft, Hard time.Duration // default to 100 ms and 1 s
}

// Name implements Signal.
func (Blocked) Name() string { return "blocked sessions" }

// pg_locks shows every role all locks, and pg_stat_activity all application_names. pg_blocking_pids stops the whole lock manager for a moment: it is asked once for each session that waits, and only if there
// is a batch at all. waitstart is not set in the first moments.
const blockedSQL = `
	WITH batches AS MATERIALIZED (
		SELECT array_agg(pid) AS pids FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, $1)
	), waiters AS MATERIALIZED (
		SELECT l.pid, b.pids, coalesce(extract(epoch FROM clock_timestamp() - min(l.waitstart)), 0)::float8 AS seconds
		FROM batches b JOIN pg_locks l ON NOT l.granted AND l.pid <> ALL (b.pids) GROUP BY 1, 2
	)
	SELECT count(*) AS sessions, coalesce(max(seconds), 0) AS seconds, coalesce((array_agg(pid ORDER BY seconds DESC))[1], 0) AS pid FROM waiters WHERE pg_blocking_pids(pid) && pids`

// Read implements Signal.
func (b Blocked) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(b.Name(), b.Soft, b.Hard, 100*time.Millisecond, time.Second)
	if err != nil {
		return Load{}, err
	}
	var w struct {
		Sessions int     `db:"sessions"`
		Seconds  float64 `db:"seconds"`
		PID      int     `db:"pid"`
	}
	if err := row(ctx, db, &w, blockedSQL, Application); err != nil {
		return Load{}, err
	}
	return Load{Ramp(w.Seconds*float64(time.Second), soft, hard),
		fmt.Sprintf("%d sessions wait for the backfill, one for %s (pid %d): give it a shorter target", w.Sessions, round(w.Seconds), w.PID)}, nil
}
