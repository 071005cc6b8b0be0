package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// Snapshot is the age of the oldest snapshot. While it is held no dead row can be pruned or vacuumed, in any table: the backfill makes more of them.
type Snapshot struct {
	Soft, Hard time.Duration // default to 5 and 30 min

	since map[string]time.Time // of those whose beginning the server does not tell: when they were seen first
}

// Name implements Signal.
func (*Snapshot) Name() string { return "old snapshot" }

// Who may not see the beginning of others' transactions sees their xmin. A slot and a standby tell xmin only.
const snapshotSQL = `
	SELECT format('pid %s (%s)', pid, application_name) AS who, 'xmin ' || backend_xmin || ' pid ' || pid AS id, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
	FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type <> 'walsender' AND (datname = current_database() OR datname IS NULL)
	UNION ALL SELECT 'prepared transaction ' || gid, gid, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts WHERE database = current_database()
	UNION ALL SELECT 'replication slot ' || slot_name, 'slot ' || slot_name || xmin, NULL FROM pg_replication_slots WHERE xmin IS NOT NULL
	UNION ALL SELECT 'standby ' || coalesce(application_name, ''), 'standby ' || pid || ' ' || backend_xmin, NULL FROM pg_stat_replication WHERE backend_xmin IS NOT NULL`

// Read implements Signal.
func (s *Snapshot) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(s.Name(), s.Soft, s.Hard, 5*time.Minute, 30*time.Minute)
	if err != nil {
		return Load{}, err
	}
	var found []struct {
		Who     string   `db:"who"`
		ID      string   `db:"id"`
		Seconds *float64 `db:"seconds"`
	}
	if err := db.SelectContext(ctx, &found, snapshotSQL); err != nil {
		return Load{}, err
	}
	since := map[string]time.Time{}
	var most Load
	for _, f := range found {
		since[f.ID] = time.Now()
		if first, ok := s.since[f.ID]; ok {
			since[f.ID] = first
		}
		seconds := time.Since(since[f.ID]).Seconds()
		if f.Seconds != nil {
			seconds = *f.Seconds
		}
		if share := Ramp(seconds*float64(time.Second), soft, hard); share > most.Share {
			most = Load{share, fmt.Sprintf("%s has held a snapshot for %s, so that dead rows stay: end it, or wait for it", f.Who, round(seconds))}
		}
	}
	s.since = since
	return most, nil
}
