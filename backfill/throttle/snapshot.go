package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// Snapshot is the age of the oldest snapshot, or of the oldest open transaction that has written. While it is held no row that died since can be pruned or vacuumed, in any table: the backfill makes more
// of them. A VACUUM holds nothing back, nor does the catalog_xmin of a logical slot, but for the catalog. To a role without pg_monitor the age of other roles' counts from the first reading on.
type Snapshot struct {
	Soft, Hard time.Duration // default to 5 and 30 min

	seen history // of transaction numbers
}

// Name implements Signal.
func (*Snapshot) Name() string { return "old snapshot" }

// Every role sees backend_xid and backend_xmin of all, but xact_start only of its own. A slot and a standby tell xmin only. All xids are turned into their distance to the next one, for they wrap around.
// backend_type is hidden too, but not who reads a slot: its walsender counts by the slot.
// A transaction that has written holds back from its xid on, while it is idle too, and has no xmin then. In whatever database it is: a session does not prune what its own snapshot takes for running (GetSnapshotData, definitely_needed). A
// snapshot that only reads holds the rows of its own database. pg_stat_progress_vacuum shows every role the pids.
const snapshotSQL = `
	SELECT n.next, h.who, h.what, (n.next - h.age)::float8 AS xmin, h.seconds
	FROM (SELECT (x::text::bigint + age(x::xid))::float8 AS next FROM pg_snapshot_xmax(pg_current_snapshot()) x) n LEFT JOIN (
		SELECT format(CASE WHEN near THEN 'pid %s (%s)' ELSE 'pid %s (%s, in database %s)' END, pid, application_name, datname) AS who,
		       CASE WHEN near AND backend_xmin IS NOT NULL THEN 'a snapshot' ELSE 'a transaction open' END AS what,
		       greatest(CASE WHEN near THEN age(backend_xmin) END, age(backend_xid)) AS age, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
		FROM pg_stat_activity a, LATERAL (SELECT datname IS NULL OR datname = current_database() AS near) n
		WHERE (near AND backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid() AND backend_type IS DISTINCT FROM 'walsender'
		  AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid IN (a.pid, a.leader_pid)) AND NOT EXISTS (SELECT FROM pg_replication_slots r WHERE r.active_pid = a.pid)
		UNION ALL SELECT 'prepared transaction ' || gid, 'a transaction open', age(transaction), extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts
		UNION ALL SELECT 'replication slot ' || slot_name, 'a snapshot', age(xmin), NULL FROM pg_replication_slots WHERE xmin IS NOT NULL
		UNION ALL SELECT 'standby ' || coalesce(application_name, ''), 'a snapshot', age(backend_xmin), NULL FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
	) h ON true`

type holder struct {
	Next    float64  `db:"next"`
	Who     *string  `db:"who"`
	What    *string  `db:"what"`
	Xmin    *float64 `db:"xmin"`
	Seconds *float64 `db:"seconds"` // of its transaction
}

// Read implements Signal.
func (s *Snapshot) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(s.Name(), s.Soft, s.Hard, 5*time.Minute, 30*time.Minute)
	if err != nil {
		return Load{}, err
	}
	oldest, err := s.Oldest(ctx, db)
	if err != nil || oldest.Who == "" {
		return Load{}, err
	}
	share := Ramp(float64(oldest.For), soft, hard)
	if share == 0 {
		return Load{}, nil // of many young ones the oldest is nobody in particular
	}
	return Load{share, oldest.String() + ", so that dead rows stay: end it, or wait for it"}, nil
}

// Held is a snapshot, or an open transaction that has written: no row that died since it began can be pruned.
type Held struct {
	Who, What string // empty: nobody holds one
	For       time.Duration
}

func (h Held) String() string {
	return fmt.Sprintf("%s has held %s for %s", h.Who, h.What, round(h.For.Seconds()))
}

// Oldest finds what has been held for longest.
func (s *Snapshot) Oldest(ctx context.Context, db *sqlx.DB) (oldest Held, err error) {
	var found []holder
	if err := rows(ctx, db, &found, snapshotSQL); err != nil {
		return oldest, err
	}
	now := time.Now()
	s.seen.add(now, found[0].Next)
	for _, h := range found {
		if h.Who == nil {
			continue // nobody holds one
		}
		if held := s.held(h, now); oldest.Who == "" || held > oldest.For {
			oldest = Held{*h.Who, *h.What, held}
		}
	}
	return oldest, nil
}

// held is for how long: a transaction of READ COMMITTED may be older than its present snapshot, whose xmin tells.
func (s *Snapshot) held(h holder, now time.Time) time.Duration {
	at, before := s.seen.reached(*h.Xmin, now)
	seen := now.Sub(at)
	switch {
	case h.Seconds == nil:
		return seen
	case before:
		return time.Duration(*h.Seconds * float64(time.Second))
	}
	return min(seen, time.Duration(*h.Seconds*float64(time.Second)))
}
