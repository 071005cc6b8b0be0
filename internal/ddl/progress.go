package ddl

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
)

const progressTime = 500 * time.Millisecond // between two looks

// progressSQL says how far builds of indexes of a table and its partitions are. The session that one waits for is named: it waits without a timeout.
const progressSQL = `
	SELECT p.phase, CASE WHEN p.blocks_total > 0 THEN p.blocks_done::float8 / p.blocks_total WHEN p.tuples_total > 0 THEN p.tuples_done::float8 / p.tuples_total END AS share,
	       nullif(p.current_locker_pid, 0) AS pid, coalesce(a.application_name, '') AS application
	FROM pg_stat_progress_create_index p LEFT JOIN pg_stat_activity a ON a.pid = p.current_locker_pid
	WHERE p.datname = current_database() AND (p.relid = to_regclass($1) OR p.relid IN (SELECT relid FROM pg_partition_tree(to_regclass($1)))) ORDER BY p.pid LIMIT 1`

type progress struct {
	Phase       string   `db:"phase"`
	Share       *float64 `db:"share"`
	PID         *int     `db:"pid"`
	Application string   `db:"application"`
}

// String is a line that changes with each tenth.
func (p progress) String() string {
	out := "index: " + p.Phase
	if p.Share != nil {
		out += fmt.Sprintf(", %.0f %%", 10*math.Floor(10**p.Share))
	}
	if p.PID != nil {
		out += fmt.Sprintf(", that of pid %d (%s)", *p.PID, p.Application)
	}
	return out
}

// watch logs how far an index build is, until it is told to stop. It takes a connection of the pool for each look, and goes without where there is none.
func watch(ctx context.Context, db *sqlx.DB, table ident.Table, log func(string)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressTime)
		defer tick.Stop()
		last := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			var p progress
			if err := db.GetContext(ctx, &p, progressSQL, table.SQL()); err != nil {
				continue // none is being built, or the server has something better to do
			}
			if line := p.String(); line != last {
				last = line
				log(line)
			}
		}
	}()
	return func() { cancel(); <-done }
}
