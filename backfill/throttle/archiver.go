package throttle

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"
)

// Archiver is how long the archiver has been failing, and how much log it has still to archive, for one that hangs or is slow does not fail: what it does not get rid of fills the disk.
// The log is counted from the last file archived. A role with pg_monitor counts the files that wait, which is right as well where archiving was off for a time, or has not archived anything yet.
type Archiver struct {
	Soft, Hard           time.Duration // since it was seen to fail; default to 30 s and 5 min
	SoftBytes, HardBytes int64         // of log that waits; default to 1 and 4 GiB

	since time.Time
}

// Name implements Signal.
func (*Archiver) Name() string { return "archiver" }

// Nothing is archived of a standby's log, unless archive_mode is always: then it is not known how much waits.
const archiverSQL = `
	SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing, coalesce(last_failed_wal, '') AS file, coalesce(last_archived_wal, '') AS last,
	       CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 END AS now, pg_size_bytes(current_setting('wal_segment_size')) AS segment,
	       has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE') AS may
	FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off'`

type archive struct {
	Failing bool     `db:"failing"`
	File    string   `db:"file"`
	Last    string   `db:"last"`
	Now     *float64 `db:"now"`
	Segment int64    `db:"segment"`
	May     bool     `db:"may"`
}

// Read implements Signal.
func (a *Archiver) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(a.Name(), a.Soft, a.Hard, 30*time.Second, 5*time.Minute)
	if err != nil {
		return Load{}, err
	}
	softBytes, hardBytes, err := limits(a.Name(), a.SoftBytes, a.HardBytes, 1<<30, 4<<30)
	if err != nil {
		return Load{}, err
	}
	var found []archive
	if err := rows(ctx, db, &found, archiverSQL); err != nil {
		return Load{}, err
	}
	if len(found) == 0 {
		a.since = time.Time{}
		return Load{}, nil
	}
	waits, err := found[0].waits(ctx, db, softBytes)
	if err != nil {
		return Load{}, err
	}
	queue := Load{Ramp(waits, softBytes, hardBytes), fmt.Sprintf("%s of WAL wait to be archived: is archive_command slow, or does it hang?", bytes(waits))}
	if failing := a.failing(found[0], soft, hard); failing.Share >= queue.Share {
		return failing, nil
	}
	return queue, nil
}

// failing is the load of an archiver that fails.
func (a *Archiver) failing(s archive, soft, hard float64) Load {
	if !s.Failing {
		a.since = time.Time{}
		return Load{}
	}
	if a.since.IsZero() {
		a.since = time.Now()
	}
	seconds := time.Since(a.since).Seconds()
	return Load{Ramp(seconds*float64(time.Second), soft, hard), fmt.Sprintf("archive_command has been failing on %s for %s at least: see the server's log", s.File, round(seconds))}
}

// waits is how many bytes of log wait. The files are looked at only where they may matter, for there can be many.
func (s archive) waits(ctx context.Context, db *sqlx.DB, soft float64) (float64, error) {
	if s.Now == nil {
		return 0, nil
	}
	end, ok := archived(s.Last, s.Segment)
	waits := max(*s.Now-end, 0)
	if !s.May || ok && waits <= soft {
		if !ok {
			return 0, nil // nobody knows since when it archives
		}
		return waits, nil
	}
	var files float64
	err := row(ctx, db, &files, `SELECT count(*)::float8 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`)
	return files * float64(s.Segment), err
}

var walFile = regexp.MustCompile(`^[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})`)

// archived is where the log of a file ends, which names timeline, 4 GiB and segment. The history of a timeline has no place.
func archived(file string, segment int64) (end float64, ok bool) {
	m := walFile.FindStringSubmatch(file)
	if m == nil {
		return 0, false
	}
	high, _ := strconv.ParseUint(m[1], 16, 64)
	low, _ := strconv.ParseUint(m[2], 16, 64)
	return float64(high)*(1<<32) + float64(low+1)*float64(segment), true
}
