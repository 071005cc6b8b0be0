package throttle

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// Slots is the log that replication slots keep on the primary's disk.
type Slots struct {
	Soft, Hard int64 // bytes that one slot keeps; default to 1 and 4 GiB
}

// Name implements Signal.
func (Slots) Name() string { return "replication slots" }

// A lost slot keeps nothing. One that is unreserved is about to be lost.
const slotsSQL = `
	SELECT slot_name AS name, CASE active WHEN true THEN 'active' ELSE 'nobody reads it' END AS state, wal_status = 'unreserved' AS losing,
	       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - restart_lsn)::float8 AS bytes
	FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND wal_status <> 'lost' ORDER BY bytes DESC LIMIT 1`

// Read implements Signal.
func (s Slots) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(s.Name(), s.Soft, s.Hard, 1<<30, 4<<30)
	if err != nil {
		return Load{}, err
	}
	var worst []struct {
		Name   string  `db:"name"`
		State  string  `db:"state"`
		Losing bool    `db:"losing"`
		Bytes  float64 `db:"bytes"`
	}
	if err := db.SelectContext(ctx, &worst, slotsSQL); err != nil || len(worst) == 0 {
		return Load{}, err
	}
	w := worst[0]
	share := Ramp(w.Bytes, soft, hard)
	if w.Losing {
		share = 1
	}
	return Load{share, fmt.Sprintf("replication slot %s (%s) keeps %s of WAL: let its reader catch up, or drop it", w.Name, w.State, bytes(w.Bytes))}, nil
}
