package throttle

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"
)

// Lag is the time that standbys are behind. It is measured here, by when the primary's log was where a standby is now: replay_lag of PostgreSQL stands still while a standby
// replays nothing. A primary that writes nothing has no lag.
type Lag struct {
	Soft, Hard time.Duration // default to 10 s and 60 s
	Bytes      int64         // of log not replayed at which it stands still; defaults to 1 GiB
	Must       []string      // application_names that have to be there: one that is not connected stands for the hard limit; defaults to none

	seen []place
}

type place struct {
	at  time.Time
	lsn float64
}

// Name implements Signal.
func (*Lag) Name() string { return "standby lag" }

type standby struct {
	Name   string  `db:"name"`
	Hidden bool    `db:"hidden"`
	Now    float64 `db:"now"`
	Replay float64 `db:"replay"`
}

// Base backups and subscribers of logical replication replay nothing.
const lagSQL = `
	SELECT coalesce(r.application_name, '') AS name, r.pid IS NOT NULL AND r.state IS NULL AS hidden, pg_current_wal_lsn() - '0/0'::pg_lsn AS now,
	       coalesce(r.replay_lsn, pg_current_wal_lsn()) - '0/0'::pg_lsn AS replay
	FROM (SELECT) x LEFT JOIN pg_stat_replication r ON (r.state IS NULL OR r.state <> 'backup')
	  AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')`

// Read implements Signal.
func (l *Lag) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(l.Name(), l.Soft, l.Hard, 10*time.Second, time.Minute)
	if err != nil {
		return Load{}, err
	}
	var found []standby
	if err := db.SelectContext(ctx, &found, lagSQL); err != nil {
		return Load{}, err
	}
	now := time.Now()
	l.seen = append(l.seen, place{now, found[0].Now})
	if len(l.seen) > int(time.Hour/Every) {
		l.seen = slices.Delete(l.seen, 0, len(l.seen)/2)
	}
	var most Load
	missing := slices.Clone(l.Must)
	for _, s := range found {
		if s.Hidden {
			return Load{}, fmt.Errorf("pg_stat_replication hides how far %s is: GRANT pg_monitor to this role", s.Name)
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == s.Name })
		behind, late := s.Now-s.Replay, l.late(now, s.Replay)
		share := max(Ramp(float64(late), soft, hard), Ramp(behind, 0.1*float64(l.bytes()), float64(l.bytes())))
		if share > most.Share {
			most = Load{share, fmt.Sprintf("standby %s is %s and %s behind: does it replay, and is its disk or network slow?", s.Name, round(late.Seconds()), bytes(behind))}
		}
	}
	if len(missing) > 0 {
		return Load{1, fmt.Sprintf("standby %s is not connected", missing[0])}, nil
	}
	return most, nil
}

func (l *Lag) bytes() int64 {
	if l.Bytes == 0 {
		return 1 << 30
	}
	return l.Bytes
}

// late is how long ago the log was written up to what is replayed, as far as was seen.
func (l *Lag) late(now time.Time, replay float64) time.Duration {
	for _, p := range l.seen {
		if p.lsn > replay {
			return now.Sub(p.at)
		}
	}
	return 0
}
