package throttle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// Replica is the lag of one standby that is asked itself: it needs no right, and reaches one behind another standby, which the primary does not see. One that does not answer counts as any signal that cannot
// be read.
type Replica struct {
	Standby    string   // as reasons name it
	DB         *sqlx.DB // of the standby; the caller closes it, and one connection is enough
	Soft, Hard time.Duration
	Bytes      int64 // these three as of Lag

	seen history
}

// Name implements Signal.
func (r *Replica) Name() string { return "standby " + r.Standby }

// Read implements Signal.
func (r *Replica) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(r.Name(), r.Soft, r.Hard, 10*time.Second, time.Minute)
	if err != nil {
		return Load{}, err
	}
	if r.DB == nil {
		return Load{}, fmt.Errorf("%s: its DB is missing", r.Name())
	}
	s := standby{Name: r.Standby}
	if err := row(ctx, db, &s.Now, `SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8`); err != nil {
		return Load{}, fmt.Errorf("on the primary: %w", err)
	}
	now := time.Now()
	r.seen.add(now, s.Now)
	var replayed *float64
	if err := row(ctx, r.DB, &replayed, `SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::float8 END`); err != nil {
		return Load{}, fmt.Errorf("on the standby: %w", err)
	}
	if replayed == nil {
		return Load{}, errors.New("it is no standby: was it promoted, or is its DB that of the primary?")
	}
	s.Replay = *replayed
	return behind(r.seen, now, s, soft, hard, r.Bytes), nil
}
