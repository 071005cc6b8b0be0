package tandemriver_test

import (
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	tandemriver "github.com/tandem-go/tandem/backfill/river"
)

// hold locks the rows of the last partition until it is released.
func (b *bed) hold() (release func()) {
	b.Helper()
	tx, err := b.db.BeginTxx(b.ctx, nil)
	require.NoError(b, err)
	_, err = tx.ExecContext(b.ctx, `SELECT FROM users_1 FOR UPDATE`)
	require.NoError(b, err)
	release = sync.OnceFunc(func() { _ = tx.Rollback() })
	b.Cleanup(release)
	return release
}

// stands waits until the other partition is done, and a statement waits for that one. It returns how many rows are done.
func (b *bed) stands() (done int) {
	b.Helper()
	done = b.number(`SELECT count(*) FROM users WHERE tableoid <> 'users_1'::regclass`)
	require.Eventually(b, func() bool {
		return b.number(stamped) == done && b.number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tandem backfill%' AND wait_event_type = 'Lock'`) > 0
	}, waitTime, pollTime)
	return done
}

// long is a slice that the test ends.
var long = backfill.Options{For: time.Hour, Batch: 1000, Stripes: 2, Target: 10e9}

// A client that stops at once gives the job to the others as if it had not begun, and what it has written stays.
func TestStopped(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	release := b.hold()
	one := b.client(config("one", b.worker(long)))
	job := b.enqueue(1)[0]
	done := b.stands()
	require.NoError(t, one.StopAndCancel(b.ctx))
	job = b.is(job, rivertype.JobStateAvailable)
	require.Zero(t, job.Attempt)
	require.Empty(t, job.Errors)
	require.Equal(t, tandemriver.Output{Rows: int64(done)}, output(t, job))
	require.Equal(t, done, b.number(stamped))
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.range WHERE owner <> ''`), "nobody has to wait for its lease")
	release()
	b.client(config("two", b.worker(long)))
	job = b.is(job, rivertype.JobStateCompleted)
	require.Equal(t, []string{"one", "two"}, job.AttemptedBy)
	require.Equal(t, tandemriver.Output{Rows: 1000}, output(t, job))
	b.copied()
}

// A job that takes longer than it may is an error, and goes on from where it was.
func TestTimeout(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	release := b.hold()
	w, err := tandemriver.NewWorker(tandemriver.Migration{DB: b.db, Pair: b.pair, Run: oneStatement, Timeout: 2 * time.Second})
	require.NoError(t, err)
	b.client(config("one", w))
	job := b.enqueue(1)[0]
	done := b.stands()
	job = b.fails(job)
	require.Contains(t, job.Errors[0].Error, "context deadline exceeded")
	require.Equal(t, done, b.number(stamped))
	release()
	job = b.is(job, rivertype.JobStateCompleted)
	require.Equal(t, tandemriver.Output{Rows: 1000}, output(t, job))
	b.copied()
}

// Who cancels the job itself ends it with its slice at the latest. The migration goes on by others.
func TestJobCancel(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	release := b.hold()
	b.client(config("one", b.worker(oneStatement)))
	job := b.enqueue(1)[0]
	b.stands()
	_, err := b.inserter().JobCancel(b.ctx, job.ID)
	require.NoError(t, err)
	release()
	b.is(job, rivertype.JobStateCancelled)
	require.Less(t, b.number(stamped), 1000)
	b.is(b.enqueue(1)[0], rivertype.JobStateCompleted)
	b.copied()
}

// Jobs of a paused migration leave their workers to others until it goes on.
func TestPaused(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	require.NoError(t, backfill.Pause(b.ctx, b.db, b.pair.Name()))
	b.client(config("one", b.worker(backfill.Options{For: time.Millisecond})))
	job := b.until(b.enqueue(1)[0], func(now *rivertype.JobRow) bool { return snoozes(now) > 0 && now.State != rivertype.JobStateRunning })
	require.GreaterOrEqual(t, job.ScheduledAt.Sub(*job.AttemptedAt), time.Second)
	require.Nil(t, job.Output())
	require.Zero(t, b.number(stamped))
	require.NoError(t, backfill.Resume(b.ctx, b.db, b.pair.Name()))
	b.is(job, rivertype.JobStateCompleted)
	b.copied()
}

// River frees the job of a process that was killed, no earlier than the job may last.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	jobs := b.enqueue(2)
	b.exec(`UPDATE river_job SET state = 'running', attempt = 1, attempted_by = '{killed}', attempted_at = now() - CASE id WHEN $1 THEN interval '2 h' ELSE interval '30 min' END`, jobs[0].ID)
	cfg := config("one", b.worker(backfill.Options{}))
	cfg.JobTimeout, cfg.RescueStuckJobsAfter = time.Second, time.Second // the job's own timeout counts: an hour and 10 s
	b.client(cfg)
	job := b.is(jobs[0], rivertype.JobStateCompleted)
	require.Contains(t, job.Errors[0].Error, "Stuck job rescued")
	b.is(jobs[1], rivertype.JobStateRunning)
	b.copied()
}
