package state

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// Swapped notes where the log is, in the transaction of the swap and behind its lock on the table: who has replayed so far knows every row's new value.
func (m *Migration) Swapped(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `UPDATE tandem.migration SET swapped = pg_current_wal_insert_lsn() WHERE name = $1`, m.Name)
	if err != nil {
		return fmt.Errorf("migration %s: %w", m.Name, pg.Cause(ctx, err))
	}
	return nil
}

// Standby is a connection that streams the log and has not replayed the swap, or does not show how far it is.
type Standby struct {
	PID         int    `db:"pid"`
	Application string `db:"application_name"`
	Address     string `db:"address"`
	Hidden      bool   `db:"hidden"` // the role is not in pg_monitor
	Behind      int64  `db:"behind"` // bytes, to the swap
}

// Subscribers of logical replication are not asked: they have columns of their own. Nor are pg_basebackup and pg_receivewal, from which nobody reads. Where the swap was not noted,
// by a library of before, the log of now is late enough.
const standbysSQL = `
	SELECT r.pid, coalesce(r.application_name, '') AS application_name, coalesce(host(r.client_addr), 'local') AS address,
	       r.state IS NULL AS hidden, coalesce(pg_wal_lsn_diff(m.swapped, r.replay_lsn), 0)::bigint AS behind
	FROM (SELECT coalesce(swapped, pg_current_wal_lsn()) AS swapped FROM tandem.migration WHERE name = $1) m, pg_stat_replication r
	WHERE r.state IS NULL OR r.state <> 'backup' AND r.replay_lsn < m.swapped
	  AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
	ORDER BY r.application_name, r.pid`

// Standbys lists those that lag behind the swap of a migration. One that is not connected is not seen.
func Standbys(ctx context.Context, q sqlx.QueryerContext, name string) ([]Standby, error) {
	var out []Standby
	if err := sqlx.SelectContext(ctx, q, &out, standbysSQL, name); err != nil {
		return nil, fmt.Errorf("standbys: %w", missing(pg.Cause(ctx, err)))
	}
	return out, nil
}
