package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// WAL is the log that the whole server writes in a second, ours and that of others, over the last 10 s: over one second only, it would stand still in each second that follows a fast one,
// run freely in the next, and write half of what it can whatever the limit.
type WAL struct {
	Soft, Hard int64 // bytes a second; both are yours to say

	seen history
}

const walWindow = 10 * time.Second

// Name implements Signal.
func (*WAL) Name() string { return "WAL" }

// Read implements Signal. The first has nothing to compare with.
func (w *WAL) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	if w.Soft <= 0 || w.Hard < w.Soft {
		return Load{}, fmt.Errorf("WAL: limits %d and %d bytes a second: say both, the hard one not below the soft one", w.Soft, w.Hard)
	}
	var lsn float64
	if err := row(ctx, db, &lsn, `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8`); err != nil {
		return Load{}, err
	}
	return w.at(time.Now(), lsn), nil
}

func (w *WAL) at(now time.Time, lsn float64) Load {
	w.seen.add(now, lsn)
	w.seen.since(now.Add(-walWindow))
	first := w.seen[0]
	rate := (lsn - first.pos) / max(now.Sub(first.at).Seconds(), 1e-3)
	return Load{Ramp(rate, float64(w.Soft), float64(w.Hard)), fmt.Sprintf("the server writes %s of WAL a second: wait for its peak to pass, or raise the limit", bytes(rate))}
}
