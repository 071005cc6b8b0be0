package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// Application is how the application_name of a batch's transaction begins.
const Application = "tandem backfill "

// Blocked is how long sessions have been waiting for a lock of a batch's, which is in the way of the application then: statements should be shorter.
type Blocked struct {
	Soft, Hard time.Duration // default to 100 ms and 1 s
}

// Name implements Signal.
func (Blocked) Name() string { return "blocked sessions" }

// pg_locks shows every role all locks. waitstart is not set in the first moments.
const blockedSQL = `
	SELECT count(*) AS sessions, coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8 AS seconds, coalesce(min(l.pid), 0) AS pid
	FROM pg_locks l WHERE NOT l.granted
	  AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = ANY (pg_blocking_pids(l.pid)) AND starts_with(a.application_name, $1))
	  AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid AND starts_with(a.application_name, $1))`

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
	if err := db.GetContext(ctx, &w, blockedSQL, Application); err != nil {
		return Load{}, err
	}
	return Load{Ramp(w.Seconds*float64(time.Second), soft, hard),
		fmt.Sprintf("%d sessions wait for the backfill, one for %s (pid %d): give it a shorter target", w.Sessions, round(w.Seconds), w.PID)}, nil
}
