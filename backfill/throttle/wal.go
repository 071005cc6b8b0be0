package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// WAL is the log that the whole server writes in a second, ours and that of others.
type WAL struct {
	Soft, Hard int64 // bytes a second; both are yours to say

	last place
}

// Name implements Signal.
func (*WAL) Name() string { return "WAL" }

// Read implements Signal. The first has nothing to compare with.
func (w *WAL) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	if w.Soft <= 0 || w.Hard < w.Soft {
		return Load{}, fmt.Errorf("WAL: limits %d and %d bytes a second: say both, the hard one not below the soft one", w.Soft, w.Hard)
	}
	var lsn float64
	if err := db.GetContext(ctx, &lsn, `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8`); err != nil {
		return Load{}, err
	}
	before := w.last
	w.last = place{time.Now(), lsn}
	if before.at.IsZero() {
		return Load{}, nil
	}
	rate := (lsn - before.lsn) / max(time.Since(before.at).Seconds(), 1e-3)
	return Load{Ramp(rate, float64(w.Soft), float64(w.Hard)), fmt.Sprintf("the server writes %s of WAL a second", bytes(rate))}, nil
}
