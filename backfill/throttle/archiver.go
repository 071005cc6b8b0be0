package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// Archiver is how long the archiver has been failing: the log that it does not get rid of fills the disk.
type Archiver struct {
	Soft, Hard time.Duration // since it was seen to fail; default to 30 s and 5 min

	since time.Time
}

// Name implements Signal.
func (*Archiver) Name() string { return "archiver" }

const archiverSQL = `
	SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AND current_setting('archive_mode') <> 'off' AS failing,
	       coalesce(last_failed_wal, '') AS file
	FROM pg_stat_archiver`

// Read implements Signal.
func (a *Archiver) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(a.Name(), a.Soft, a.Hard, 30*time.Second, 5*time.Minute)
	if err != nil {
		return Load{}, err
	}
	var s struct {
		Failing bool   `db:"failing"`
		File    string `db:"file"`
	}
	if err := db.GetContext(ctx, &s, archiverSQL); err != nil {
		return Load{}, err
	}
	if !s.Failing {
		a.since = time.Time{}
		return Load{}, nil
	}
	if a.since.IsZero() {
		a.since = time.Now()
	}
	seconds := time.Since(a.since).Seconds()
	return Load{Ramp(seconds*float64(time.Second), soft, hard),
		fmt.Sprintf("archive_command has been failing on %s for %s at least: see the server's log", s.File, round(seconds))}, nil
}
