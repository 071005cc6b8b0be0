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
// Of what was written before the first reading replay_lag is asked.
type Lag struct {
	Soft, Hard time.Duration // default to 10 s and 60 s
	Bytes      int64         // of log not replayed at which it stands still, and from a tenth of which it slows down; defaults to 1 GiB
	Must       []string      // application_names that have to be there: one that is not connected stands for the hard limit; defaults to none
	Ignore     []string      // application_names that do not count, such as one with recovery_min_apply_delay; defaults to none

	seen history
}

// Name implements Signal.
func (*Lag) Name() string { return "standby lag" }

type standby struct {
	Name   string  `db:"name"`
	Hidden bool    `db:"hidden"`
	Now    float64 `db:"now"`
	Replay float64 `db:"replay"`
	Told   float64 `db:"told"` // seconds, by the server
}

// Base backups and subscribers of logical replication replay nothing.
const lagSQL = `
	SELECT coalesce(r.application_name, '') AS name, r.pid IS NOT NULL AND r.state IS NULL AS hidden, pg_current_wal_lsn() - '0/0'::pg_lsn AS now,
	       coalesce(r.replay_lsn, pg_current_wal_lsn()) - '0/0'::pg_lsn AS replay, coalesce(extract(epoch FROM r.replay_lag), 0)::float8 AS told
	FROM (SELECT) x LEFT JOIN pg_stat_replication r ON (r.state IS NULL OR r.state <> 'backup')
	  AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')`

// Read implements Signal.
func (l *Lag) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(l.Name(), l.Soft, l.Hard, 10*time.Second, time.Minute)
	if err != nil {
		return Load{}, err
	}
	var found []standby
	if err := rows(ctx, db, &found, lagSQL); err != nil {
		return Load{}, err
	}
	now := time.Now()
	l.seen.add(now, found[0].Now)
	var most Load
	missing := slices.Clone(l.Must)
	for _, s := range found {
		if slices.Contains(l.Ignore, s.Name) {
			continue
		}
		if s.Hidden {
			return Load{}, fmt.Errorf("pg_stat_replication hides how far %s is: GRANT pg_monitor to this role, or ask the standby with Replica", s.Name)
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == s.Name })
		load := behind(l.seen, now, s, soft, hard, l.Bytes)
		if load.Share > most.Share {
			most = load
		}
	}
	if len(missing) > 0 {
		return Load{1, fmt.Sprintf("standby %s is not connected: start it, or leave it out of Must", missing[0])}, nil
	}
	return most, nil
}

// behind is the load of one standby.
func behind(seen history, now time.Time, s standby, soft, hard float64, most int64) Load {
	if most == 0 {
		most = 1 << 30
	}
	left, late := s.Now-s.Replay, late(seen, now, s)
	return Load{max(Ramp(float64(late), soft, hard), Ramp(left, 0.1*float64(most), float64(most))),
		fmt.Sprintf("standby %s has replayed %s and %s less than the primary has written: does it replay, and is its disk or network slow?", s.Name, round(late.Seconds()), bytes(left))}
}

// late is how long ago the log was written that is to be replayed next. What was written before the first reading is as late as the server says, or the time since that reading.
func late(seen history, now time.Time, s standby) time.Duration {
	if s.Replay >= s.Now {
		return 0
	}
	at, before := seen.reached(s.Replay+1, now)
	if !before {
		return now.Sub(at)
	}
	return max(now.Sub(at), time.Duration(s.Told*float64(time.Second)))
}
