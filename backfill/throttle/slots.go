package throttle

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// Slots is the log that replication slots keep on the primary's disk. Where max_slot_wal_keep_size bounds it, a slot counts too as it comes near to losing its place: from half of what it may keep,
// and at nine tenths of it the backfill stands still.
type Slots struct {
	Soft, Hard int64 // bytes that one slot keeps; default to 1 and 4 GiB
}

// Name implements Signal.
func (Slots) Name() string { return "replication slots" }

// A lost slot keeps nothing.
const slotsSQL = `
	SELECT slot_name AS name, CASE active WHEN true THEN 'active' ELSE 'nobody reads it' END AS state, wal_status, safe_wal_size::float8 AS safe,
	       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - restart_lsn)::float8 AS bytes
	FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND wal_status <> 'lost'`

type slot struct {
	Name   string   `db:"name"`
	State  string   `db:"state"`
	Status string   `db:"wal_status"`
	Safe   *float64 `db:"safe"` // bytes that may be written before it is about to be lost; nil: any
	Bytes  float64  `db:"bytes"`
}

// Read implements Signal.
func (s Slots) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(s.Name(), s.Soft, s.Hard, 1<<30, 4<<30)
	if err != nil {
		return Load{}, err
	}
	var found []slot
	if err := rows(ctx, db, &found, slotsSQL); err != nil {
		return Load{}, err
	}
	var most Load
	for _, f := range found {
		if load := f.load(soft, hard); load.Share > most.Share {
			most = load
		}
	}
	return most, nil
}

func (s slot) load(soft, hard float64) Load {
	kept, losing := Ramp(s.Bytes, soft, hard), 0.0
	if s.Safe != nil {
		may := s.Bytes + *s.Safe
		losing = Ramp(s.Bytes, 0.5*may, 0.9*may)
	}
	if s.Status == "unreserved" { // the next checkpoint removes what it needs
		losing = 1
	}
	if losing > kept {
		return Load{losing, fmt.Sprintf("replication slot %s (%s) keeps %s of WAL and is about to lose its place: let its reader catch up, raise max_slot_wal_keep_size, or drop it", s.Name, s.State, bytes(s.Bytes))}
	}
	return Load{kept, fmt.Sprintf("replication slot %s (%s) keeps %s of WAL: let its reader catch up, or drop it", s.Name, s.State, bytes(s.Bytes))}
}
